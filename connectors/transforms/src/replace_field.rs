//! `ReplaceField`: leaves fields out, or gives them other names.
use crate::error::config;
use crate::require::{fields_of, map_of, struct_of};
use crate::schemas::{Defaults, PLANS_MAX, field, like, take};
use crate::side::{Change, Configured, Side};
use elasticflow_api::data::{Datum, SchemaRef, Struct, Value};
use elasticflow_api::{RecordError, Result};
use elasticflow_formats::schema_cache::SchemaCache;
use std::collections::BTreeMap;
use std::sync::Arc;

const PURPOSE: &str = "field replacement";

elasticflow_config::settings! {
    /// Settings of `ReplaceField`.
    pub(crate) struct ReplaceFieldConfig {
        /// Fields to leave out; wins over `include`.
        "exclude" => exclude: Vec<String> { default: "" },
        /// Fields to keep; empty keeps all.
        "include" => include: Vec<String> { default: "" },
        /// New names, as `old:new`.
        "renames" => renames: Vec<String> { default: "" },
        /// Whether null fields become their defaults.
        "replace.null.with.default" => replace: bool { default: "true" },
    }
}

pub(crate) struct ReplaceField {
    exclude: Vec<String>,
    include: Vec<String>,
    renames: BTreeMap<String, Arc<str>>,
    replace: bool,
    plans: SchemaCache<Plan>,
}

struct Plan {
    schema: SchemaRef,
    kept: Vec<usize>,
    /// All fields stay, in their places.
    is_all: bool,
    defaults: Defaults,
}

impl Configured for ReplaceField {
    type Config = ReplaceFieldConfig;
    fn configured(c: ReplaceFieldConfig, _: Side) -> Result<Self> {
        let renames = renames(&c.renames)?;
        let (exclude, include) = (c.exclude, c.include);
        Ok(Self { exclude, include, renames, replace: c.replace, plans: SchemaCache::new(PLANS_MAX) })
    }
}

fn renames(mappings: &[String]) -> Result<BTreeMap<String, Arc<str>>> {
    let read = |mapping: &String| match mapping.split(':').collect::<Vec<_>>().as_slice() {
        [old, new] => Ok(((*old).to_owned(), Arc::from(*new))),
        _ => {
            let all = mappings.join(", ");
            Err(config(format!("Invalid value [{all}] for configuration renames: Invalid rename mapping: {mapping}")))
        }
    };
    mappings.iter().map(read).collect()
}

impl Change for ReplaceField {
    fn change(&self, datum: &mut Datum) -> Result<(), RecordError> {
        if datum.value == Value::Null {
            return Ok(());
        }
        let Some(schema) = datum.schema.clone() else {
            let pairs = map_of(datum, PURPOSE)?;
            pairs.retain(|(key, _)| matches!(key, Value::String(name) if self.keeps(name)));
            for (key, _) in pairs {
                if let Value::String(name) = key
                    && let Some(new) = self.renames.get(&**name)
                {
                    *name = (&**new).into();
                }
            }
            return Ok(());
        };
        let record = struct_of(datum, PURPOSE)?;
        let plan = self.plans.of(&schema, |schema| self.plan(schema))?;
        plan.defaults.fill(&mut record.values);
        let values = match plan.is_all {
            true => std::mem::take(&mut record.values),
            false => plan.kept.iter().map(|i| take(&mut record.values, *i)).collect(),
        };
        *record = Struct { schema: Arc::clone(&plan.schema), values };
        datum.schema = Some(Arc::clone(&plan.schema));
        Ok(())
    }
}

impl ReplaceField {
    fn keeps(&self, name: &str) -> bool {
        let in_list = |list: &[String]| list.iter().any(|n| n == name);
        !in_list(&self.exclude) && (self.include.is_empty() || in_list(&self.include))
    }

    fn plan(&self, schema: &SchemaRef) -> Result<Plan, RecordError> {
        let before = fields_of(schema)?;
        let kept: Vec<usize> = before.iter().enumerate().filter(|(_, f)| self.keeps(&f.name)).map(|(i, _)| i).collect();
        let renamed = kept.iter().filter_map(|i| before.get(*i)).map(|f| {
            let name = self.renames.get(&*f.name).unwrap_or(&f.name);
            field(Arc::clone(name), Arc::clone(&f.schema))
        });
        let schema = Arc::new(like(schema, renamed.collect())?);
        let is_all = kept.len() == before.len();
        Ok(Plan { schema, kept, is_all, defaults: Defaults::of(before, self.replace) })
    }
}
