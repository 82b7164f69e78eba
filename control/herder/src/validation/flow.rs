//! Keys of elastic flow. Connect's answers do not list them, so they are listed only for whoever uses one.
use super::report::Report;
use super::{Input, batches};
use elasticflow_config::KeyInfo;
use elasticflow_config::check::{MessageNames, check_key};
use elasticflow_config::flow::{self, Direction};

/// Key of error budgets.
const BUDGET: &str = "flow.errors.budget.records";
/// Key of error budgets as a share.
const SHARE: &str = "flow.errors.budget.ratio";

/// Lists the keys that are honoured, and refuses every other one that begins with `flow.`: a limit that is accepted and
/// ignored would be found out too late.
pub(super) fn check(input: &Input<'_>, report: &mut Report) {
    let posted: Vec<&String> = input.posted.0.keys().filter(|key| key.starts_with(flow::PREFIX)).collect();
    if posted.is_empty() {
        return;
    }
    let direction = if input.is_source() { Direction::Source } else { Direction::Sink };
    report.group("Flow");
    let posted_values = posted.iter().filter_map(|key| Some(((*key).clone(), input.resolved.value(key)?.to_owned())));
    let mut wrong = flow::check_values(&posted_values.collect()).errors;
    let skips = input.resolved.value("errors.tolerance").is_some_and(|text| text.trim().eq_ignore_ascii_case("all"));
    for key in [BUDGET, SHARE] {
        if !skips && input.resolved.value(key).is_some_and(|text| text.trim() != "-1") {
            let message = format!("{key} needs errors.tolerance=all: without it the first bad record fails the task");
            wrong.entry(key.to_owned()).or_default().push(message);
        }
    }
    batches::check(input, &mut wrong);
    for def in flow::keys().filter(|def| flow::problem(def.name, direction).is_none()) {
        let mut checked = check_key(def, input.resolved, MessageNames { typed: def.name, checked: def.name });
        if flow::is_read_as_stored(def.name) && input.posted.value(def.name).is_some_and(|text| text.contains("${")) {
            checked.errors = vec![format!(
                "{} cannot be a reference: the leader reads it as it is stored; write its value",
                def.name
            )];
        }
        // What the type of the value demands beyond that of its text.
        if checked.errors.is_empty() {
            checked.errors = wrong.remove(def.name).unwrap_or_default();
        }
        report.add(KeyInfo::new(def.name, def), checked, Vec::new());
    }
    for key in posted {
        if let Some(message) = flow::problem(key, direction) {
            report.undefined_error(key, input.posted.value(key), message);
        }
    }
}
