//! Whatever bytes come: an answer or a closed connection, never a panic, never memory for a length that is a lie.
//!
//! Bodies are made from the shapes themselves. That they are decoded to their last byte shows that each shape says what
//! the decoder does.
use super::super::frame::{self, Closed, InFlight};
use super::super::requests::{self, REQUESTS};
use super::*;
use crate::clock::Clock;
use crate::config::{Config, Limits};
use crate::log::{Partition, split};
use crate::state::State;
use crate::testing::{BatchSpec, settings};
use kafka_protocol::messages::ApiKey;
use proptest::prelude::{any, prop, prop_assert, proptest};
use proptest::test_runner::Config as Cases;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// A broker without a listener, with topic `t`.
fn broker() -> Shared {
    let config = Config { limits: Limits { partitions: 64, ..Limits::default() }, ..Config::default() };
    let mut state = State::new(&config, SocketAddr::from((Ipv4Addr::LOCALHOST, 9092)));
    state.create_topic("t", 2, BTreeMap::from([("cleanup.policy".into(), "compact".into())])).unwrap();
    Shared::new(state, Clock::start(), config.limits)
}

/// Bodies of a shape.
struct Maker {
    random: SmallRng,
    flexible: bool,
    out: Vec<u8>,
}

impl Maker {
    fn body(shape: &str, seed: u64) -> Vec<u8> {
        let mut m = Maker { random: SmallRng::seed_from_u64(seed), flexible: shape.ends_with('t'), out: vec![] };
        m.fields(shape);
        m.out
    }

    fn fields(&mut self, shape: &str) {
        let mut depth = 0;
        let fields = shape.split(|c: char| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            c == ' ' && depth == 0
        });
        for field in fields.filter(|f| !f.is_empty()) {
            match field {
                "s" => self.text(),
                "b" => self.blob(),
                "t" => self.tagged(),
                width if !field.starts_with('[') => self.number(width.parse().unwrap()),
                list => self.array(list.strip_prefix('[').and_then(|l| l.strip_suffix(']')).unwrap()),
            }
        }
    }

    fn length(&mut self, n: usize, width: usize) {
        if self.flexible {
            self.varint(n + 1);
        } else {
            let bytes = (n as u32).to_be_bytes();
            self.out.extend_from_slice(&bytes[4 - width..]);
        }
    }

    fn varint(&mut self, mut n: usize) {
        while n >= 0x80 {
            self.out.push((n as u8) | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    fn text(&mut self) {
        let words = ["", "t", "g", "id", "consumer", "cleanup.policy", "a longer text than the others"];
        let word = words[self.random.random_range(0..words.len())];
        self.length(word.len(), 2);
        self.out.extend_from_slice(word.as_bytes());
    }

    fn blob(&mut self) {
        let batch = BatchSpec::transactional(1_000, 0, 0, 2).bytes();
        let bytes = if self.random.random_bool(0.5) { &batch[..] } else { b"no batch" };
        self.length(bytes.len(), 4);
        self.out.extend_from_slice(bytes);
    }

    fn tagged(&mut self) {
        let n = self.random.random_range(0..2);
        self.varint(n);
        for _ in 0..n {
            self.varint(1_000); // a tag that nobody knows
            self.varint(3);
            self.out.extend_from_slice(b"tag");
        }
    }

    fn array(&mut self, element: &str) {
        let n = self.random.random_range(0..4);
        self.length(n, 4);
        (0..n).for_each(|_| self.fields(element));
    }

    /// Small numbers mostly: they reach further than random ones.
    fn number(&mut self, width: usize) {
        let value: i64 = match self.random.random_range(0..10) {
            0 => self.random.random(),
            1 => i64::MAX,
            2 => i64::MIN,
            _ => self.random.random_range(-2..4),
        };
        let bytes = [&[0; 8][..], &value.to_be_bytes()].concat();
        self.out.extend_from_slice(&bytes[16 - width..]);
    }
}

fn framed(key: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let header_end: &[u8] = if flexible { &[0] } else { &[] };
    let rest = [&7i32.to_be_bytes()[..], &1i16.to_be_bytes(), b"c", header_end, body].concat();
    let length = i32::try_from(4 + rest.len()).unwrap();
    [&length.to_be_bytes()[..], &key.to_be_bytes(), &version.to_be_bytes(), &rest].concat()
}

/// Sends a frame and waits as long as the broker does: on a clock that runs ahead while everybody waits.
fn send(shared: &Shared, bytes: &[u8]) -> Result<bool, Closed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let frame = frame::read(&mut &bytes[..], &Limits::default(), &InFlight::new(1 << 20)).await?;
        // A member that waits for others waits for good: nobody else comes, and no timer runs.
        match timeout(Duration::from_secs(86_400 * 60), answer(shared, frame)).await {
            Ok(answered) => answered.map(|a| a.is_some()),
            Err(_) => Ok(false),
        }
    })
}

#[test]
fn every_shape_is_what_the_decoder_reads_and_every_answer_can_be_encoded() {
    let (shared, mut wrong) = (broker(), vec![]);
    for (api, first, last, shape) in REQUESTS {
        for version in *first..=*last {
            for seed in 0..25 {
                let body = Maker::body(shape, seed);
                let flexible = shape.ends_with('t');
                let sent = send(&shared, &framed(*api as i16, version, flexible, &body));
                let valid_header = api.request_header_version(version) == if flexible { 2 } else { 1 };
                assert!(valid_header, "{api:?} {version}: the shape's kind of header is not the protocol's");
                wrong.extend(sent.err().map(|e| format!("{api:?} {version}, seed {seed}: {e}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let (broker_end, mut client) = tokio::io::duplex(256);
    let (shared, start) = (broker(), tokio::time::Instant::now());
    let request = framed(requests::API_VERSIONS, 0, false, &[]);
    let ((), closed) = tokio::join!(
        async {
            for _ in 0..8 {
                if client.write_all(&request).await.is_err() {
                    break; // it was cut off before it had sent everything
                }
            }
        },
        serve(&shared, broker_end)
    );
    assert!(matches!(closed, Closed::Silent), "{closed:?}");
    assert!(start.elapsed() >= WRITE_MAX);
}

#[test]
fn trailing_bytes_are_ignored_as_kafka_does() {
    let body = [&Maker::body("[s] 1", 1)[..], b"more"].concat();
    assert!(send(&broker(), &framed(ApiKey::Metadata as i16, 4, false, &body)).unwrap());
}

#[test]
fn a_version_of_api_versions_that_nobody_knows_is_answered() {
    for version in [0, 3, 4, 99, -1] {
        assert!(send(&broker(), &framed(requests::API_VERSIONS, version, false, &[])).unwrap(), "{version}");
    }
}

#[test]
fn the_advertised_versions_are_those_of_the_table() {
    let advertised = requests::advertised();
    assert_eq!(advertised.len(), 32);
    assert!(advertised.contains(&(0, 3, 9)) && advertised.contains(&(1, 4, 12)) && advertised.contains(&(18, 0, 3)));
    for (key, first, last) in advertised.into_iter().filter(|a| a.0 != requests::API_VERSIONS) {
        assert!((first..=last).all(|v| requests::find(key, v).is_some()), "API {key} has a gap");
        assert!(requests::find(key, last + 1).is_none() && requests::find(key, first - 1).is_none());
    }
}

/// One change of a byte string.
type Change = (usize, u8, u8);

fn mutate(bytes: &mut Vec<u8>, from: usize, changes: &[Change]) {
    for (at, kind, value) in changes {
        let at = from + at % (bytes.len() - from).max(1);
        match kind % 4 {
            0 if at < bytes.len() => bytes[at] = *value,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.insert(at.min(bytes.len()), *value),
            _ => bytes.truncate(at.max(from)),
        }
    }
}

proptest! {
    #![proptest_config(Cases { cases: 1_500, ..Cases::default() })]

    #[test]
    fn mutated_requests_are_answered_or_refused(
        which in any::<usize>(), seed in any::<u64>(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)
    ) {
        let (api, first, _, shape) = REQUESTS[which % REQUESTS.len()];
        let mut bytes = framed(api as i16, first, shape.ends_with('t'), &Maker::body(shape, seed));
        mutate(&mut bytes, 12, &changes);
        let length = i32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        let sent = send(&broker(), &bytes);
        let refused = matches!(sent, Err(Closed::Malformed { .. } | Closed::ByClient | Closed::Unsupported { .. }));
        prop_assert!(sent.is_ok() || refused, "{sent:?}");
    }

    #[test]
    fn random_bytes_are_refused_or_wait_for_more(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(send(&broker(), &bytes));
    }

    #[test]
    fn mutated_batches_are_refused(changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)) {
        let whole = BatchSpec::transactional(5, 0, 0, 3).bytes().to_vec();
        let mut bytes = whole.clone();
        mutate(&mut bytes, 0, &changes);
        let batches = split(bytes.into()).unwrap_or_default();
        prop_assert!(batches.iter().map(|b| b.bytes.len()).sum::<usize>() <= whole.len() + changes.len());
    }

    /// Damage under a checksum that is right: what a hostile client can send.
    #[test]
    fn sealed_nonsense_is_stored_read_searched_and_compacted_without_a_panic(
        codec in 0i16..8, seed in any::<i64>(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..8)
    ) {
        let spec = BatchSpec { attributes: codec, timestamp: seed, ..BatchSpec::keyed(&[("a", Some("1")), ("a", None)]) };
        let mut bytes = spec.bytes().to_vec();
        mutate(&mut bytes, 61, &changes);
        crate::log::batch::seal(&mut bytes);
        let mut partition = Partition::open(None, settings(1 << 20)).unwrap();
        for batch in split(bytes.into()).unwrap_or_default() {
            partition.append(&batch, i64::MAX, false).unwrap();
        }
        let policy = crate::log::compact::Policy {
            delete_retention_ms: i64::MAX, min_lag_ms: 0, max_lag_ms: i64::MAX, dirty_ratio: 0.0,
        };
        partition.compact(policy, i64::MAX).unwrap();
        let end = partition.next();
        partition.at_time(0, end);
        partition.at_max_time();
        partition.expired(i64::MIN, i64::MAX, 0);
        prop_assert!(partition.read(0, end, 1 << 20).is_ok());
    }
}
