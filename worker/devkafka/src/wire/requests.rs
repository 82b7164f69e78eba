//! Every request the broker understands: API, versions, and the shape of its body.
//!
//! The one table of versions: what is not here is neither advertised nor decoded. It stops on purpose below Fetch 13
//! (topic ids), Produce 10, and the transaction versions of KIP-890.
use kafka_protocol::messages::ApiKey;

/// ApiVersions, which a client may send in any version.
pub(crate) const API_VERSIONS: i16 = ApiKey::ApiVersions as i16;
/// Highest version of ApiVersions; a higher one is answered in version 0.
pub(crate) const API_VERSIONS_MAX: i16 = 3;

/// (API, first version, last version, shape of the body; see [`shape`](super::shape)).
pub(crate) type Request = (ApiKey, i16, i16, &'static str);

#[rustfmt::skip]
pub(crate) const REQUESTS: &[Request] = &[
    (ApiKey::Produce, 3, 8, "s 2 4 [s [4 b]]"),
    (ApiKey::Produce, 9, 9, "s 2 4 [s [4 b t] t] t"),
    (ApiKey::Fetch, 4, 4, "4 4 4 4 1 [s [4 8 4]]"),
    (ApiKey::Fetch, 5, 6, "4 4 4 4 1 [s [4 8 8 4]]"),
    (ApiKey::Fetch, 7, 8, "4 4 4 4 1 4 4 [s [4 8 8 4]] [s [4]]"),
    (ApiKey::Fetch, 9, 10, "4 4 4 4 1 4 4 [s [4 4 8 8 4]] [s [4]]"),
    (ApiKey::Fetch, 11, 11, "4 4 4 4 1 4 4 [s [4 4 8 8 4]] [s [4]] s"),
    (ApiKey::Fetch, 12, 12, "4 4 4 4 1 4 4 [s [4 4 8 4 8 4 t] t] [s [4] t] s t"),
    (ApiKey::ListOffsets, 1, 1, "4 [s [4 8]]"),
    (ApiKey::ListOffsets, 2, 3, "4 1 [s [4 8]]"),
    (ApiKey::ListOffsets, 4, 5, "4 1 [s [4 4 8]]"),
    (ApiKey::ListOffsets, 6, 8, "4 1 [s [4 4 8 t] t] t"),
    (ApiKey::Metadata, 0, 3, "[s]"),
    (ApiKey::Metadata, 4, 7, "[s] 1"),
    (ApiKey::Metadata, 8, 8, "[s] 1 1 1"),
    (ApiKey::Metadata, 9, 9, "[s t] 1 1 1 t"),
    (ApiKey::Metadata, 10, 10, "[16 s t] 1 1 1 t"),
    (ApiKey::Metadata, 11, 12, "[16 s t] 1 1 t"),
    (ApiKey::OffsetCommit, 2, 4, "s 4 s 8 [s [4 8 s]]"),
    (ApiKey::OffsetCommit, 5, 5, "s 4 s [s [4 8 s]]"),
    (ApiKey::OffsetCommit, 6, 6, "s 4 s [s [4 8 4 s]]"),
    (ApiKey::OffsetCommit, 7, 7, "s 4 s s [s [4 8 4 s]]"),
    (ApiKey::OffsetCommit, 8, 9, "s 4 s s [s [4 8 4 s t] t] t"),
    (ApiKey::OffsetFetch, 1, 5, "s [s [4]]"),
    (ApiKey::OffsetFetch, 6, 6, "s [s [4] t] t"),
    (ApiKey::OffsetFetch, 7, 7, "s [s [4] t] 1 t"),
    (ApiKey::OffsetFetch, 8, 8, "[s [s [4] t] t] 1 t"),
    (ApiKey::OffsetFetch, 9, 9, "[s s 4 [s [4] t] t] 1 t"),
    (ApiKey::FindCoordinator, 0, 0, "s"),
    (ApiKey::FindCoordinator, 1, 2, "s 1"),
    (ApiKey::FindCoordinator, 3, 3, "s 1 t"),
    (ApiKey::FindCoordinator, 4, 4, "1 [s] t"),
    (ApiKey::JoinGroup, 0, 0, "s 4 s s [s b]"),
    (ApiKey::JoinGroup, 1, 4, "s 4 4 s s [s b]"),
    (ApiKey::JoinGroup, 5, 5, "s 4 4 s s s [s b]"),
    (ApiKey::JoinGroup, 6, 7, "s 4 4 s s s [s b t] t"),
    (ApiKey::JoinGroup, 8, 9, "s 4 4 s s s [s b t] s t"),
    (ApiKey::Heartbeat, 0, 2, "s 4 s"),
    (ApiKey::Heartbeat, 3, 3, "s 4 s s"),
    (ApiKey::Heartbeat, 4, 4, "s 4 s s t"),
    (ApiKey::LeaveGroup, 0, 2, "s s"),
    (ApiKey::LeaveGroup, 3, 3, "s [s s]"),
    (ApiKey::LeaveGroup, 4, 4, "s [s s t] t"),
    (ApiKey::LeaveGroup, 5, 5, "s [s s s t] t"),
    (ApiKey::SyncGroup, 0, 2, "s 4 s [s b]"),
    (ApiKey::SyncGroup, 3, 3, "s 4 s s [s b]"),
    (ApiKey::SyncGroup, 4, 4, "s 4 s s [s b t] t"),
    (ApiKey::SyncGroup, 5, 5, "s 4 s s s s [s b t] t"),
    (ApiKey::DescribeGroups, 0, 2, "[s]"),
    (ApiKey::DescribeGroups, 3, 4, "[s] 1"),
    (ApiKey::DescribeGroups, 5, 5, "[s] 1 t"),
    (ApiKey::ListGroups, 0, 2, ""),
    (ApiKey::ListGroups, 3, 3, "t"),
    (ApiKey::ListGroups, 4, 4, "[s] t"),
    (ApiKey::CreateTopics, 2, 4, "[s 4 2 [4 [4]] [s s]] 4 1"),
    (ApiKey::CreateTopics, 5, 7, "[s 4 2 [4 [4] t] [s s t] t] 4 1 t"),
    (ApiKey::DeleteTopics, 1, 3, "[s] 4"),
    (ApiKey::DeleteTopics, 4, 5, "[s] 4 t"),
    (ApiKey::DeleteRecords, 0, 1, "[s [4 8]] 4"),
    (ApiKey::DeleteRecords, 2, 2, "[s [4 8 t] t] 4 t"),
    (ApiKey::InitProducerId, 0, 1, "s 4"),
    (ApiKey::InitProducerId, 2, 2, "s 4 t"),
    (ApiKey::InitProducerId, 3, 4, "s 4 8 2 t"),
    (ApiKey::OffsetForLeaderEpoch, 2, 2, "[s [4 4 4]]"),
    (ApiKey::OffsetForLeaderEpoch, 3, 3, "4 [s [4 4 4]]"),
    (ApiKey::OffsetForLeaderEpoch, 4, 4, "4 [s [4 4 4 t] t] t"),
    (ApiKey::AddPartitionsToTxn, 0, 2, "s 8 2 [s [4]]"),
    (ApiKey::AddPartitionsToTxn, 3, 3, "s 8 2 [s [4] t] t"),
    (ApiKey::AddOffsetsToTxn, 0, 2, "s 8 2 s"),
    (ApiKey::AddOffsetsToTxn, 3, 3, "s 8 2 s t"),
    (ApiKey::EndTxn, 0, 2, "s 8 2 1"),
    (ApiKey::EndTxn, 3, 3, "s 8 2 1 t"),
    (ApiKey::TxnOffsetCommit, 0, 1, "s s 8 2 [s [4 8 s]]"),
    (ApiKey::TxnOffsetCommit, 2, 2, "s s 8 2 [s [4 8 4 s]]"),
    (ApiKey::TxnOffsetCommit, 3, 3, "s s 8 2 4 s s [s [4 8 4 s t] t] t"),
    (ApiKey::DescribeConfigs, 1, 2, "[1 s [s]] 1"),
    (ApiKey::DescribeConfigs, 3, 3, "[1 s [s]] 1 1"),
    (ApiKey::DescribeConfigs, 4, 4, "[1 s [s] t] 1 1 t"),
    (ApiKey::AlterConfigs, 0, 1, "[1 s [s s]] 1"),
    (ApiKey::AlterConfigs, 2, 2, "[1 s [s s t] t] 1 t"),
    (ApiKey::CreatePartitions, 0, 1, "[s 4 [[4]]] 4 1"),
    (ApiKey::CreatePartitions, 2, 3, "[s 4 [[4] t] t] 4 1 t"),
    (ApiKey::DeleteGroups, 0, 1, "[s]"),
    (ApiKey::DeleteGroups, 2, 2, "[s] t"),
    (ApiKey::IncrementalAlterConfigs, 0, 0, "[1 s [s 1 s]] 1"),
    (ApiKey::IncrementalAlterConfigs, 1, 1, "[1 s [s 1 s t] t] 1 t"),
    (ApiKey::OffsetDelete, 0, 0, "s [s [4]]"),
    (ApiKey::DescribeCluster, 0, 0, "1 t"),
    (ApiKey::DescribeCluster, 1, 1, "1 1 t"),
    (ApiKey::ConsumerGroupHeartbeat, 0, 0, "s s 4 s s 4 [s] s [16 [4] t] t"),
    (ApiKey::ConsumerGroupHeartbeat, 1, 1, "s s 4 s s 4 [s] s s [16 [4] t] t"),
    (ApiKey::ConsumerGroupDescribe, 0, 0, "[s] 1 t"),
];

/// The API and body shape of a request, if this broker understands it.
pub(crate) fn find(key: i16, version: i16) -> Option<(ApiKey, &'static str)> {
    let fits = |r: &&Request| r.0 as i16 == key && (r.1..=r.2).contains(&version);
    REQUESTS.iter().find(fits).map(|r| (r.0, r.3))
}

/// (API key, lowest version, highest version), in the order of the keys.
pub(crate) fn advertised() -> Vec<(i16, i16, i16)> {
    let mut all = vec![(API_VERSIONS, 0, API_VERSIONS_MAX)];
    for (api, first, last, _) in REQUESTS {
        match all.iter_mut().find(|a| a.0 == *api as i16) {
            Some(a) => *a = (a.0, a.1.min(*first), a.2.max(*last)),
            None => all.push((*api as i16, *first, *last)),
        }
    }
    all.sort_unstable();
    all
}
