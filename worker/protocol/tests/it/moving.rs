//! A partition that moves between two tasks with transactional ids of their own, while tasks die and lose answers. A Kafka
//! commit is three steps here, as in Kafka: the coordinator decides, then the markers reach both partitions in any order.
use crate::search::{World, search};
use elasticflow_protocol::{Answer, Consequence, after_decide, may_abort, must_adopt};

const RECORDS: u8 = 2;
const MOVES: u8 = 2;
const CRASHES: u8 = 2;
/// Attempts that the log of decisions holds; a world never needs more.
const LOG: usize = 12;

/// A shortcut that must be refuted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortcut {
    None,
    DecisionsToTheLastStableOffset,
    UnstableOffsets,
    OffsetsWithoutGroupMetadata,
    NoAdoption,
    DecisionsBeforeOffsets,
}

/// `task << 4 | owner epoch << 1 | record`.
type Unit = u8;
/// A set of units.
type Units = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Entry {
    Open,
    Seen,
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Offsets,
    Record,
    Sent,
    /// Decided; whether the marker has reached the offsets.
    Decided(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Idle,
    Dead,
    CleanUp,
    Offsets,
    Decisions,
    Adopt,
    Run,
    Prepared,
    Sent,
    Decided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Task {
    at: At,
    /// Generation it believes in.
    generation: u8,
    epoch: u8,
    next: u8,
    seen: Units,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    owner: u8,
    generation: u8,
    offset: u8,
    log: [Option<(Unit, Entry)>; LOG],
    transactions: [Option<(Unit, Stage)>; 2],
    prepared: Units,
    applied: [u8; RECORDS as usize],
    tasks: [Task; 2],
    crashes: u8,
}

struct Moving(Shortcut);

fn unit(task: usize, epoch: u8, record: u8) -> Unit {
    assert!(epoch < 8, "epochs fit");
    u8::try_from(task).unwrap() << 4 | epoch << 1 | record
}

fn task_of(unit: Unit) -> usize {
    usize::from(unit >> 4)
}

fn epoch_of(unit: Unit) -> u8 {
    unit >> 1 & 7
}

fn record_of(unit: Unit) -> u8 {
    unit & 1
}

fn set(unit: Unit) -> Units {
    1 << unit
}

fn each(units: Units) -> impl Iterator<Item = Unit> {
    (0..32).filter(move |unit| units & set(*unit) != 0)
}

impl State {
    fn seen(&self) -> Units {
        self.log.iter().flatten().filter(|(_, e)| *e == Entry::Seen).fold(0, |all, (u, _)| all | set(*u))
    }

    fn is_open(&self, unit: Unit) -> bool {
        self.log.contains(&Some((unit, Entry::Open)))
    }

    /// Idempotent.
    fn commit(mut self, unit: Unit) -> Self {
        if self.prepared & set(unit) != 0 {
            self.applied[usize::from(record_of(unit))] += 1;
            self.prepared &= !set(unit);
        }
        self
    }

    fn resolved(mut self, unit: Unit, to: Entry) -> Self {
        for (other, entry) in self.log.iter_mut().flatten() {
            if *other == unit {
                *entry = to;
            }
        }
        self
    }

    fn logged(mut self, unit: Unit) -> Self {
        let free = self.log.iter().position(Option::is_none).expect("the log has room");
        self.log[free] = Some((unit, Entry::Open));
        self
    }

    fn task(mut self, i: usize, task: Task) -> Self {
        self.tasks[i] = task;
        self
    }

    fn transaction(mut self, i: usize, transaction: Option<(Unit, Stage)>) -> Self {
        self.transactions[i] = transaction;
        self
    }
}

impl World for Moving {
    type State = State;

    fn start(&self) -> State {
        let task = Task { at: At::Idle, generation: 0, epoch: 1, next: 0, seen: 0 };
        State {
            owner: 0,
            generation: 0,
            offset: 0,
            log: [None; LOG],
            transactions: [None; 2],
            prepared: 0,
            applied: [0; RECORDS as usize],
            tasks: [task; 2],
            crashes: 0,
        }
    }

    fn check(&self, s: &State) -> Result<(), String> {
        let deciding = s.transactions.iter().flatten().filter(|(_, stage)| matches!(stage, Stage::Decided(_)));
        let decided = each(s.seen()).chain(deciding.map(|(u, _)| *u)).fold(0u8, |all, u| all | 1 << record_of(u));
        for record in 0..RECORDS {
            let times = s.applied[usize::from(record)];
            if times > 1 {
                return Err(format!("record {record} applied twice"));
            }
            if times == 1 && decided & 1 << record == 0 {
                return Err(format!("record {record} applied without a decision"));
            }
            if times == 1 && s.applied.iter().take(usize::from(record)).any(|n| *n == 0) {
                return Err(format!("record {record} applied before an earlier one"));
            }
            if times == 0 && record < s.offset && !each(s.prepared).any(|u| record_of(u) == record) {
                return Err(format!("record {record} lost"));
            }
        }
        Ok(())
    }

    fn next(&self, s: &State, to: &mut Vec<(&'static str, State)>) -> Result<(), String> {
        if s.generation < MOVES {
            to.push(("move", State { owner: 1 - s.owner, generation: s.generation + 1, ..*s }));
        }
        for i in 0..2 {
            markers(s, i, to);
        }
        for (i, task) in s.tasks.iter().enumerate() {
            if task.at != At::Dead && s.crashes < CRASHES {
                let dead = Task { at: At::Dead, seen: 0, ..*task };
                to.push(("crash", State { crashes: s.crashes + 1, ..*s }.task(i, dead)));
            }
            self.step(s, i, *task, to);
        }
        Ok(())
    }
}

/// The markers of a decided transaction, in either order.
fn markers(s: &State, i: usize, to: &mut Vec<(&'static str, State)>) {
    let Some((unit, Stage::Decided(offset_done))) = s.transactions[i] else { return };
    let decision_done = !s.is_open(unit);
    if !offset_done {
        let left = if decision_done { None } else { Some((unit, Stage::Decided(true))) };
        let offset = s.offset.max(record_of(unit) + 1);
        to.push(("offset marker", State { offset, ..*s }.transaction(i, left)));
    }
    if !decision_done {
        let left = if offset_done { None } else { s.transactions[i] };
        to.push(("decision marker", s.resolved(unit, Entry::Seen).transaction(i, left)));
    }
}

impl Moving {
    /// The decisions that a read_committed reader gets, or `None` while it must wait for the high watermark.
    fn readable(&self, s: &State) -> Option<Units> {
        let open = s.log.iter().flatten().position(|(_, entry)| *entry == Entry::Open);
        match open {
            None => Some(s.seen()),
            Some(_) if self.0 != Shortcut::DecisionsToTheLastStableOffset => None,
            Some(first) => {
                let before = s.log.iter().flatten().take(first).filter(|(_, entry)| *entry == Entry::Seen);
                Some(before.fold(0, |all, (u, _)| all | set(*u)))
            }
        }
    }

    fn step(&self, s: &State, i: usize, t: Task, to: &mut Vec<(&'static str, State)>) {
        let early = self.0 == Shortcut::DecisionsBeforeOffsets;
        match t.at {
            At::Dead => init(s, i, t, to),
            At::CleanUp => {
                if let Some(decided) = self.readable(s) {
                    to.push(("clean up", clean_up(*s, i, t, decided).task(i, Task { at: At::Idle, ..t })));
                }
            }
            At::Idle if s.owner == u8::try_from(i).unwrap() => {
                let at = if early { At::Decisions } else { At::Offsets };
                to.push(("assigned", s.task(i, Task { at, generation: s.generation, ..t })));
            }
            At::Idle => {}
            At::Offsets => {
                let undecided =
                    |(_, stage): &(Unit, Stage)| matches!(stage, Stage::Offsets | Stage::Sent | Stage::Decided(false));
                let is_unstable = s.transactions.iter().flatten().any(undecided);
                if !is_unstable || self.0 == Shortcut::UnstableOffsets {
                    let at = if early { At::Adopt } else { At::Decisions };
                    to.push(("offsets", s.task(i, Task { at, next: s.offset, ..t })));
                }
            }
            At::Decisions => {
                if let Some(seen) = self.readable(s) {
                    let at = if early { At::Offsets } else { At::Adopt };
                    to.push(("decisions", s.task(i, Task { at, seen, ..t })));
                }
            }
            At::Adopt => {
                let adopts = self.0 != Shortcut::NoAdoption;
                let all = each(t.seen).filter(|_| adopts && must_adopt(true, true, false));
                let now = all.fold(*s, State::commit);
                to.push(("adopt", now.task(i, Task { at: At::Run, seen: 0, ..t })));
            }
            At::Run | At::Prepared | At::Sent | At::Decided => self.unit_step(s, i, t, to),
        }
    }

    fn unit_step(&self, s: &State, i: usize, t: Task, to: &mut Vec<(&'static str, State)>) {
        match t.at {
            At::Run => {
                if t.generation != s.generation {
                    to.push(("revoked", s.task(i, Task { at: At::Idle, ..t })));
                }
                if t.next < RECORDS {
                    let prepared = s.prepared | set(unit(i, t.epoch, t.next));
                    to.push(("prepare", State { prepared, ..*s }.task(i, Task { at: At::Prepared, ..t })));
                }
            }
            At::Prepared => self.fill(s, i, t, to),
            At::Sent => {
                let decided = s.transaction(i, s.transactions[i].map(|(u, _)| (u, Stage::Decided(false))));
                to.push(("decide", decided.task(i, Task { at: At::Decided, ..t })));
                to.push(("decide, answer lost", decided.task(i, Task { at: At::Dead, ..t })));
            }
            At::Decided => {
                let now = s.commit(unit(i, t.epoch, t.next));
                to.push(("commit", now.task(i, Task { at: At::Run, next: t.next + 1, ..t })));
            }
            At::Idle | At::Dead | At::CleanUp | At::Offsets | At::Decisions | At::Adopt => {}
        }
    }

    /// Offsets and the decision record go into the transaction in either order.
    fn fill(&self, s: &State, i: usize, t: Task, to: &mut Vec<(&'static str, State)>) {
        let own = unit(i, t.epoch, t.next);
        let stage = s.transactions[i].map(|(_, stage)| stage);
        // The coordinator answers that transactions are concurrent until the markers of the last one are written.
        if matches!(stage, Some(Stage::Decided(_))) {
            return;
        }
        let is_member = t.generation == s.generation && usize::from(s.owner) == i;
        let accepted = is_member || self.0 == Shortcut::OffsetsWithoutGroupMetadata;
        let (has_offsets, has_record) = (stage == Some(Stage::Offsets), stage == Some(Stage::Record));
        let at = |is_last| if is_last { At::Sent } else { At::Prepared };
        if !has_record {
            let stage = if has_offsets { Stage::Sent } else { Stage::Record };
            let now = s.logged(own).transaction(i, Some((own, stage)));
            to.push(("send the decision", now.task(i, Task { at: at(has_offsets), ..t })));
        }
        if !has_offsets && accepted {
            let stage = if has_record { Stage::Sent } else { Stage::Offsets };
            let now = s.transaction(i, Some((own, stage)));
            to.push(("send the offsets", now.task(i, Task { at: at(has_record), ..t })));
        }
        if !has_offsets && !accepted {
            let may = after_decide(Answer::NotCommitted) == Consequence::RemoveOwnUnit;
            let gone = s.resolved(own, Entry::Gone);
            let prepared = if may { gone.prepared & !set(own) } else { gone.prepared };
            let now = State { prepared, ..gone }.transaction(i, None);
            to.push(("refused", now.task(i, Task { at: At::Idle, ..t })));
        }
    }
}

/// Fences, aborts what was open, waits for the markers of what was decided.
fn init(s: &State, i: usize, t: Task, to: &mut Vec<(&'static str, State)>) {
    let next = Task { at: At::CleanUp, epoch: t.epoch + 1, ..t };
    match s.transactions[i] {
        None => to.push(("init", s.task(i, next))),
        Some((_, Stage::Decided(_))) => {}
        Some((unit, _)) => to.push(("init", s.resolved(unit, Entry::Gone).transaction(i, None).task(i, next))),
    }
}

/// Commits its own decided units and removes its own undecided ones of older owners.
fn clean_up(s: State, i: usize, t: Task, decided: Units) -> State {
    let own = |u: &Unit| task_of(*u) == i && must_adopt(true, false, epoch_of(*u) < t.epoch);
    let mut now = each(decided).filter(own).fold(s, State::commit);
    for unit in each(now.prepared).filter(|u| task_of(*u) == i) {
        if may_abort(epoch_of(unit).into(), t.epoch.into(), decided & set(unit) != 0) {
            now.prepared &= !set(unit);
        }
    }
    now
}

#[test]
fn a_moving_partition_is_applied_once_and_in_order() {
    assert_eq!(search(&Moving(Shortcut::None)), Ok(842_546));
}

#[test]
fn decisions_read_to_the_last_stable_offset_are_refuted() {
    search(&Moving(Shortcut::DecisionsToTheLastStableOffset)).unwrap_err();
}

#[test]
fn group_offsets_read_unstable_are_refuted() {
    search(&Moving(Shortcut::UnstableOffsets)).unwrap_err();
}

#[test]
fn offsets_without_group_metadata_are_refuted() {
    search(&Moving(Shortcut::OffsetsWithoutGroupMetadata)).unwrap_err();
}

#[test]
fn a_new_owner_that_adopts_nothing_is_refuted() {
    search(&Moving(Shortcut::NoAdoption)).unwrap_err();
}

#[test]
fn decisions_read_before_the_stable_offsets_are_refuted() {
    search(&Moving(Shortcut::DecisionsBeforeOffsets)).unwrap_err();
}
