//! The one table from librdkafka's codes to what the caller may do next.
use super::rights;
use crate::native::{Code, Refusal, describe};
use crate::ports::KafkaError;

/// The classes of [`KafkaError`], without words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Retriable,
    Abortable,
    Fenced,
    Fatal,
    Record,
    Config,
}

/// One row per code. Flags of an error object win over its row: fatal over abortable over the class here.
const TABLE: &[(Code, Class)] = {
    use Class::{Abortable, Config, Fatal, Fenced, Record, Retriable};
    &[
        // --- of the client itself ---
        (Code::Begin, Fatal),
        (Code::BadMessage, Fatal),
        (Code::BadCompression, Fatal),
        (Code::BrokerDestroy, Fatal),
        (Code::Fail, Retriable),
        (Code::BrokerTransportFailure, Retriable),
        (Code::CriticalSystemResource, Retriable),
        (Code::Resolve, Retriable),
        (Code::MessageTimedOut, Retriable),
        (Code::PartitionEOF, Retriable),
        (Code::UnknownPartition, Config),
        (Code::FileSystem, Config),
        (Code::UnknownTopic, Config),
        (Code::AllBrokersDown, Retriable),
        (Code::InvalidArgument, Config),
        (Code::OperationTimedOut, Retriable),
        (Code::QueueFull, Retriable),
        (Code::ISRInsufficient, Retriable),
        (Code::NodeUpdate, Retriable),
        (Code::SSL, Config),
        (Code::WaitingForCoordinator, Retriable),
        (Code::UnknownGroup, Config),
        (Code::InProgress, Retriable),
        (Code::PreviousInProgress, Retriable),
        (Code::ExistingSubscription, Fatal),
        (Code::AssignPartitions, Retriable),
        (Code::RevokePartitions, Retriable),
        (Code::Conflict, Retriable),
        (Code::State, Abortable),
        (Code::UnknownProtocol, Config),
        (Code::NotImplemented, Config),
        (Code::Authentication, Config),
        (Code::NoOffset, Retriable),
        (Code::Outdated, Retriable),
        (Code::TimedOutQueue, Retriable),
        (Code::UnsupportedFeature, Config),
        (Code::WaitCache, Retriable),
        (Code::Interrupted, Retriable),
        (Code::KeySerialization, Record),
        (Code::ValueSerialization, Record),
        (Code::KeyDeserialization, Record),
        (Code::ValueDeserialization, Record),
        (Code::Partial, Retriable),
        (Code::ReadOnly, Config),
        (Code::NoEnt, Retriable),
        (Code::Underflow, Retriable),
        (Code::InvalidType, Config),
        (Code::Retry, Retriable),
        (Code::PurgeQueue, Abortable),
        (Code::PurgeInflight, Abortable),
        (Code::Fatal, Fatal),
        (Code::Inconsistent, Abortable),
        (Code::GaplessGuarantee, Fatal),
        (Code::PollExceeded, Retriable),
        (Code::UnknownBroker, Retriable),
        (Code::NotConfigured, Config),
        (Code::Fenced, Fenced),
        (Code::Application, Fatal),
        (Code::AssignmentLost, Retriable),
        (Code::Noop, Retriable),
        (Code::AutoOffsetReset, Config),
        (Code::LogTruncation, Fatal),
        (Code::InvalidDifferentRecord, Abortable),
        (Code::DestroyBroker, Retriable),
        (Code::End, Fatal),
        // --- of brokers ---
        (Code::Unknown, Retriable),
        (Code::NoError, Retriable),
        (Code::OffsetOutOfRange, Config),
        (Code::InvalidMessage, Retriable),
        (Code::UnknownTopicOrPartition, Config),
        (Code::InvalidMessageSize, Record),
        (Code::LeaderNotAvailable, Retriable),
        (Code::NotLeaderForPartition, Retriable),
        (Code::RequestTimedOut, Retriable),
        (Code::BrokerNotAvailable, Retriable),
        (Code::ReplicaNotAvailable, Retriable),
        (Code::MessageSizeTooLarge, Record),
        (Code::StaleControllerEpoch, Retriable),
        (Code::OffsetMetadataTooLarge, Config),
        (Code::NetworkException, Retriable),
        (Code::CoordinatorLoadInProgress, Retriable),
        (Code::CoordinatorNotAvailable, Retriable),
        (Code::NotCoordinator, Retriable),
        (Code::InvalidTopic, Config),
        (Code::MessageBatchTooLarge, Record),
        (Code::NotEnoughReplicas, Retriable),
        (Code::NotEnoughReplicasAfterAppend, Retriable),
        (Code::InvalidRequiredAcks, Config),
        (Code::IllegalGeneration, Abortable),
        (Code::InconsistentGroupProtocol, Config),
        (Code::InvalidGroupId, Config),
        (Code::UnknownMemberId, Abortable),
        (Code::InvalidSessionTimeout, Config),
        (Code::RebalanceInProgress, Retriable),
        (Code::InvalidCommitOffsetSize, Config),
        (Code::TopicAuthorizationFailed, Config),
        (Code::GroupAuthorizationFailed, Config),
        (Code::ClusterAuthorizationFailed, Config),
        (Code::InvalidTimestamp, Record),
        (Code::UnsupportedSASLMechanism, Config),
        (Code::IllegalSASLState, Config),
        (Code::UnsupportedVersion, Config),
        (Code::TopicAlreadyExists, Config),
        (Code::InvalidPartitions, Config),
        (Code::InvalidReplicationFactor, Config),
        (Code::InvalidReplicaAssignment, Config),
        (Code::InvalidConfig, Config),
        (Code::NotController, Retriable),
        (Code::InvalidRequest, Fatal),
        (Code::UnsupportedForMessageFormat, Config),
        (Code::PolicyViolation, Config),
        (Code::OutOfOrderSequenceNumber, Fatal),
        (Code::DuplicateSequenceNumber, Retriable),
        (Code::InvalidProducerEpoch, Fenced),
        (Code::InvalidTransactionalState, Fatal),
        (Code::InvalidProducerIdMapping, Abortable),
        (Code::InvalidTransactionTimeout, Config),
        (Code::ConcurrentTransactions, Retriable),
        (Code::TransactionCoordinatorFenced, Retriable),
        (Code::TransactionalIdAuthorizationFailed, Config),
        (Code::SecurityDisabled, Config),
        (Code::OperationNotAttempted, Retriable),
        (Code::KafkaStorageError, Retriable),
        (Code::LogDirNotFound, Retriable),
        (Code::SaslAuthenticationFailed, Config),
        (Code::UnknownProducerId, Abortable),
        (Code::ReassignmentInProgress, Retriable),
        (Code::DelegationTokenAuthDisabled, Config),
        (Code::DelegationTokenNotFound, Config),
        (Code::DelegationTokenOwnerMismatch, Config),
        (Code::DelegationTokenRequestNotAllowed, Config),
        (Code::DelegationTokenAuthorizationFailed, Config),
        (Code::DelegationTokenExpired, Config),
        (Code::InvalidPrincipalType, Config),
        (Code::NonEmptyGroup, Config),
        (Code::GroupIdNotFound, Config),
        (Code::FetchSessionIdNotFound, Retriable),
        (Code::InvalidFetchSessionEpoch, Retriable),
        (Code::ListenerNotFound, Retriable),
        (Code::TopicDeletionDisabled, Config),
        (Code::FencedLeaderEpoch, Retriable),
        (Code::UnknownLeaderEpoch, Retriable),
        (Code::UnsupportedCompressionType, Config),
        (Code::StaleBrokerEpoch, Retriable),
        (Code::OffsetNotAvailable, Retriable),
        (Code::MemberIdRequired, Retriable),
        (Code::PreferredLeaderNotAvailable, Retriable),
        (Code::GroupMaxSizeReached, Config),
        (Code::FencedInstanceId, Fenced),
        (Code::EligibleLeadersNotAvailable, Retriable),
        (Code::ElectionNotNeeded, Retriable),
        (Code::NoReassignmentInProgress, Retriable),
        (Code::GroupSubscribedToTopic, Config),
        (Code::InvalidRecord, Record),
        (Code::UnstableOffsetCommit, Retriable),
        (Code::ThrottlingQuotaExceeded, Retriable),
        (Code::ProducerFenced, Fenced),
        (Code::ResourceNotFound, Config),
        (Code::DuplicateResource, Config),
        (Code::UnacceptableCredential, Config),
        (Code::InconsistentVoterSet, Fatal),
        (Code::InvalidUpdateVersion, Fatal),
        (Code::FeatureUpdateFailed, Fatal),
        (Code::PrincipalDeserializationFailure, Config),
        (Code::UnknownTopicId, Retriable),
        (Code::FencedMemberEpoch, Retriable),
        (Code::UnreleasedInstanceId, Config),
        (Code::UnsupportedAssignor, Config),
        (Code::StaleMemberEpoch, Retriable),
        (Code::UnknownSubscriptionId, Retriable),
        (Code::TelemetryTooLarge, Retriable),
        (Code::RebootstrapRequired, Retriable),
    ]
};

/// The class of a bare code. A code without a row is an answer nobody has judged: the client is thrown away.
pub(crate) fn class_of(code: Code) -> Class {
    TABLE.iter().find(|(known, _)| *known == code).map_or(Class::Fatal, |(_, class)| *class)
}

/// The class of a refusal: its flags first, then its code.
pub(crate) fn class(refusal: &Refusal) -> Class {
    match class_of(refusal.code) {
        Class::Fenced => Class::Fenced,
        // A missing right does not come back by itself, whatever state it leaves the client in.
        Class::Config if refusal.fatal => Class::Config,
        _ if refusal.fatal => Class::Fatal,
        _ if refusal.abortable => Class::Abortable,
        class => class,
    }
}

/// The error of a class.
pub(crate) fn error(class: Class, text: String) -> KafkaError {
    match class {
        Class::Retriable => KafkaError::Retriable(text),
        Class::Abortable => KafkaError::Abortable(text),
        Class::Fenced => KafkaError::Fenced,
        Class::Fatal => KafkaError::Fatal(text),
        Class::Record => KafkaError::Record(text),
        Class::Config => KafkaError::Config(text),
    }
}

/// The error of a refusal; `doing` says what was asked, as in "cannot create topic `a`".
pub(crate) fn refused(doing: &str, refusal: &Refusal) -> KafkaError {
    error(class(refusal), sentence(doing, refusal))
}

/// The error of a refusal outside a transaction, where nothing can be aborted: such a call may be made again.
pub(crate) fn refused_plainly(doing: &str, refusal: &Refusal) -> KafkaError {
    plain(refused(doing, refusal))
}

/// Outside transactions nothing is there to abort.
pub(crate) fn plain(error: KafkaError) -> KafkaError {
    match error {
        KafkaError::Abortable(why) => KafkaError::Retriable(why),
        error => error,
    }
}

/// What was asked, the code's words, and what to do where that is known.
pub(crate) fn sentence(doing: &str, refusal: &Refusal) -> String {
    let words = if refusal.text.is_empty() { describe(refusal.code) } else { refusal.text.clone() };
    if let Some(right) = rights::advice(refusal.code, doing, &words) {
        return format!("{doing}: {words}; {right}");
    }
    match advice(refusal.code) {
        "" => format!("{doing}: {words}"),
        advice => format!("{doing}: {words}; {advice}"),
    }
}

/// What the user can do about a code.
fn advice(code: Code) -> &'static str {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check sasl.mechanism and the login in sasl.jaas.config"
        }
        Code::SSL => {
            "check ssl.truststore.location and that the broker's certificate names its host; a broker that asks for the client's certificate needs ssl.keystore.location"
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
            "raise producer.max.request.size and the topic's max.message.bytes, or make the record smaller"
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            "create the topic, or set topic.creation.default.partitions"
        }
        Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve => {
            "check bootstrap.servers, that the brokers can be reached and speak security.protocol, and, where they ask for client certificates, ssl.keystore.location"
        }
        Code::InvalidTransactionTimeout => {
            "lower producer.transaction.timeout.ms or raise the broker's transaction.max.timeout.ms"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_code_of_the_library_has_exactly_one_row() {
        let mut rows: BTreeMap<i32, usize> = BTreeMap::new();
        for (code, _) in TABLE {
            *rows.entry(*code as i32).or_default() += 1;
        }
        let doubled: Vec<_> = rows.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "codes with more than one row: {doubled:?}");
        let missing: Vec<_> =
            crate::native::every_code().into_iter().filter(|(code, _)| !rows.contains_key(code)).collect();
        assert!(missing.is_empty(), "codes without a row: {missing:?}");
    }

    #[test]
    fn the_code_table_of_the_library_is_read_at_all() {
        assert!(crate::native::every_code().len() > 150);
    }

    fn refusal(code: Code, fatal: bool, abortable: bool) -> Refusal {
        Refusal { fatal, abortable, ..Refusal::of(code) }
    }

    #[test]
    fn flags_and_codes_give_the_class() {
        let cases = [
            (Code::OperationTimedOut, false, false, Class::Retriable),
            (Code::OperationTimedOut, false, true, Class::Abortable),
            (Code::OperationTimedOut, true, true, Class::Fatal),
            (Code::InvalidProducerEpoch, true, false, Class::Fenced),
            (Code::ProducerFenced, false, false, Class::Fenced),
            (Code::Fenced, true, false, Class::Fenced),
            (Code::MessageSizeTooLarge, false, false, Class::Record),
            (Code::TopicAuthorizationFailed, false, false, Class::Config),
            (Code::TransactionalIdAuthorizationFailed, true, false, Class::Config),
            (Code::UnknownTopicOrPartition, false, false, Class::Config),
            (Code::IllegalGeneration, false, true, Class::Abortable),
        ];
        for (code, fatal, abortable, expected) in cases {
            assert_eq!(class(&refusal(code, fatal, abortable)), expected, "{code:?} {fatal} {abortable}");
        }
    }

    #[test]
    fn a_missing_right_says_which_one_to_grant() {
        let error = refused("cannot write to topic `a`", &Refusal::of(Code::TopicAuthorizationFailed));
        assert!(error.to_string().contains("no right WRITE on topic `a`"), "{error}");
        assert!(matches!(error, KafkaError::Config(_)));
    }
}
