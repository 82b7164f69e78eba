//! Keys that are specified and not honoured yet: refused, never ignored. A key leaves this list for the struct that reads
//! it.

pub(super) const KEYS: &[&str] = &[
    "flow.batch.foreign",
    "flow.store",
    "flow.store.keep",
    "flow.run.mode",
    "flow.run.max.records",
    "flow.run.max.bytes",
    "flow.run.max.ms",
    "flow.run.idle",
    "flow.run.done",
    "flow.verify.after.run",
    "flow.verify.sample",
    "flow.verify.rate.bytes",
    "flow.group",
    "flow.project",
    "flow.owner",
    "flow.labels",
    "flow.description",
];
