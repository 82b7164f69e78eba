//! Records that are changes: created, updated, deleted, with the row before and after.
//!
//! Which row a record changes, and how, is a pure function of its number: records come in rounds, and a round creates some
//! rows, updates them in turn, and deletes some of them. So the row before a change is known without the records before it.
use crate::fields::{named, plain};
use elasticflow_api::data::{Field, Kind, Schema, SchemaRef, Struct, Text, Value};
use std::sync::Arc;

/// Most records of a round.
const ROUND_MAX: u64 = 1_000_000;

/// How many of a round's records create, update and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ops {
    creates: u64,
    updates: u64,
    deletes: u64,
}

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Update,
    Delete,
}

/// A record's change: of which row, and to which version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) change: Change,
    pub(crate) row: u64,
    /// The version after it; of a deleted row the last one.
    pub(crate) version: u64,
}

impl Ops {
    /// From `c:u:d`; `None` where every record creates.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, String> {
        let wrong = || "must be three whole numbers c:u:d, such as 5:4:1".to_owned();
        let parts: Vec<u64> =
            text.split(':').map(|part| part.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        let [creates, updates, deletes] = parts.as_slice() else { return Err(wrong()) };
        let ops = Self { creates: *creates, updates: *updates, deletes: *deletes };
        if ops.creates == 0 || ops.deletes > ops.creates {
            return Err("a round must create rows, and can delete no more than it has created".to_owned());
        }
        if parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part)).is_none_or(|sum| sum > ROUND_MAX) {
            return Err(format!("a round has at most {ROUND_MAX} records"));
        }
        Ok((ops.updates + ops.deletes > 0).then_some(ops))
    }

    /// What record `n` does.
    pub(crate) fn step(self, n: u64) -> Step {
        let round = self.creates + self.updates + self.deletes;
        let (number, at) = (n / round, n % round);
        let row = |within: u64| number * self.creates + within;
        if at < self.creates {
            return Step { change: Change::Create, row: row(at), version: 0 };
        }
        let at = at - self.creates;
        if at < self.updates {
            return Step { change: Change::Update, row: row(at % self.creates), version: 1 + at / self.creates };
        }
        let at = at - self.updates;
        let more = u64::from(self.updates % self.creates > at);
        Step { change: Change::Delete, row: row(at), version: self.updates / self.creates + more }
    }
}

/// The schema of changes of rows, in Debezium's form.
pub(crate) fn envelope(row: &SchemaRef) -> SchemaRef {
    let row = Arc::new(Schema { optional: true, ..Schema::clone(row) });
    let field = |name: &str, schema: SchemaRef| Field { name: name.into(), schema };
    let text = Arc::new(plain(Kind::String));
    let time = Arc::new(plain(Kind::Int64));
    let source =
        [field("connector", Arc::clone(&text)), field("name", Arc::clone(&text)), field("ts_ms", Arc::clone(&time))];
    let source = Schema { version: None, ..named(Kind::Struct(source.into()), "elasticflow.datagen.Source") };
    let fields = [
        field("before", Arc::clone(&row)),
        field("after", row),
        field("source", Arc::new(source)),
        field("op", text),
        field("ts_ms", time),
    ];
    Arc::new(Schema { version: None, ..named(Kind::Struct(fields.into()), "elasticflow.datagen.Envelope") })
}

/// A change with its rows.
pub(crate) fn changed(
    schema: &SchemaRef,
    (change, name, now_ms): (Change, &str, i64),
    (before, after): (Option<Vec<Value>>, Option<Vec<Value>>),
) -> Value {
    let Kind::Struct(fields) = &schema.kind else { return Value::Null };
    let of = |at: usize, values: Vec<Value>| {
        fields.get(at).map_or(Value::Null, |field| Value::Struct(Struct { schema: Arc::clone(&field.schema), values }))
    };
    let op = match change {
        Change::Create => "c",
        Change::Update => "u",
        Change::Delete => "d",
    };
    let text = |text: &str| Value::String(Text::from(text));
    let source = of(2, vec![text("datagen"), text(name), Value::Int64(now_ms)]);
    let (before, after) = (before.map_or(Value::Null, |row| of(0, row)), after.map_or(Value::Null, |row| of(1, row)));
    let values = vec![before, after, source, text(op), Value::Int64(now_ms)];
    Value::Struct(Struct { schema: Arc::clone(schema), values })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_change_follows_from_those_before_it() {
        for text in ["1:1:1", "5:4:1", "3:7:2", "2:0:2", "4:9:0"] {
            let ops = Ops::parse(text).unwrap().unwrap();
            let mut rows = BTreeMap::new();
            for n in 0..500 {
                let Step { change, row, version } = ops.step(n);
                match change {
                    Change::Create => assert!(rows.insert(row, version).is_none(), "{text} {n}"),
                    Change::Update => assert_eq!(rows.insert(row, version), Some(version - 1), "{text} {n}"),
                    Change::Delete => assert_eq!(rows.remove(&row), Some(version), "{text} {n}"),
                }
            }
        }
    }

    #[test]
    fn rounds_that_cannot_be_are_refused() {
        assert_eq!(Ops::parse("1:0:0"), Ok(None));
        for wrong in ["", "1:2", "a:b:c", "0:1:0", "1:0:2", "1:1:1:1", "9999999:0:1"] {
            assert!(Ops::parse(wrong).is_err(), "{wrong}");
        }
    }
}
