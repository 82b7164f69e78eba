//! What a broker tells of leaders and replicas. Kafka's own answer to a Metadata request (version 1, of every topic): the
//! product has no use for replicas, so its clients do not tell of them.
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Size, api key 3, version 1, correlation id, no client id, all topics.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 255, 255, 255, 255, 255, 255];
/// A broker that does not answer by then is taken for gone.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// More than a test cluster has to say.
const BYTES_MAX: usize = 16 << 20;

/// One look at a cluster.
#[derive(Debug)]
pub struct Metadata {
    brokers: usize,
    partitions: BTreeMap<(String, i32), Replicas>,
}

#[derive(Debug)]
struct Replicas {
    leader: i32,
    all: usize,
    in_sync: usize,
}

impl Metadata {
    /// Asks a broker.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn of(address: &str) -> Result<Self> {
        tokio::time::timeout(ANSWER_MAX, ask(address)).await.context("no answer in time")?
    }

    /// What is missing until so many brokers have every replica in sync.
    pub(super) fn missing(&self, brokers: usize) -> Option<String> {
        if self.brokers < brokers {
            return Some(format!("{} brokers of {brokers}", self.brokers));
        }
        let behind = self.partitions.iter().find(|(_, r)| r.leader < 0 || r.in_sync < r.all);
        behind.map(|((topic, partition), r)| format!("{topic}-{partition}: {} of {} in sync", r.in_sync, r.all))
    }

    /// The leader of a partition, if it has one.
    pub(super) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let replicas = self.partitions.get(&(topic.to_owned(), partition))?;
        Some(replicas.leader).filter(|leader| *leader >= 0)
    }

    /// Number of partitions of a topic, if it is there.
    pub(super) fn partitions(&self, topic: &str) -> Option<i32> {
        let count = self.partitions.keys().filter(|(name, _)| name == topic).count();
        i32::try_from(count).ok().filter(|count| *count > 0)
    }
}

/// The partition of an internal topic that a group or a transactional id belongs to: Java's hash of the text, its sign
/// taken off.
pub fn coordinator_partition(id: &str, partitions: i32) -> i32 {
    let hash = id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

async fn ask(address: &str) -> Result<Metadata> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&REQUEST).await?;
    let size = usize::try_from(stream.read_u32().await?)?;
    ensure!(size <= BYTES_MAX, "an answer of {size} bytes");
    let mut bytes = vec![0; size];
    stream.read_exact(&mut bytes).await?;
    Answer(&bytes).metadata().context("half an answer")
}

struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn short(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn number(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.short()?).unwrap_or(0);
        Some(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn count(&mut self) -> Option<usize> {
        Some(usize::try_from(self.number()?).unwrap_or(0))
    }

    fn numbers(&mut self) -> Option<usize> {
        let count = self.count()?;
        self.take(count.checked_mul(4)?)?;
        Some(count)
    }

    fn metadata(mut self) -> Option<Metadata> {
        self.number()?; // correlation id
        let brokers = self.count()?;
        for _ in 0..brokers {
            self.number()?;
            self.text()?;
            self.number()?;
            self.text()?; // rack
        }
        self.number()?; // controller
        let mut partitions = BTreeMap::new();
        for _ in 0..self.count()? {
            self.short()?;
            let topic = self.text()?;
            self.take(1)?; // internal
            for _ in 0..self.count()? {
                self.short()?;
                let partition = self.number()?;
                let leader = self.number()?;
                let (all, in_sync) = (self.numbers()?, self.numbers()?);
                partitions.insert((topic.clone(), partition), Replicas { leader, all, in_sync });
            }
        }
        Some(Metadata { brokers, partitions })
    }
}

#[cfg(test)]
mod tests {
    use super::coordinator_partition;

    #[test]
    fn an_id_belongs_to_the_partition_that_java_would_choose() {
        // "polygenelubricants".hashCode() is Integer.MIN_VALUE.
        assert_eq!(coordinator_partition("polygenelubricants", 50), 0);
        assert_eq!(coordinator_partition("ab", 50), (97 * 31 + 98) % 50);
    }
}
