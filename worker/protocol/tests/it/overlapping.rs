//! One task whose owners overlap: each is fenced by the next, may die at every step, and may lose the answer of its decide.
use crate::search::{World, search};
use elasticflow_protocol::{Answer, Consequence, Step, TakeOver, after_decide, may_abort, next_owner};

const RECORDS: u8 = 2;
const OWNERS: usize = 3;

/// A set of units; unit `(owner - 1) * RECORDS + record`.
type Units = u8;

/// A shortcut that must be refuted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortcut {
    None,
    FencedOwnerAborts,
    AbortsEveryUndecidedUnit,
    DecisionsBeforeFencing,
    OrderedByGeneration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Dead,
    Init,
    Read,
    Claim,
    CommitDecided,
    ForgetDecided,
    Scan,
    Run,
    Put,
    Prepared,
    Ambiguous,
    Decided,
    Committed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner {
    member: u8,
    at: At,
    /// Producer epoch held.
    fence: u8,
    /// Owner epoch.
    epoch: u8,
    low: u8,
    high: u8,
    /// Decisions read.
    seen: Option<Units>,
    last_claim: u8,
    todo: Units,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// Producer epoch of the transactional id.
    fence: u8,
    claim: u8,
    offset: u8,
    decided: Units,
    forgotten: Units,
    prepared: Units,
    /// The destination's ledger of commits.
    ledger: Units,
    applied: [u8; RECORDS as usize],
    owners: [Option<Owner>; OWNERS],
}

struct Overlapping(Shortcut);

fn owner(member: u8, at: At) -> Owner {
    Owner { member, at, fence: 0, epoch: 0, low: 0, high: 0, seen: None, last_claim: 0, todo: 0 }
}

fn unit(epoch: u8, record: u8) -> Units {
    1 << ((epoch - 1) * RECORDS + record)
}

fn epoch_of(unit: Units) -> u8 {
    u8::try_from(unit.trailing_zeros()).unwrap() / RECORDS + 1
}

fn record_of(unit: Units) -> u8 {
    u8::try_from(unit.trailing_zeros()).unwrap() % RECORDS
}

fn each(units: Units) -> impl Iterator<Item = Units> {
    (0..Units::BITS).map(|bit| 1 << bit).filter(move |unit| units & unit != 0)
}

fn first(units: Units) -> Units {
    units & units.wrapping_neg()
}

impl State {
    /// Idempotent by the ledger.
    fn commit(mut self, unit: Units) -> Result<Self, String> {
        if self.prepared & unit != 0 {
            self.applied[usize::from(record_of(unit))] += 1;
            self.prepared &= !unit;
            self.ledger |= unit;
            return Ok(self);
        }
        if self.ledger & unit != 0 { Ok(self) } else { Err("commit of a unit that is nowhere".to_owned()) }
    }

    fn with(mut self, index: usize, owner: Owner) -> Self {
        self.owners[index] = Some(owner);
        self
    }
}

impl World for Overlapping {
    type State = State;

    fn start(&self) -> State {
        State {
            fence: 0,
            claim: 0,
            offset: 0,
            decided: 0,
            forgotten: 0,
            prepared: 0,
            ledger: 0,
            applied: [0; RECORDS as usize],
            owners: [None; OWNERS],
        }
    }

    fn check(&self, s: &State) -> Result<(), String> {
        let covers = |units: Units, record: u8| each(units).any(|u| record_of(u) == record);
        for record in 0..RECORDS {
            let times = s.applied[usize::from(record)];
            if times > 1 {
                return Err(format!("record {record} applied twice"));
            }
            if times == 1 && !covers(s.decided, record) {
                return Err(format!("record {record} applied without a decision"));
            }
            if times == 0 && record < s.offset && !covers(s.decided & s.prepared, record) {
                return Err(format!("record {record} lost"));
            }
        }
        let mut living = s.owners.iter().flatten().filter(|o| o.at != At::Dead);
        if let (Some(only), None) = (living.next(), living.next()) {
            let is_settled = only.at == At::Run && only.fence == s.fence;
            if is_settled && s.applied.iter().take(usize::from(s.offset)).any(|n| *n != 1) {
                return Err("a recovered owner runs while decided records are not applied".to_owned());
            }
        }
        Ok(())
    }

    fn next(&self, s: &State, to: &mut Vec<(&'static str, State)>) -> Result<(), String> {
        if let Some(free) = s.owners.iter().position(Option::is_none) {
            to.push(("another owner", s.with(free, owner(u8::try_from(free).unwrap() + 1, At::Init))));
        }
        for (i, o) in s.owners.iter().enumerate() {
            let Some(o) = o.filter(|o| o.at != At::Dead) else { continue };
            to.push(("crash", s.with(i, owner(o.member, At::Dead))));
            self.step(s, i, o, to)?;
        }
        Ok(())
    }
}

impl Overlapping {
    fn step(&self, s: &State, i: usize, o: Owner, to: &mut Vec<(&'static str, State)>) -> Result<(), String> {
        let mine = s.fence == o.fence;
        let dead = s.with(i, owner(o.member, At::Dead));
        let early = self.0 == Shortcut::DecisionsBeforeFencing;
        let read = Owner { seen: Some(s.decided & !s.forgotten), last_claim: s.claim, ..o };
        match o.at {
            At::Dead => {}
            At::Init if early && o.seen.is_none() => to.push(("read", s.with(i, read))),
            At::Init => {
                let (fence, at) = (s.fence + 1, if early { At::Claim } else { At::Read });
                to.push(("init", State { fence, ..*s }.with(i, Owner { at, fence, ..o })));
            }
            At::Read => to.push(("read", s.with(i, Owner { at: At::Claim, ..read }))),
            At::Claim if !mine => to.push(("fenced", dead)),
            At::Claim => {
                let by_claim = u8::try_from(next_owner(o.last_claim.into())).unwrap();
                let epoch = if self.0 == Shortcut::OrderedByGeneration { o.member } else { by_claim };
                let now = State { claim: s.claim.max(by_claim), ..*s };
                let todo = o.seen.unwrap_or_default();
                to.push(("claim", now.with(i, Owner { at: At::CommitDecided, epoch, last_claim: 0, todo, ..o })));
            }
            At::CommitDecided if o.todo != 0 => {
                let now = s.commit(first(o.todo))?;
                to.push(("adopt", now.with(i, Owner { at: At::ForgetDecided, ..o })));
            }
            At::CommitDecided => {
                let todo = each(s.prepared).filter(|u| self.is_old(*u, o)).fold(0, |all, u| all | u);
                to.push(("scan", s.with(i, Owner { at: At::Scan, todo, ..o })));
            }
            At::ForgetDecided if !mine => to.push(("fenced", dead)),
            At::ForgetDecided => {
                let now = State { forgotten: s.forgotten | first(o.todo), ..*s };
                let todo = o.todo & !first(o.todo);
                to.push(("forget", now.with(i, Owner { at: At::CommitDecided, todo, ..o })));
            }
            At::Scan if o.todo != 0 => {
                let unit = first(o.todo);
                let is_decided = o.seen.unwrap_or_default() & unit != 0;
                let prepared = if is_decided { s.prepared } else { s.prepared & !unit };
                to.push(("remove", State { prepared, ..*s }.with(i, Owner { todo: o.todo & !unit, ..o })));
            }
            At::Scan => to.push(("run", s.with(i, idle(o)))),
            At::Run | At::Put | At::Prepared | At::Ambiguous | At::Decided | At::Committed => {
                self.unit_step(s, i, o, to)?;
            }
        }
        Ok(())
    }

    /// Whether a scan looks at a unit at all; [`may_abort`] alone decides, but for the shortcut.
    fn is_old(&self, unit: Units, o: Owner) -> bool {
        let any = self.0 == Shortcut::AbortsEveryUndecidedUnit && epoch_of(unit) != o.epoch;
        any || may_abort(epoch_of(unit).into(), o.epoch.into(), false)
    }

    fn unit_step(&self, s: &State, i: usize, o: Owner, to: &mut Vec<(&'static str, State)>) -> Result<(), String> {
        let mine = s.fence == o.fence;
        let dead = |s: State| s.with(i, owner(o.member, At::Dead));
        match o.at {
            At::Run => {
                if s.offset < RECORDS && mine {
                    let (low, high) = (s.offset, s.offset + 1);
                    to.push(("put", s.with(i, Owner { at: At::Put, low, high, ..o })));
                }
                // The janitor: decisions of older owners are final since the claim, so the first reading is enough.
                let seen = o.seen.unwrap_or_default();
                let late = |u: &Units| may_abort(epoch_of(*u).into(), o.epoch.into(), seen & u != 0);
                let todo = each(s.prepared).filter(late).fold(0, |all, u| all | u);
                if todo != 0 {
                    to.push(("janitor", s.with(i, Owner { at: At::Scan, low: 0, high: 0, todo, ..o })));
                }
            }
            At::Put => {
                let prepared = s.prepared | unit(o.epoch, o.low);
                to.push(("prepare", State { prepared, ..*s }.with(i, Owner { at: At::Prepared, ..o })));
            }
            At::Prepared | At::Ambiguous if !mine => {
                let aborts =
                    self.0 == Shortcut::FencedOwnerAborts || after_decide(Answer::Fenced) == Consequence::RemoveOwnUnit;
                let prepared = if aborts { s.prepared & !unit(o.epoch, o.low) } else { s.prepared };
                to.push(("fenced", dead(State { prepared, ..*s })));
            }
            At::Prepared | At::Ambiguous => {
                let own = unit(o.epoch, o.low);
                if s.decided & own != 0 {
                    to.push(("decided before", s.with(i, Owner { at: At::Decided, ..o })));
                } else {
                    let now = State { decided: s.decided | own, offset: s.offset.max(o.high), ..*s };
                    to.push(("decide", now.with(i, Owner { at: At::Decided, ..o })));
                    to.push(("decide, answer lost", now.with(i, Owner { at: At::Ambiguous, ..o })));
                }
                if o.at == At::Prepared {
                    to.push(("decide, request lost", s.with(i, Owner { at: At::Ambiguous, ..o })));
                }
            }
            At::Decided => {
                let now = s.commit(unit(o.epoch, o.low))?;
                to.push(("commit", now.with(i, Owner { at: At::Committed, ..o })));
            }
            At::Committed if !mine => to.push(("fenced", dead(*s))),
            At::Committed => {
                let now = State { forgotten: s.forgotten | unit(o.epoch, o.low), ..*s };
                to.push(("forget", now.with(i, idle(o))));
            }
            At::Dead | At::Init | At::Read | At::Claim | At::CommitDecided | At::ForgetDecided | At::Scan => {}
        }
        Ok(())
    }
}

fn idle(o: Owner) -> Owner {
    Owner { at: At::Run, low: 0, high: 0, last_claim: 0, todo: 0, ..o }
}

#[test]
fn overlapping_owners_lose_nothing_and_apply_nothing_twice() {
    assert_eq!(search(&Overlapping(Shortcut::None)), Ok(90_721));
}

#[test]
fn a_fenced_owner_that_removes_its_own_unit_is_refuted() {
    search(&Overlapping(Shortcut::FencedOwnerAborts)).unwrap_err();
}

#[test]
fn a_recovery_that_removes_units_of_newer_owners_is_refuted() {
    search(&Overlapping(Shortcut::AbortsEveryUndecidedUnit)).unwrap_err();
}

#[test]
fn decisions_read_before_fencing_are_refuted_and_the_order_refuses_them() {
    search(&Overlapping(Shortcut::DecisionsBeforeFencing)).unwrap_err();
    TakeOver::default().reached(Step::Decisions).unwrap_err();
}

#[test]
fn units_ordered_by_group_generation_are_refuted() {
    search(&Overlapping(Shortcut::OrderedByGeneration)).unwrap_err();
}
