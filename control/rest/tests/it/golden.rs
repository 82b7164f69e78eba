//! Every recording is replayed; what is not met is listed with its reason.
use crate::replay::{Outcome, Patience, Scenario};
use crate::world::{World, golden};
use std::collections::BTreeMap;
use std::time::Duration;

/// One worker shows at once what it has carried out.
const PATIENCE: Patience = Patience { awaited: Duration::from_secs(5), shown: Duration::ZERO };

/// Steps that are known not to be met, with the reason.
fn not_met() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(golden().join("not_met.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").map(|(step, why)| (step.to_owned(), why.to_owned())).unwrap()).collect()
}

async fn replayed() -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let scenarios = Scenario::all(golden().to_str().unwrap());
    let recorded: usize = scenarios.iter().map(Scenario::len).sum();
    for scenario in scenarios {
        let world = World::start(&scenario.worker).await;
        outcomes.extend(scenario.replay(&world, &world.variables, PATIENCE).await);
    }
    assert_eq!(outcomes.len(), recorded, "no step is skipped");
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_equal_the_recordings_but_for_the_listed_ones() {
    let known = not_met();
    let outcomes = replayed().await;
    let met = outcomes.iter().filter(|o| o.result.is_ok()).count();
    println!("{met} of {} recorded steps are met; not met:", outcomes.len());
    let mut wrong = Vec::new();
    for outcome in &outcomes {
        match (&outcome.result, known.get(&outcome.step)) {
            (Err(why), None) => wrong.push(format!("{}: {why}", outcome.step)),
            (Err(why), Some(reason)) => println!("  {}: {reason} ({why})", outcome.step),
            (Ok(()), Some(_)) => wrong.push(format!("{} is listed in not_met.txt, but is met", outcome.step)),
            (Ok(()), None) => {}
        }
    }
    assert!(wrong.is_empty(), "{} steps:\n{}", wrong.len(), wrong.join("\n"));
}
