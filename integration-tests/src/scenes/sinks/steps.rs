//! At which steps of its protocol a sink is ended; see `docs/development/kills.md`.
use super::target::Target;

type Step = (&'static str, u32);

/// Steps of every sink under load, with the hit of the first round.
const EVERY: [Step; 7] = [
    ("sink.start.after", 1),
    ("sink.open.after", 1),
    ("sink.poll.after", 2),
    ("sink.put.before", 2),
    ("sink.put.after", 2),
    ("sink.offsets.after", 2),
    ("sink.dead_letter.after", 1),
];

/// An idempotent sink has everything acknowledged before group offsets are committed.
const IDEMPOTENT: Step = ("sink.flush.after", 2);

/// Steps of a two-phase sink: the take-over before and with partitions, then units.
const TWO_PHASE: [Step; 16] = [
    ("sink.start.after", 1),
    ("sink.open.after", 1),
    ("sink.poll.after", 2),
    ("sink.put.before", 2),
    ("sink.put.after", 2),
    ("sink.take_over.init", 1),
    ("sink.take_over.read", 1),
    ("sink.take_over.claim", 2),
    ("sink.take_over.adopt", 1),
    ("sink.take_over.abort", 2),
    ("sink.prepare.before", 1),
    ("sink.prepare.after", 2),
    ("sink.decide.before", 1),
    ("sink.decide.sent", 2),
    ("sink.decide.after", 1),
    ("sink.commit.after", 2),
];

/// Partitions are asked back, and given back.
pub(super) const REVOKED: [Step; 2] = [("sink.revoke.before", 1), ("sink.revoke.after", 1)];

/// Further hits that are tried before the first one comes again: a later one only takes longer.
const HITS: u32 = 6;

/// The steps of a target in a round. Those that come once in a process stay at their hit; the others move on.
pub(super) fn at_round(target: &Target, round: u32) -> Vec<Step> {
    let once = ["sink.start.after", "sink.open.after", "sink.take_over.init"];
    let hit = |(name, hit): Step| match name {
        name if once.contains(&name) => (name, 1),
        name if name.starts_with("sink.take_over.") => (name, 1 + (hit + round) % 2),
        name => (name, hit + round % HITS),
    };
    steps(target).into_iter().map(hit).collect()
}

fn steps(target: &Target) -> Vec<Step> {
    match target {
        Target::Files(_) | Target::Branches(_) => TWO_PHASE.to_vec(),
        Target::Sqlite(_) | Target::Sql(_) => EVERY.to_vec(),
        Target::Elasticsearch(_) => EVERY.iter().copied().chain([IDEMPOTENT]).collect(),
    }
}
