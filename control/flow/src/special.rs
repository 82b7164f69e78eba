//! Consumers that are slow by nature, periods that cannot be judged, demand of sources, rates of tasks.
use crate::law::Law;

/// A target is at least so many times the delay with which a group's progress shows.
const TIMES_LATENCY: f64 = 3.0;
/// And at least so many steps of a group that commits in steps.
const TIMES_STEP: f64 = 5.0;
/// Periods that are shorter or longer than this many intervals tell nothing: a clock has jumped or a leader has slept.
const PERIOD_LEAST: f64 = 0.2;
const PERIOD_MOST: f64 = 10.0;
/// A source that waited for its limit for more than this share of a period wants more than it got.
const BLOCKED_FROM: f64 = 0.05;
/// Room above the measured rate that a source gets without asking.
const DEMAND_ROOM: f64 = 1.1;
const DEMAND_LEAST: f64 = 1024.0;
/// Share of a connector's rate that its tasks get evenly; the rest follows what each of them sends.
const EVEN_SHARE: f64 = 0.1;

/// The law for a group whose progress shows late or in steps.
#[must_use]
pub fn adapted(law: &Law, base_latency: f64, commit_interval: f64) -> Law {
    let step = step_period(law, commit_interval);
    let steps = if commit_interval > 0.0 { TIMES_STEP * step } else { 0.0 };
    Law { target: law.target.max(TIMES_LATENCY * base_latency).max(steps), ..*law }
}

/// Time between two samples of a group that commits every so often: two commits, or drain rates are of a staircase.
pub fn step_period(law: &Law, commit_interval: f64) -> f64 {
    law.period.max(2.0 * commit_interval)
}

/// Whether a measured period can be judged at all.
pub fn is_plausible(elapsed: f64, interval: f64) -> bool {
    elapsed.is_finite() && elapsed >= PERIOD_LEAST * interval && elapsed <= PERIOD_MOST * interval
}

/// What a source would send if it might: unknown and therefore infinite while something holds it back.
pub fn demand(measured: f64, blocked_share: f64) -> f64 {
    if blocked_share > BLOCKED_FROM { f64::INFINITY } else { DEMAND_ROOM * measured + DEMAND_LEAST }
}

/// A connector's rate divided among its tasks by what each of them sends. An idle task can always begin.
pub fn split(rate: f64, measured: &[f64]) -> Vec<f64> {
    let (count, sum) = (measured.len() as f64, measured.iter().sum::<f64>());
    let part = |sent: &f64| {
        if !rate.is_finite() || sum <= 0.0 {
            return rate / if rate.is_finite() { count } else { 1.0 };
        }
        rate * (EVEN_SHARE / count + (1.0 - EVEN_SHARE) * sent / sum)
    };
    measured.iter().map(part).collect()
}
