//! How long the division among sources takes: `cargo run --release -p elasticflow-flow --example allocation`.
#![expect(clippy::print_stdout, reason = "its figures are what this program is for")]
use elasticflow_flow::{Source, allocate};
use std::time::Instant;

const MB: f64 = 1e6;

/// Sources over groups: every fifth is endless, one in ten feeds two groups, all ten priorities occur.
fn sources(count: usize, groups: usize) -> Vec<Source> {
    let of = |at: usize| {
        let mut shares = vec![(at % groups, 1.0)];
        if at.is_multiple_of(10) {
            shares = vec![(at % groups, 0.5), ((at * 7 + 3) % groups, 0.5)];
        }
        Source {
            priority: (at % 10) as u8,
            weight: 1.0 + (at % 3) as f64,
            floor: 1000.0,
            rate_max: f64::INFINITY,
            demand: if at.is_multiple_of(5) { f64::INFINITY } else { (at % 977) as f64 * 1000.0 },
            shares,
        }
    };
    (0..count).map(of).collect()
}

fn main() {
    println!("{:>8} {:>8} {:>12}", "sources", "groups", "ms, worst of 20");
    for (count, groups) in [(100, 10), (1_000, 100), (10_000, 1), (10_000, 100), (10_000, 5_000)] {
        let sources = sources(count, groups);
        let limits: Vec<f64> = (0..groups).map(|_| count as f64 / groups as f64 * 0.2 * MB).collect();
        let mut worst = 0.0f64;
        for _ in 0..20 {
            let began = Instant::now();
            let rates = allocate(&sources, &limits);
            worst = worst.max(began.elapsed().as_secs_f64() * 1000.0);
            assert_eq!(rates.len(), count);
        }
        println!("{count:>8} {groups:>8} {worst:>12.2}");
    }
}
