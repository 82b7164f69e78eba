//! Every key of elastic flow has a test in which changing it changes what happens. A key without one does nothing for all that
//! anybody knows: this list names the test of each, and a key that is not on it fails.
use super::keys;
use std::collections::BTreeSet;
use std::path::Path;

/// Key and test.
const TESTED: &[(&str, &str)] = &[
    ("flow.rate.records", "what_is_measured_in_every_five_seconds_is_what_is_set"),
    ("flow.rate.bytes", "what_is_measured_in_every_five_seconds_is_what_is_set"),
    ("flow.rate.snapshot.records", "rates_of_a_snapshot_and_of_the_stream_do_not_touch_each_other"),
    ("flow.rate.snapshot.bytes", "what_is_measured_in_every_five_seconds_is_what_is_set"),
    ("flow.rate.burst.ms", "the_burst_is_what_goes_at_once_after_a_pause"),
    ("flow.breaker.enable", "it_does_nothing_where_it_is_turned_off_and_ends_the_task_where_that_is_asked_for"),
    ("flow.breaker.consecutive", "it_opens_after_failures_in_a_row_and_probes_at_doubling_distances"),
    ("flow.breaker.ratio", "it_opens_by_the_ratio_of_the_last_minute_and_not_by_what_is_older"),
    ("flow.breaker.min.calls", "it_opens_by_the_ratio_of_the_last_minute_and_not_by_what_is_older"),
    ("flow.breaker.open.ms", "it_closes_after_enough_trials_one_at_a_time"),
    ("flow.breaker.open.max.ms", "it_opens_after_failures_in_a_row_and_probes_at_doubling_distances"),
    ("flow.breaker.successes", "it_closes_after_enough_trials_one_at_a_time"),
    ("flow.breaker.fail.after.ms", "a_breaker_that_stays_open_for_too_long_fails_the_task_where_that_is_asked_for"),
    ("flow.restart.max", "no_restart_where_there_are_to_be_none"),
    ("flow.restart.window.ms", "restarts_are_counted_within_their_window_and_the_last_error_tells_of_them"),
    ("flow.restart.backoff.ms", "waits_grow_up_to_their_limit_and_a_commit_begins_anew"),
    ("flow.restart.backoff.max.ms", "waits_grow_up_to_their_limit_and_a_commit_begins_anew"),
    ("flow.quota.records", "a_quota_is_used_to_its_last_record_and_begins_anew_on_the_wall_of_the_window"),
    ("flow.quota.bytes", "bytes_hold_beside_records_and_the_lower_one_binds"),
    ("flow.quota.window", "a_window_is_one_of_the_calendar_of_its_zone"),
    ("flow.quota.action", "an_alarm_counts_and_gives_nothing_out"),
    ("flow.time.zone", "contents_are_told_only_where_the_worker_allows_it_and_its_webhook_can_be_tried"),
    ("flow.priority", "a_slow_sink_slows_the_unimportant_source_and_a_new_leader_goes_on_with_it"),
    ("flow.weight", "each_key_changes_what_is_seen_of_a_source_whether_it_is_its_own_or_the_workers_default"),
    ("flow.floor.bytes", "each_key_changes_what_is_seen_of_a_source_whether_it_is_its_own_or_the_workers_default"),
    ("flow.lag.control", "an_observed_source_is_told_what_would_be"),
    ("flow.lag.target.ms", "a_slow_sink_slows_the_unimportant_source_and_a_new_leader_goes_on_with_it"),
    ("flow.lag.groups", "a_paused_sink_does_not_steer_and_a_foreign_group_does"),
    ("flow.cap.bytes", "a_capped_topic_never_holds_more_than_its_cap_also_when_the_leader_dies"),
    ("flow.cap.counts", "who_counts_for_a_cap_and_whether_it_holds_change_while_the_source_runs"),
    ("flow.cap.action", "who_counts_for_a_cap_and_whether_it_holds_change_while_the_source_runs"),
    (
        "flow.cap.retention.ratio",
        "each_key_changes_what_is_seen_of_a_source_whether_it_is_its_own_or_the_workers_default",
    ),
    ("flow.batch.mode", "bulk_reads_of_sqlite_are_batches_under_kills"),
    ("flow.batch.publish", "a_batch_takes_the_place_of_a_table_at_once_under_kills"),
    ("flow.batch.kind", "a_batch_of_files_joins_others_at_once"),
    ("flow.batch.keep", "each_sink_keeps_as_many_replaced_versions_as_it_is_told"),
    ("flow.batch.markers", "every_partition_is_told_where_a_batch_begins_and_ends"),
    ("flow.retention.guard", "what_is_not_read_is_told_of_kept_longer_and_let_go_when_it_is_read"),
];

/// Keys whose tests ask for behaviour by other means than the key, or by many: budgets, places.
const ELSEWHERE: [&str; 4] = ["flow.errors.budget.", "flow.task.", "flow.pool", "flow.preemptible"];

/// Keys of the worker that belong to elastic flow.
const OF_WORKERS: &[(&str, &str)] = &[
    ("flow.enable", "without_flow_control_static_rates_hold_and_nothing_else_is_promised"),
    ("flow.storage.topic", "the_workers_defaults_reach_tasks_and_a_connectors_own_keys_go_before_them"),
    ("worker.cpu.goal", "a_worker_at_its_end_limits_what_runs_there_and_no_other_worker"),
    ("worker.memory.bytes", "a_worker_short_of_memory_shrinks_the_batches_of_its_least_important_source_and_says_so"),
    ("flow.hook.url", "breakers_open_and_close_once_over_the_death_of_the_leader_and_lose_nothing"),
    ("flow.hook.secret", "contents_are_told_only_where_the_worker_allows_it_and_its_webhook_can_be_tried"),
    ("flow.data.read.enable", "contents_are_told_only_where_the_worker_allows_it_and_its_webhook_can_be_tried"),
];

fn functions(of: &Path, into: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            functions(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split_once("()"));
            into.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_key_has_a_test_that_changing_it_changes_what_happens() {
    let tested: BTreeSet<&str> = TESTED.iter().map(|(key, _)| *key).collect();
    let is_elsewhere = |key: &&str| ELSEWHERE.iter().any(|prefix| key.starts_with(prefix));
    let known: BTreeSet<&str> = keys().map(|def| def.name).filter(|key| !is_elsewhere(key)).collect();
    let untested: Vec<_> = known.difference(&tested).collect();
    assert!(untested.is_empty(), "no test shows that these keys do anything: {untested:?}");
    let gone: Vec<_> = tested.difference(&known).collect();
    assert!(gone.is_empty(), "there are no such keys any more: {gone:?}");

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for folder in ["config/src", "control", "worker", "integration-tests"] {
        functions(&root.join(folder), &mut names);
    }
    let missing: Vec<_> = TESTED.iter().chain(OF_WORKERS).filter(|(_, test)| !names.contains(*test)).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:?}");
}
