//! Metadata, topics, partitions, configurations.
use crate::support::{
    PATIENCE, READ_UNCOMMITTED, admin, admin_options, config, consumer, create, describe, new_topic, partitions,
    produce, read_all, unique, until, wait,
};
use crate::wire::{Wire, text};
use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::{Duration, Instant};

/// The lowest version that librdkafka 2.12 needs of each API it uses in transactions and groups.
const NEEDED: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 7),
    (ApiKey::Fetch, 11),
    (ApiKey::ListOffsets, 5),
    (ApiKey::Metadata, 9),
    (ApiKey::OffsetCommit, 7),
    (ApiKey::OffsetFetch, 7),
    (ApiKey::FindCoordinator, 2),
    (ApiKey::JoinGroup, 5),
    (ApiKey::SyncGroup, 3),
    (ApiKey::Heartbeat, 3),
    (ApiKey::LeaveGroup, 1),
    (ApiKey::InitProducerId, 4),
    (ApiKey::AddPartitionsToTxn, 0),
    (ApiKey::AddOffsetsToTxn, 0),
    (ApiKey::TxnOffsetCommit, 3),
    (ApiKey::EndTxn, 1),
];

pub(super) fn the_versions_that_librdkafka_needs_are_offered(bs: &str) -> Result<()> {
    let offered = Wire::connect(bs)?.api_versions()?;
    for (api, version) in NEEDED {
        let found = offered.iter().find(|o| o.0 == *api as i16);
        ensure!(found.is_some_and(|o| (o.1..=o.2).contains(version)), "{api:?} {version}: offered {found:?}");
    }
    Ok(())
}

pub(super) fn a_topic_keeps_its_configurations(bs: &str) -> Result<()> {
    let t = unique("configured");
    let configs = [("cleanup.policy", "compact"), ("retention.ms", "123456789"), ("max.message.bytes", "12000000")];
    create(bs, &t, 3, &configs)?;
    let described = describe(bs, &t)?;
    for (k, v) in configs {
        ensure!(described.get(k).map(String::as_str) == Some(v), "{k} is {:?}", described.get(k));
    }
    ensure!(described.contains_key("min.insync.replicas"), "defaults are described too");
    ensure!(partitions(bs, &t)? == 3);
    Ok(())
}

pub(super) fn wrong_topics_are_refused_by_code(bs: &str) -> Result<()> {
    let t = new_topic(bs, "twice")?;
    let refused = |name: &str, n: i32, c: &[(&str, &str)]| match create(bs, name, n, c) {
        Ok(()) => bail!("{name:?} with {n} partitions and {c:?} was created"),
        Err(e) => Ok(format!("{e:#}")),
    };
    let cases = [
        (refused(&t, 1, &[])?, "TopicAlreadyExists"),
        (refused(&unique("bad"), 1, &[("no.such.config", "1")])?, "InvalidConfig"),
        (refused(&unique("bad"), 1, &[("cleanup.policy", "burn")])?, "InvalidConfig"),
        (refused("sp ace", 1, &[])?, "InvalidTopic"),
    ];
    for (said, code) in cases {
        ensure!(said.contains(code), "{said} is not {code}");
    }
    Ok(())
}

pub(super) fn a_topic_is_created_by_its_first_record(bs: &str) -> Result<()> {
    let t = unique("first");
    produce(bs, &t, -1, 3, "a")?;
    ensure!(partitions(bs, &t)? == 1);
    Ok(())
}

pub(super) fn a_subscription_to_an_unknown_topic_is_told(bs: &str) -> Result<()> {
    let c = consumer(bs, &unique("g"), &[("allow.auto.create.topics", "false")])?;
    c.subscribe(&[&unique("nowhere")])?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(Err(e)) = c.poll(Duration::from_millis(100)) {
            ensure!(e.to_string().contains("UnknownTopicOrPartition"), "{e}");
            return Ok(());
        }
    }
    bail!("no error")
}

pub(super) fn configurations_are_replaced(bs: &str) -> Result<()> {
    let t = new_topic(bs, "altered")?;
    let change = AlterConfig::new(ResourceSpecifier::Topic(&t)).set("retention.ms", "77777");
    let results = wait(admin(bs)?.alter_configs(&[change], &admin_options()))?;
    ensure!(results.iter().all(Result::is_ok), "{results:?}");
    until("the new value", PATIENCE, || {
        let value = describe(bs, &t)?.remove("retention.ms");
        ensure!(value.as_deref() == Some("77777"), "{value:?}");
        Ok(())
    })
}

pub(super) fn configurations_are_changed_one_by_one(bs: &str) -> Result<()> {
    let t = unique("incremented");
    create(bs, &t, 1, &[("cleanup.policy", "compact")])?;
    let set = AlterableConfig::default().with_name(text("retention.ms")).with_config_operation(0);
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(&t))
        .with_configs(vec![set.with_value(Some(text("88888")))]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let r: IncrementalAlterConfigsResponse = Wire::connect(bs)?.call(ApiKey::IncrementalAlterConfigs, 1, &request)?;
    ensure!(r.responses.iter().all(|r| r.error_code == 0), "{r:?}");
    until("the new value beside the old one", PATIENCE, || {
        let d = describe(bs, &t)?;
        let both = ("88888", "compact");
        let found =
            (d.get("retention.ms").context("none")?.as_str(), d.get("cleanup.policy").context("none")?.as_str());
        ensure!(found == both, "{found:?}");
        Ok(())
    })
}

pub(super) fn a_topic_gets_more_partitions(bs: &str) -> Result<()> {
    let t = new_topic(bs, "grown")?;
    produce(bs, &t, 0, 2, "old")?;
    let results = wait(admin(bs)?.create_partitions(&[NewPartitions::new(&t, 4)], &admin_options()))?;
    ensure!(results.iter().all(Result::is_ok), "{results:?}");
    until("four partitions", PATIENCE, || {
        let n = partitions(bs, &t)?;
        ensure!(n == 4, "{n}");
        Ok(())
    })?;
    produce(bs, &t, 3, 1, "new")?;
    let all = read_all(bs, &t, 4, READ_UNCOMMITTED)?;
    ensure!(all.iter().filter(|r| r.partition == 0).count() == 2 && all.iter().any(|r| r.partition == 3), "{all:?}");
    Ok(())
}

pub(super) fn a_deleted_topic_is_gone_and_starts_empty_again(bs: &str) -> Result<()> {
    let t = new_topic(bs, "deleted")?;
    produce(bs, &t, 0, 5, "v")?;
    let results = wait(admin(bs)?.delete_topics(&[&t], &admin_options()))?;
    ensure!(results.iter().all(Result::is_ok), "{results:?}");
    until("the topic gone", PATIENCE, || {
        ensure!(partitions(bs, &t)? == 0);
        Ok(())
    })?;
    // Kafka deletes in the background and refuses the name until it is done.
    until("the topic created again", PATIENCE, || create(bs, &t, 1, &[]))?;
    let again = until("reading the new topic", PATIENCE, || read_all(bs, &t, 1, READ_UNCOMMITTED))?;
    ensure!(again.is_empty(), "{} old records", again.len());
    Ok(())
}

pub(super) fn metadata_names_the_broker(bs: &str) -> Result<()> {
    let c: BaseConsumer = config(bs, &[]).create()?;
    let m = c.fetch_metadata(None, PATIENCE)?;
    let brokers: Vec<String> = m.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
    let ports: Vec<_> = brokers.iter().map(|b| b.rsplit(':').next()).collect();
    ensure!(ports == [bs.rsplit(':').next()], "{brokers:?} is not {bs}");
    Ok(())
}

pub(super) fn describing_a_broker_answers(bs: &str) -> Result<()> {
    let c: BaseConsumer = config(bs, &[]).create()?;
    let broker = c.fetch_metadata(None, PATIENCE)?.brokers().first().context("no broker")?.id();
    let results = wait(admin(bs)?.describe_configs(&[ResourceSpecifier::Broker(broker)], &admin_options()))?;
    for r in results {
        let entries = r.map_err(|e| anyhow::anyhow!("{e}"))?.entries;
        ensure!(entries.iter().any(|e| e.name == "num.partitions"), "{} entries", entries.len());
    }
    Ok(())
}
