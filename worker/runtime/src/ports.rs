//! What the runtime asks of its surroundings besides Kafka and time.
use async_trait::async_trait;
use elasticflow_api::position::TaskId;
use std::sync::atomic::{AtomicU64, Ordering};

/// Randomness: jitter of back-offs alone.
pub trait Random: Send + Sync {
    /// A number between 0 and 1, 1 excluded.
    fn unit(&self) -> f64;
}

/// A sequence that depends on its seed alone.
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn unit(&self) -> f64 {
        // SplitMix64: one addition per step, so that concurrent callers each take a step of their own.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Whether a task still belongs to this worker, read from the stored state and not from memory.
#[async_trait]
pub trait Assignment: Send + Sync {
    /// False once the task set or the owner has changed since the task was started with this generation. Asked before
    /// and after the older owner is fenced.
    async fn current(&self, task: &TaskId, generation: u64) -> bool;
}

/// For a worker that owns everything.
pub struct AlwaysAssigned;

#[async_trait]
impl Assignment for AlwaysAssigned {
    async fn current(&self, _: &TaskId, _: u64) -> bool {
        true
    }
}
