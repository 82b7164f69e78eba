//! Pools: what must hold of places whatever the workers offer and the tasks ask for.
use elasticflow_plan::place::{Group, Load, Slot, assign};
use elasticflow_plan::pools::{PREEMPTED, Pool, QUEUED, Reserved, Room, Share, Terms};
use elasticflow_plan::reconcile::TaskName;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SLOTS: Slot = 24;
const POOLS: [&str; 3] = ["default", "fast", "bulk"];

type Tasks = BTreeMap<TaskName, Load>;

fn worker(group: &mut Group, name: &str, slots: &[Slot], (pool, units): (&str, Option<u64>)) {
    group.workers.insert(name.to_owned(), slots.iter().copied().collect());
    group.rooms.insert(name.to_owned(), Room { pool: pool.to_owned(), units, memory: None });
}

fn terms(pool: &str, weight: u32, priority: u8) -> Arc<Terms> {
    Arc::new(Terms { weight, priority, pool: pool.into(), ..Terms::default() })
}

fn task(name: &str, load: Load) -> (TaskName, Load) {
    ((name.to_owned(), 0), load)
}

fn load(terms: Arc<Terms>, slot: Option<Slot>, age: i64) -> Load {
    Load { terms, slot, movable: true, age, ..Load::default() }
}

fn applied(tasks: &Tasks, changes: &BTreeMap<TaskName, Slot>) -> Tasks {
    let mut after = tasks.clone();
    for (task, slot) in changes {
        after.get_mut(task).unwrap().slot = Some(*slot);
    }
    after
}

fn holder(group: &Group, load: &Load) -> Option<String> {
    let slot = load.slot.filter(|slot| *slot >= 0)?;
    group.workers.iter().find(|(_, slots)| slots.contains(&slot)).map(|(name, _)| name.clone())
}

fn used(group: &Group, tasks: &Tasks, worker: &str) -> u64 {
    let here = tasks.values().filter(|load| holder(group, load).as_deref() == Some(worker));
    here.map(|load| u64::from(load.terms.weight)).sum()
}

fn slot_of(tasks: &Tasks, name: &str) -> Option<Slot> {
    tasks[&(name.to_owned(), 0)].slot
}

/// Workers of pools with and without a limit, and tasks of pools of which some have a place, anywhere.
fn worlds() -> impl Strategy<Value = (Group, Tasks)> {
    let workers = proptest::collection::vec((0..POOLS.len(), proptest::option::of(0u64..12)), 1..5);
    let tasks = proptest::collection::vec(
        ((0..POOLS.len(), 1u32..6, 0u8..10), proptest::option::of(0..SLOTS), any::<(bool, bool, bool)>()),
        0..30,
    );
    (workers, tasks, any::<bool>(), proptest::option::of(0u32..8)).prop_map(|(workers, tasks, borrows, most)| {
        let mut group = Group { quiet: true, ..Group::default() };
        let count = workers.len() as Slot;
        for (number, (pool, units)) in (0..).zip(workers) {
            let slots: Vec<Slot> = (0..SLOTS).filter(|slot| slot % count == number).collect();
            worker(&mut group, &format!("w{number}"), &slots, (POOLS[pool], units));
        }
        let borrow = if borrows { vec!["default".to_owned()] } else { Vec::new() };
        group.pools.insert("bulk".to_owned(), Pool { borrow, max_tasks: most, ..Pool::default() });
        let tasks =
            (0u32..).zip(tasks).map(|(index, ((pool, weight, priority), slot, (preemptible, urgent, spared)))| {
                let terms = Arc::new(Terms { preemptible, ..(*terms(POOLS[pool], weight, priority)).clone() });
                let load = Load { urgent, spared, ..load(terms, slot, i64::from(index % 7)) };
                (("c".to_owned(), index), load)
            });
        (group, tasks.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_task_runs_on_workers_of_its_pool_or_of_one_that_lends_alone((group, tasks) in worlds(), even: bool) {
        for (task, load) in &applied(&tasks, &assign(&group, &tasks, even)) {
            if let Some(worker) = holder(&group, load) {
                prop_assert!(group.lends(group.pool_of(&worker), &load.terms.pool), "{task:?} is on {worker}: {load:?}");
            }
        }
    }

    #[test]
    fn no_worker_has_more_than_it_has_room_for((group, tasks) in worlds(), even: bool) {
        let after = applied(&tasks, &assign(&group, &tasks, even));
        for (name, room) in &group.rooms {
            let used = used(&group, &after, name);
            prop_assert!(room.units.is_none_or(|units| used <= units), "{name} has {used} of {room:?}");
        }
    }

    #[test]
    fn every_task_has_a_place_or_waits_and_none_waits_beside_room((group, tasks) in worlds(), even: bool) {
        let after = applied(&tasks, &assign(&group, &tasks, even));
        let placed = |pool: &str| after.values().filter(|l| *l.terms.pool == *pool && !l.waits()).count();
        for (task, load) in &after {
            prop_assert!(load.slot.is_some(), "{task:?} has neither a place nor a reason");
            let full = group.pools.get(&*load.terms.pool).and_then(|pool| pool.max_tasks);
            if !load.waits() || full.is_some_and(|most| placed(&load.terms.pool) >= most as usize) {
                continue;
            }
            for (name, room) in group.rooms.iter().filter(|(_, room)| room.pool == *load.terms.pool) {
                let free = room.units.map(|units| units - used(&group, &after, name));
                prop_assert!(free.is_some_and(|free| free < u64::from(load.terms.weight)), "{task:?} beside {name}");
            }
        }
    }

    #[test]
    fn what_is_decided_again_and_again_comes_to_rest((group, tasks) in worlds(), even: bool) {
        let mut after = applied(&tasks, &assign(&group, &tasks, even));
        // A task that was stopped for another one is spared by its count and by the time it has to wait.
        after.values_mut().for_each(|load| load.urgent = false);
        // What found a place as a guest may make room for a task of the pool a round later.
        for _ in 0..6 {
            let again = assign(&group, &after, even);
            if again.is_empty() {
                return Ok(());
            }
            after = applied(&after, &again);
        }
        prop_assert!(false, "it goes on: {:?} after {after:?}", assign(&group, &after, even));
    }

    #[test]
    fn tasks_are_stopped_for_urgent_ones_at_least_two_priorities_above_alone((group, tasks) in worlds()) {
        let changes = assign(&group, &tasks, false);
        let most = tasks.values().filter(|l| l.urgent).map(|l| l.terms.priority).max();
        for (task, _) in changes.iter().filter(|(_, slot)| **slot == PREEMPTED) {
            let load = &tasks[task];
            // Guests go for any task of the pool that they are in; so do tasks that became guests since their worker has too
            // little room.
            let at_home = holder(&group, load).is_some_and(|worker| {
                let has_room = group.rooms[&worker].units.is_none_or(|units| used(&group, &tasks, &worker) <= units);
                has_room && group.pool_of(&worker) == &*load.terms.pool
            });
            if at_home {
                prop_assert!(load.terms.preemptible && !load.spared, "{load:?}");
                prop_assert!(most.is_some_and(|most| load.terms.priority + 2 <= most), "{load:?} for {most:?}");
            }
        }
    }

    #[test]
    fn whatever_another_pool_asks_for_takes_no_place_of_this_one((mut group, tasks) in worlds(), hogs in 1u32..60) {
        group.pools.clear();
        let before = assign(&group, &tasks, false);
        let mut crowded = tasks;
        for index in 0..hogs {
            crowded.insert(("hog".to_owned(), index), Load { urgent: true, ..load(terms("bulk", 5, 9), None, 0) });
        }
        let after = assign(&group, &crowded, false);
        for (task, load) in crowded.iter().filter(|(_, load)| &*load.terms.pool != "bulk") {
            prop_assert_eq!(before.get(task), after.get(task), "{:?} {:?}", task, load);
        }
    }
}

fn one(units: u64) -> Group {
    let mut group = Group { quiet: true, ..Group::default() };
    worker(&mut group, "w", &[0, 1, 2, 3], ("default", Some(units)));
    group
}

#[test]
fn what_finds_no_room_waits_the_most_important_first_and_of_equal_ones_the_oldest() {
    let tasks = Tasks::from([
        task("old", load(terms("default", 1, 5), None, 1)),
        task("young", load(terms("default", 1, 5), None, 2)),
        task("urgent", load(terms("default", 1, 9), None, 3)),
    ]);
    let after = applied(&tasks, &assign(&one(2), &tasks, false));
    assert!(slot_of(&after, "urgent") >= Some(0) && slot_of(&after, "old") >= Some(0));
    assert_eq!(slot_of(&after, "young"), Some(QUEUED));
}

#[test]
fn an_urgent_task_takes_the_place_of_the_least_important_and_of_no_more_than_it_needs() {
    let tasks = Tasks::from([
        task("a", load(terms("default", 1, 1), Some(0), 1)),
        task("b", load(terms("default", 1, 2), Some(1), 1)),
        task("c", load(terms("default", 2, 8), Some(2), 1)),
        task("x", Load { urgent: true, ..load(terms("default", 1, 9), Some(QUEUED), 9) }),
    ]);
    let changes = assign(&one(4), &tasks, false);
    assert_eq!(changes.get(&("a".to_owned(), 0)), Some(&PREEMPTED));
    assert_eq!(changes.len(), 2, "{changes:?}");
    let patient = Tasks::from_iter(tasks.into_iter().map(|(task, load)| (task, Load { urgent: false, ..load })));
    assert_eq!(assign(&one(4), &patient, false), BTreeMap::new(), "it waits first");
}

#[test]
fn room_that_is_kept_for_important_tasks_is_left_to_them() {
    let mut group = one(10);
    let reserved = Reserved { priority: 7, share: Share::try_from(0.4).unwrap() };
    group.pools.insert("default".to_owned(), Pool { reserved: Some(reserved), ..Pool::default() });
    let lesser = (0..10).map(|n| task(&format!("l{n}"), load(terms("default", 1, 5), None, n)));
    let mut tasks: Tasks = lesser.collect();
    tasks = applied(&tasks, &assign(&group, &tasks, false));
    assert_eq!(used(&group, &tasks, "w"), 6);
    tasks.extend([task("x", load(terms("default", 4, 7), None, 99))]);
    tasks = applied(&tasks, &assign(&group, &tasks, false));
    assert_eq!(used(&group, &tasks, "w"), 10);
}

#[test]
fn a_guest_leaves_when_a_task_of_the_pool_needs_its_place() {
    let mut group = one(1);
    group.pools.insert("bulk".to_owned(), Pool { borrow: vec!["default".to_owned()], ..Pool::default() });
    let mut tasks = Tasks::from([task("guest", load(terms("bulk", 1, 9), None, 1))]);
    tasks = applied(&tasks, &assign(&group, &tasks, false));
    assert!(slot_of(&tasks, "guest") >= Some(0), "free room is lent");
    tasks.extend([task("home", load(terms("default", 1, 0), None, 2))]);
    tasks = applied(&tasks, &assign(&group, &tasks, false));
    assert_eq!(slot_of(&tasks, "guest"), Some(PREEMPTED));
    assert!(slot_of(&tasks, "home") >= Some(0));
}

#[test]
fn a_slot_that_came_to_a_worker_of_another_pool_loses_its_tasks_to_their_own_pool() {
    let mut group = Group { quiet: true, ..Group::default() };
    worker(&mut group, "a", &[0, 1], ("default", None));
    worker(&mut group, "b", &[2, 3], ("bulk", None));
    let tasks = Tasks::from([task("x", load(terms("bulk", 1, 5), Some(0), 1))]);
    let after = applied(&tasks, &assign(&group, &tasks, false));
    assert_eq!(holder(&group, after.values().next().unwrap()).as_deref(), Some("b"));
    group.workers.remove("b");
    let after = applied(&tasks, &assign(&group, &tasks, false));
    assert_eq!(slot_of(&after, "x"), Some(QUEUED), "without a worker of its pool it waits");
    group.workers.insert("b".to_owned(), BTreeSet::from([2, 3]));
    let after = applied(&after, &assign(&group, &after, false));
    assert!(slot_of(&after, "x") >= Some(2));
}
