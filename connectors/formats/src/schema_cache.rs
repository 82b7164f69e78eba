//! What is prepared once per schema: found by the schema's address, else by its structure; bounded.
use elasticflow_api::data::{Kind, Schema, SchemaRef};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Addresses remembered per structure: sources that build equal schemas again and again must not grow the cache.
const ADDRESSES_PER_SHAPE: usize = 4;

/// A bounded cache of what is prepared per schema.
///
/// Every entry holds its schema, so an address in the cache cannot be taken by another schema. A full cache is emptied:
/// what is used is prepared again at once.
pub struct SchemaCache<T> {
    inner: RwLock<Inner<T>>,
    max: usize,
}

struct Inner<T> {
    by_address: HashMap<usize, (SchemaRef, Arc<T>)>,
    by_shape: HashMap<u64, Vec<(SchemaRef, Arc<T>)>>,
    shapes: usize,
}

impl<T> SchemaCache<T> {
    /// A cache of at most `max` structures.
    pub fn new(max: usize) -> Self {
        let inner = Inner { by_address: HashMap::new(), by_shape: HashMap::new(), shapes: 0 };
        Self { inner: RwLock::new(inner), max: max.max(1) }
    }

    /// What is prepared for a schema, prepared by `make` if it is not there.
    ///
    /// # Errors
    /// Those of `make`; nothing is cached then.
    pub fn of<E>(&self, schema: &SchemaRef, make: impl FnOnce(&SchemaRef) -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some((_, found)) = self.inner.read().by_address.get(&address(schema)) {
            return Ok(Arc::clone(found));
        }
        self.by_shape(schema, make)
    }

    fn by_shape<E>(&self, schema: &SchemaRef, make: impl FnOnce(&SchemaRef) -> Result<T, E>) -> Result<Arc<T>, E> {
        let shape = shape_of(schema);
        let mut inner = self.inner.write();
        if inner.by_address.len() >= self.max.saturating_mul(ADDRESSES_PER_SHAPE) {
            inner.by_address.clear();
        }
        let same = inner.by_shape.get(&shape).and_then(|of| of.iter().find(|(known, _)| known == schema));
        let found = match same {
            Some((_, found)) => Arc::clone(found),
            None => {
                let made = Arc::new(make(schema)?);
                if inner.shapes >= self.max {
                    inner.by_shape.clear();
                    inner.by_address.clear();
                    inner.shapes = 0;
                }
                inner.by_shape.entry(shape).or_default().push((Arc::clone(schema), Arc::clone(&made)));
                inner.shapes += 1;
                made
            }
        };
        inner.by_address.insert(address(schema), (Arc::clone(schema), Arc::clone(&found)));
        Ok(found)
    }
}

fn address(schema: &SchemaRef) -> usize {
    Arc::as_ptr(schema).addr()
}

fn shape_of(schema: &Schema) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_schema(schema, &mut hasher);
    hasher.finish()
}

/// Everything but the default, which equality settles.
fn hash_schema(schema: &Schema, hasher: &mut DefaultHasher) {
    (&schema.name, schema.version, schema.optional, &schema.doc, &schema.parameters).hash(hasher);
    std::mem::discriminant(&schema.kind).hash(hasher);
    match &schema.kind {
        Kind::Array(item) => hash_schema(item, hasher),
        Kind::Map { key, value } => {
            hash_schema(key, hasher);
            hash_schema(value, hasher);
        }
        Kind::Struct(fields) => {
            for field in fields.iter() {
                field.name.hash(hasher);
                hash_schema(&field.schema, hasher);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elasticflow_api::data::Field;

    fn schema(field: &str) -> SchemaRef {
        let plain = |kind| {
            Arc::new(Schema {
                kind,
                name: None,
                version: None,
                optional: false,
                default: None,
                doc: None,
                parameters: std::collections::BTreeMap::new(),
            })
        };
        let fields: Arc<[Field]> = Arc::new([Field { name: field.into(), schema: plain(Kind::Int32) }]);
        plain(Kind::Struct(fields))
    }

    #[test]
    fn equal_schemas_share_what_is_prepared_and_others_do_not() {
        let cache = SchemaCache::new(10);
        let make = |_: &SchemaRef| Ok::<_, ()>(());
        let first = cache.of(&schema("a"), make).unwrap();
        let second = cache.of(&schema("a"), |_| Err(())).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &cache.of(&schema("b"), make).unwrap()));
    }

    #[test]
    fn neither_new_structures_nor_new_addresses_grow_it_without_limit() {
        let cache = SchemaCache::new(3);
        for round in 0..100 {
            cache.of(&schema(&format!("f{round}")), |_| Ok::<_, ()>(())).unwrap();
            cache.of(&schema("same"), |_| Ok::<_, ()>(())).unwrap();
        }
        let inner = cache.inner.read();
        assert!(inner.shapes <= 3 && inner.by_address.len() <= 3 * ADDRESSES_PER_SHAPE);
    }
}
