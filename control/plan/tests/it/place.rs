//! The leader's mapping: what it must hold whatever the group looks like.
use elasticflow_plan::place::{Group, LEAVING_MAX, Load, Place, Slot, assign};
use elasticflow_plan::pools::{QUEUED, Terms};
use elasticflow_plan::reconcile::TaskName;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SLOTS: Slot = 24;

type Tasks = BTreeMap<TaskName, Load>;

fn task(index: u32) -> TaskName {
    ("c".to_owned(), index)
}

fn load(slot: Option<Slot>) -> Load {
    Load { slot, movable: true, ..Load::default() }
}

/// Workers that share all slots, `holders[s]` holding slot `s`; a number without a worker is a slot that nobody holds.
fn group(holders: &[usize], workers: usize) -> Group {
    let mut group = Group::default();
    for (slot, holder) in (0..).zip(holders).filter(|(_, holder)| **holder < workers) {
        group.workers.entry(format!("w{holder}")).or_default().insert(slot);
    }
    group
}

fn applied(tasks: &Tasks, changes: &BTreeMap<TaskName, Slot>) -> Tasks {
    let mut after = tasks.clone();
    for (task, slot) in changes {
        if let Some(load) = after.get_mut(task) {
            load.slot = Some(*slot);
        }
    }
    after
}

fn weights(group: &Group, tasks: &Tasks) -> Vec<u32> {
    let on = |slots: &BTreeSet<Slot>| {
        let here = tasks.values().filter(|load| load.slot.is_some_and(|slot| slots.contains(&slot)));
        here.map(|load| load.terms.weight).sum()
    };
    group.workers.values().map(on).collect()
}

fn spread(group: &Group, tasks: &Tasks) -> u32 {
    let weights = weights(group, tasks);
    weights.iter().max().unwrap_or(&0) - weights.iter().min().unwrap_or(&0)
}

/// A whole group, every slot held, and tasks of which some have a place.
fn settled() -> impl Strategy<Value = (Group, Tasks)> {
    (1usize..6).prop_flat_map(|workers| {
        let holders = proptest::collection::vec(0..workers, SLOTS as usize);
        let slots = proptest::collection::vec(proptest::option::of(0..SLOTS), 0..40);
        (holders, slots).prop_map(move |(holders, slots)| {
            let tasks = (0u32..).zip(slots).map(|(index, slot)| (task(index), load(slot))).collect();
            (group(&holders, workers), tasks)
        })
    })
}

proptest! {
    #[test]
    fn every_task_gets_a_slot_that_somebody_holds((group, tasks) in settled()) {
        let after = applied(&tasks, &assign(&group, &tasks, false));
        for (task, load) in &after {
            let held = load.slot.is_some_and(|slot| group.workers.values().any(|slots| slots.contains(&slot)));
            prop_assert!(held, "{task:?}: {load:?}");
        }
    }

    #[test]
    fn nothing_that_has_a_place_moves_unless_the_load_is_to_be_evened_out((group, tasks) in settled()) {
        for task in assign(&group, &tasks, false).keys() {
            prop_assert_eq!(tasks[task].slot, None);
        }
    }

    #[test]
    fn evened_out_no_worker_has_two_tasks_more_than_another((group, tasks) in settled()) {
        let after = applied(&tasks, &assign(&group, &tasks, true));
        prop_assert!(spread(&group, &after) <= 1, "{:?}", weights(&group, &after));
    }

    #[test]
    fn no_more_tasks_move_than_evening_out_takes((group, tasks) in settled()) {
        let placed: Tasks = tasks.into_iter().filter(|(_, load)| load.slot.is_some()).collect();
        let before = weights(&group, &placed);
        let (workers, total) = (before.len() as u32, before.iter().sum::<u32>());
        let (least, most_have_more) = (total / workers, (total % workers) as usize);
        let mut sorted = before.clone();
        sorted.sort_by_key(|weight| std::cmp::Reverse(*weight));
        // The busiest keep one more, as far as that goes.
        let needed: u32 = sorted.iter().enumerate()
            .map(|(place, weight)| weight.saturating_sub(least + u32::from(place < most_have_more)))
            .sum();
        prop_assert_eq!(assign(&group, &placed, true).len() as u32, needed);
    }

    #[test]
    fn an_even_load_stays_as_it_is((group, tasks) in settled()) {
        let after = applied(&tasks, &assign(&group, &tasks, true));
        prop_assert_eq!(assign(&group, &after, true), BTreeMap::new());
    }

    #[test]
    fn with_weights_no_single_move_makes_two_workers_more_equal(
        (group, mut tasks) in settled(),
        weights_of in proptest::collection::vec(1u32..20, 40),
    ) {
        for (load, weight) in tasks.values_mut().zip(weights_of) {
            load.terms = Arc::new(Terms { weight, ..Terms::default() });
        }
        let after = applied(&tasks, &assign(&group, &tasks, true));
        let weights = weights(&group, &after);
        let (most, least) = (weights.iter().max().unwrap(), weights.iter().min().unwrap());
        let busiest = group.workers.values().zip(&weights).find(|(_, weight)| *weight == most).unwrap().0;
        for load in after.values().filter(|load| load.slot.is_some_and(|slot| busiest.contains(&slot))) {
            prop_assert!(load.terms.weight >= most - least, "{load:?} could move: {weights:?}");
        }
    }

    #[test]
    fn nothing_moves_while_a_slot_with_tasks_is_on_its_way(
        holders in proptest::collection::vec(0usize..4, SLOTS as usize),
        slots in proptest::collection::vec(0..SLOTS, 1..40),
    ) {
        let group = group(&holders, 3);
        let tasks: Tasks = (0u32..).zip(&slots).map(|(index, slot)| (task(index), load(Some(*slot)))).collect();
        let unheld = slots.iter().any(|slot| holders[*slot as usize] == 3);
        prop_assume!(unheld);
        prop_assert_eq!(assign(&group, &tasks, true), BTreeMap::new());
    }
}

#[test]
fn a_task_that_is_on_its_way_is_not_moved_again() {
    let group = group(&[0; SLOTS as usize], 1);
    let mut two = group.clone();
    two.workers.insert("w1".to_owned(), BTreeSet::from([SLOTS]));
    let moving = Load { movable: false, ..load(Some(1)) };
    let tasks: Tasks = (0..4).map(|index| (task(index), moving.clone())).collect();
    assert_eq!(assign(&two, &tasks, true), BTreeMap::new());
}

#[test]
fn new_tasks_are_spread_over_slots_that_stand_far_apart() {
    let group = group(&[0; SLOTS as usize], 1);
    let tasks: Tasks = (0..4).map(|index| (task(index), load(None))).collect();
    let slots: BTreeSet<Slot> = assign(&group, &tasks, false).into_values().collect();
    assert_eq!(slots.len(), 4);
    assert!(slots.iter().any(|slot| *slot >= SLOTS / 2), "{slots:?}: half of the slots go to a worker that joins");
}

#[test]
fn without_workers_nobody_gets_anything() {
    let tasks = Tasks::from([(task(0), load(None))]);
    assert_eq!(assign(&Group::default(), &tasks, true), BTreeMap::new());
}

fn drained(mut group: Group, workers: &[&str]) -> Group {
    group.drained = workers.iter().map(|worker| (*worker).to_owned()).collect();
    group
}

#[test]
fn tasks_leave_a_drained_worker_a_few_at_a_time_and_none_comes() {
    let group = drained(group(&[0, 0, 1, 1, 2, 2], 3), &["w0"]);
    let mut tasks: Tasks = (0..10).map(|index| (task(index), load(Some(0)))).collect();
    let first = assign(&group, &tasks, true);
    assert_eq!(first.len(), LEAVING_MAX);
    for (task, slot) in &first {
        tasks.insert(task.clone(), Load { movable: false, ..load(Some(*slot)) });
    }
    assert_eq!(assign(&group, &tasks, true), BTreeMap::new(), "the next ones wait for these");
    for _ in 0..3 {
        tasks.values_mut().for_each(|load| load.movable = true);
        tasks = applied(&tasks, &assign(&group, &tasks, false));
    }
    assert_eq!(weights(&group, &tasks), [0, 5, 5]);
    tasks.insert(task(99), load(None));
    tasks = applied(&tasks, &assign(&group, &tasks, true));
    assert_eq!(weights(&group, &tasks)[0], 0);
}

#[test]
fn where_every_worker_is_drained_tasks_stay_and_new_ones_run() {
    let group = drained(group(&[0, 1], 2), &["w0", "w1"]);
    let tasks = Tasks::from([(task(0), load(Some(0))), (task(1), load(None))]);
    let after = applied(&tasks, &assign(&group, &tasks, true));
    assert_eq!(weights(&group, &after), [1, 1]);
}

#[test]
fn a_task_that_comes_back_to_the_slot_it_has_left_waits_for_nobody() {
    let first = Place { slot: 5, generation: 1, from: None };
    let waiting = first.moved_to(QUEUED, 2);
    assert_eq!(waiting.former(), Some(5));
    assert_eq!(waiting.moved_to(5, 3).former(), None);
    assert_eq!(waiting.moved_to(2, 3).former(), Some(5));
}
