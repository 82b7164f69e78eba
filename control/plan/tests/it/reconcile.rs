//! Reconciliation: a table of single steps, and a property over random histories.
use elasticflow_plan::reconcile::{Action, Actual, Instance, Phase, Plan, Target, TaskSet, WantedConnector, reconcile};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Wanted = BTreeMap<String, WantedConnector>;

fn connector(target: Target, count: u32, revision: i64) -> WantedConnector {
    let tasks = Some(TaskSet { count, revision, fenced: true });
    WantedConnector { revision, target, target_revision: 0, tasks, blocked: false }
}

fn wanted(connector: WantedConnector) -> Wanted {
    Wanted::from([("c".to_owned(), connector)])
}

fn up(revision: i64) -> Instance {
    Instance { revision, phase: Phase::Up, paused: false, told: 0 }
}

fn actual(tasks: &[(u32, Instance)], planned: Option<i64>) -> Actual {
    let tasks = tasks.iter().map(|(i, instance)| (("c".to_owned(), *i), *instance)).collect();
    let plans = planned.map(|revision| ("c".to_owned(), Plan::Done { revision })).into_iter().collect();
    Actual { tasks, plans, ..Actual::default() }
}

fn everything(_: &str, _: Option<u32>) -> bool {
    true
}

fn task(index: u32) -> (String, u32) {
    ("c".to_owned(), index)
}

#[test]
fn single_steps() {
    let started = |n, revision| wanted(connector(Target::Started, n, revision));
    let paused = |n, revision| wanted(connector(Target::Paused, n, revision));
    let start = |index, revision, paused| Action::Start { task: task(index), revision, paused };
    let plan = |revision| Action::Plan { connector: "c".to_owned(), revision };
    let fence = || Action::Fence("c".to_owned());
    let forget = || Action::ForgetPlan("c".to_owned());
    let mut unfenced = connector(Target::Started, 1, 1);
    unfenced.tasks = Some(TaskSet { count: 1, revision: 1, fenced: false });
    let mut fencing = actual(&[], Some(1));
    fencing.fencing.insert("c".to_owned());
    let mut blocked = connector(Target::Started, 1, 1);
    blocked.blocked = true;
    let never = WantedConnector { tasks: None, ..connector(Target::Started, 0, 1) };
    let ended = |phase| Instance { phase, ..up(1) };
    let held = Instance { paused: true, ..up(1) };
    let resumed = WantedConnector { target_revision: 9, ..connector(Target::Started, 1, 1) };
    let resume = || vec![Action::Resume(task(0))];
    let table: Vec<(&str, Wanted, Actual, Vec<Action>)> = vec![
        ("a connector is planned", wanted(never.clone()), actual(&[], None), vec![plan(1)]),
        ("once", wanted(never), actual(&[], Some(1)), vec![]),
        ("and again when it changes", started(0, 2), actual(&[], Some(1)), vec![plan(2)]),
        ("missing tasks start", started(2, 1), actual(&[(0, up(1))], Some(1)), vec![start(1, 1, false)]),
        ("paused ones too", paused(1, 1), actual(&[], None), vec![start(0, 1, true)]),
        ("an older set stops first", started(1, 2), actual(&[(0, up(1))], Some(2)), vec![Action::Stop(task(0))]),
        ("nothing starts meanwhile", started(2, 2), actual(&[(0, ended(Phase::Stopping))], Some(2)), vec![]),
        ("surplus tasks stop", started(0, 1), actual(&[(0, up(1))], Some(1)), vec![Action::Stop(task(0))]),
        ("a failed task stays", started(1, 1), actual(&[(0, ended(Phase::Failed))], Some(1)), vec![]),
        ("a failed task is not paused", paused(1, 1), actual(&[(0, ended(Phase::Failed))], None), vec![]),
        ("running tasks pause", paused(1, 1), actual(&[(0, up(1))], Some(1)), vec![Action::Pause(task(0)), forget()]),
        ("paused tasks resume", started(1, 1), actual(&[(0, held)], Some(1)), resume()),
        ("also those that did not see the pause", wanted(resumed), actual(&[(0, up(1))], Some(1)), resume()),
        ("tasks wait for the fencing round", wanted(unfenced.clone()), actual(&[], Some(1)), vec![fence()]),
        ("which is asked for once", wanted(unfenced.clone()), fencing, vec![]),
        ("and waits for older tasks", wanted(unfenced), actual(&[(0, up(0))], Some(1)), vec![Action::Stop(task(0))]),
        (
            "a deleted connector leaves nothing",
            Wanted::new(),
            actual(&[(0, up(1))], Some(1)),
            vec![Action::Stop(task(0)), forget()],
        ),
        (
            "what cannot be read does not run",
            wanted(blocked),
            actual(&[(0, up(1))], Some(1)),
            vec![Action::Stop(task(0)), forget()],
        ),
    ];
    for (name, wanted, actual, expected) in table {
        assert_eq!(reconcile(&wanted, &actual, &everything), expected, "{name}");
    }
}

#[test]
fn what_another_worker_owns_is_stopped_and_not_started() {
    let wanted = wanted(connector(Target::Started, 2, 1));
    let owns_the_second = |_: &str, task: Option<u32>| task == Some(1);
    let actions = reconcile(&wanted, &actual(&[(0, up(1))], None), &owns_the_second);
    let start = Action::Start { task: task(1), revision: 1, paused: false };
    assert_eq!(actions, [Action::Stop(task(0)), start]);
}

fn wanted_strategy() -> impl Strategy<Value = Wanted> {
    let target = prop_oneof![Just(Target::Started), Just(Target::Paused), Just(Target::Stopped)];
    let set = proptest::option::of((0u32..4, 0i64..4, any::<bool>()));
    let one = (0i64..4, target, 0i64..4, set, any::<bool>());
    let one = one.prop_map(|(revision, target, target_revision, set, blocked)| WantedConnector {
        revision,
        target,
        target_revision,
        tasks: set.map(|(count, revision, fenced)| TaskSet { count, revision, fenced }),
        blocked,
    });
    proptest::collection::btree_map("[ab]", one, 0..3)
}

fn actual_strategy() -> impl Strategy<Value = Actual> {
    let phase = prop_oneof![Just(Phase::Up), Just(Phase::Failed), Just(Phase::Stopping)];
    let instance = (0i64..4, phase, any::<bool>(), 0i64..4).prop_map(|(revision, phase, paused, told)| Instance {
        revision,
        phase,
        paused,
        told,
    });
    let plan = (0i64..4).prop_map(|revision| Plan::Done { revision });
    let tasks = proptest::collection::btree_map(("[abc]", 0u32..4), instance, 0..6);
    (tasks, proptest::collection::btree_map("[abc]", plan, 0..3)).prop_map(|(tasks, plans)| Actual {
        tasks,
        plans,
        ..Actual::default()
    })
}

fn tell(wanted: &Wanted, actual: &mut Actual, task: &(String, u32), paused: bool) {
    let instance = actual.tasks.get_mut(task).unwrap();
    (instance.paused, instance.told) = (paused, wanted[&task.0].target_revision);
}

/// Everything that was asked for succeeds at once.
fn carry_out(wanted: &mut Wanted, actual: &mut Actual, actions: &[Action]) {
    for action in actions {
        match action.clone() {
            Action::Stop(task) => drop(actual.tasks.remove(&task)),
            Action::Start { task, revision, paused } => {
                let told = wanted[&task.0].target_revision;
                let fresh = Instance { revision, phase: Phase::Up, paused, told };
                assert_eq!(actual.tasks.insert(task, fresh), None, "one instance of a task at a time");
            }
            Action::Pause(task) => tell(wanted, actual, &task, true),
            Action::Resume(task) => tell(wanted, actual, &task, false),
            Action::Fence(name) => wanted.get_mut(&name).unwrap().tasks.as_mut().unwrap().fenced = true,
            Action::Plan { connector, revision } => drop(actual.plans.insert(connector, Plan::Done { revision })),
            Action::ForgetPlan(name) => drop(actual.plans.remove(&name)),
        }
    }
}

proptest! {
    #[test]
    fn carrying_out_the_steps_comes_to_rest_with_exactly_what_is_wanted(
        mut wanted in wanted_strategy(),
        mut actual in actual_strategy(),
    ) {
        // Stops that were under way end by themselves.
        actual.tasks.retain(|_, i| i.phase != Phase::Stopping);
        for _ in 0..4 {
            let actions = reconcile(&wanted, &actual, &everything);
            carry_out(&mut wanted, &mut actual, &actions);
        }
        prop_assert_eq!(reconcile(&wanted, &actual, &everything), vec![]);
        let expected: Vec<_> = wanted.iter().filter(|(_, c)| !c.blocked && c.target != Target::Stopped)
            .flat_map(|(n, c)| (0..c.tasks.map_or(0, |s| s.count)).map(move |i| (n.clone(), i))).collect();
        prop_assert_eq!(actual.tasks.keys().cloned().collect::<Vec<_>>(), expected);
        for ((name, _), instance) in &actual.tasks {
            prop_assert_eq!(Some(instance.revision), wanted[name].tasks.map(|s| s.revision));
        }
    }

    #[test]
    fn no_task_starts_beside_an_instance_of_another_set_or_before_fencing(
        wanted in wanted_strategy(),
        actual in actual_strategy(),
    ) {
        for action in reconcile(&wanted, &actual, &everything) {
            if let Action::Start { task, revision, .. } = action {
                prop_assert!(wanted[&task.0].tasks.unwrap().fenced);
                for ((name, _), instance) in &actual.tasks {
                    prop_assert!(*name != task.0 || instance.revision == revision);
                }
            }
        }
    }
}
