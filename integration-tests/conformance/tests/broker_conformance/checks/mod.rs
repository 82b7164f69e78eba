//! The checks by name. Slow ones first: they run beside all the others.
mod admin;
mod cleaning;
mod fences;
mod groups;
mod log;
mod offsets;
mod positions;
mod txn;

use crate::harness::Check;

macro_rules! checks {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        /// All checks.
        pub(crate) const CHECKS: &[Check] = &[$($((stringify!($name), $module::$name)),+),+];
    };
}

checks! {
    groups:
        a_modern_group_is_assigned_by_the_broker_and_survives_a_killed_member,
        a_static_member_that_comes_back_keeps_its_partitions_and_disturbs_nobody,
        cooperative_members_share_and_a_killed_one_is_replaced,
        eager_members_share_and_a_killed_one_is_replaced,
        a_second_static_member_of_the_same_instance_shuts_the_first_out,
        three_members_settle_and_stay_settled;
    cleaning:
        compaction_keeps_the_newest_record_of_each_key,
        retention_moves_the_start_of_a_partition;
    fences:
        a_transaction_that_is_too_old_is_aborted_by_the_broker,
        offsets_of_a_stale_generation_are_refused_in_a_transaction,
        a_new_owner_aborts_the_old_transaction_and_shuts_the_owner_out,
        a_zombie_is_refused_by_every_request_it_can_send;
    txn:
        transactions_of_several_producers_interleave_in_one_partition,
        a_reader_of_the_end_waits_for_open_transactions,
        undecided_group_offsets_are_not_given_out,
        a_committed_transaction_shows_its_records_and_offsets,
        an_aborted_transaction_shows_nothing,
        an_open_transaction_holds_the_last_stable_offset,
        group_offsets_move_with_their_transaction;
    log:
        an_idempotent_producer_keeps_order_and_dense_offsets,
        a_repeated_batch_is_stored_once_and_a_gap_is_refused,
        headers_keys_values_and_timestamps_come_back_as_they_were,
        log_append_time_replaces_the_clients_timestamps,
        every_codec_is_stored_and_read_back,
        large_records_pass_and_too_large_ones_are_refused,
        a_waiting_fetch_returns_as_soon_as_there_is_a_record,
        four_producers_keep_their_own_order_in_one_partition;
    positions:
        offsets_are_found_by_time,
        the_start_the_end_and_the_largest_timestamp_are_found,
        deleted_records_are_gone_and_the_rest_stays,
        a_consumer_seeks_pauses_and_resumes,
        a_consumer_starts_in_the_middle_of_a_batch,
        a_position_out_of_range_is_reset;
    offsets:
        a_group_resumes_where_it_committed,
        a_group_is_listed_and_described,
        all_offsets_of_a_group_are_read_changed_and_deleted,
        a_deleted_group_has_no_offsets;
    admin:
        the_versions_that_librdkafka_needs_are_offered,
        a_topic_keeps_its_configurations,
        wrong_topics_are_refused_by_code,
        a_topic_is_created_by_its_first_record,
        a_subscription_to_an_unknown_topic_is_told,
        configurations_are_replaced,
        configurations_are_changed_one_by_one,
        a_topic_gets_more_partitions,
        a_deleted_topic_is_gone_and_starts_empty_again,
        metadata_names_the_broker,
        describing_a_broker_answers;
}
