use super::*;
use proptest::prelude::{any, prop, proptest};

fn topics(counts: &[(&str, i32)]) -> BTreeMap<String, i32> {
    counts.iter().map(|(t, n)| ((*t).to_owned(), *n)).collect()
}

fn beat(member: &str, epoch: i32) -> Beat {
    Beat {
        member: member.into(),
        epoch,
        instance: None,
        client: "c".into(),
        subscribed: None,
        owned: None,
        now: Duration::ZERO,
    }
}

fn joins(member: &str) -> Beat {
    Beat { subscribed: Some(BTreeSet::from(["t".into()])), owned: Some(BTreeSet::new()), ..beat(member, 0) }
}

fn places(ps: &[i32]) -> BTreeSet<Place> {
    ps.iter().map(|p| ("t".to_owned(), *p)).collect()
}

/// Heartbeats of one member until nothing changes for it any more, acknowledging what it is told.
fn settle(g: &mut Modern, member: &str, counts: &BTreeMap<String, i32>) -> BTreeSet<Place> {
    for _ in 0..4 {
        let Some(m) = g.members.get(member) else { return BTreeSet::new() };
        let b = Beat { owned: Some(m.owned.clone()), ..beat(member, m.epoch) };
        g.heartbeat(b, counts).unwrap();
    }
    g.members[member].owned.clone()
}

#[test]
fn one_member_owns_everything_it_subscribes_to() {
    let (mut g, counts) = (Modern::default(), topics(&[("t", 3), ("other", 2)]));
    let a = g.heartbeat(joins("a"), &counts).unwrap();
    assert_eq!(a.assignment, Some(places(&[0, 1, 2])));
    assert_eq!(g.state_name(), "Stable");
    assert_eq!(g.heartbeat(beat("a", a.epoch), &counts).unwrap().assignment, None, "it knows");
}

#[test]
fn a_partition_moves_only_after_its_owner_has_let_go() {
    let (mut g, counts) = (Modern::default(), topics(&[("t", 4)]));
    let first = g.heartbeat(joins("a"), &counts).unwrap();
    assert_eq!(g.heartbeat(joins("b"), &counts).unwrap().assignment, Some(BTreeSet::new()), "all is taken");
    let told = g.heartbeat(beat("a", first.epoch), &counts).unwrap().assignment.unwrap();
    assert_eq!(told.len(), 2);
    let epoch = g.members["b"].epoch;
    assert_eq!(g.heartbeat(beat("b", epoch), &counts).unwrap().assignment, None, "not acknowledged yet");
    g.heartbeat(Beat { owned: Some(told.clone()), ..beat("a", first.epoch) }, &counts).unwrap();
    let got = g.heartbeat(beat("b", g.members["b"].epoch), &counts).unwrap().assignment.unwrap();
    assert!(got.len() == 2 && got.is_disjoint(&told));
}

#[test]
fn a_member_that_leaves_or_is_silent_gives_its_partitions_up() {
    for leaves in [true, false] {
        let (mut g, counts) = (Modern::default(), topics(&[("t", 4)]));
        g.heartbeat(joins("a"), &counts).unwrap();
        g.heartbeat(joins("b"), &counts).unwrap();
        settle(&mut g, "a", &counts);
        assert_eq!(settle(&mut g, "b", &counts).len(), 2);
        if leaves {
            g.heartbeat(beat("a", -1), &counts).unwrap();
        } else {
            g.members.get_mut("b").unwrap().seen = 2 * SESSION;
            g.tick(2 * SESSION);
        }
        assert_eq!(settle(&mut g, "b", &counts), places(&[0, 1, 2, 3]), "leaves: {leaves}");
        assert_eq!(g.heartbeat(beat("a", 1), &counts), Err(code::UNKNOWN_MEMBER_ID));
    }
}

#[test]
fn stale_epochs_are_shut_out_and_the_previous_one_is_not() {
    let (mut g, counts) = (Modern::default(), topics(&[("t", 4)]));
    let first = g.heartbeat(joins("a"), &counts).unwrap().epoch;
    let grown = topics(&[("t", 5)]);
    let next = g.heartbeat(beat("a", first), &grown).unwrap();
    assert!(next.epoch > first && next.assignment == Some(places(&[0, 1, 2, 3, 4])), "new partitions are handed out");
    assert!(g.heartbeat(beat("a", first), &grown).is_ok(), "the answer may have been lost");
    assert_eq!(g.heartbeat(beat("a", 99), &grown), Err(code::FENCED_MEMBER_EPOCH));
    assert_eq!(g.may_commit("a", next.epoch), Ok(()));
    assert_eq!(g.may_commit("a", first), Err(code::STALE_MEMBER_EPOCH));
}

#[test]
fn a_static_member_that_will_be_back_keeps_its_partitions() {
    let (mut g, counts) = (Modern::default(), topics(&[("t", 2)]));
    let with = |b: Beat| Beat { instance: Some("i".into()), ..b };
    g.heartbeat(with(joins("old")), &counts).unwrap();
    assert_eq!(g.heartbeat(with(joins("new")), &counts), Err(code::UNRELEASED_INSTANCE_ID));
    g.heartbeat(with(beat("old", LEAVE_STATIC)), &counts).unwrap();
    let back = g.heartbeat(with(joins("new")), &counts).unwrap();
    assert_eq!(back.assignment, Some(places(&[0, 1])));
    assert_eq!(g.members.len(), 1);
}

proptest! {
    /// Whatever members do, nobody owns what another owns or has not let go of, and in the end all is shared evenly.
    #[test]
    fn no_partition_ever_has_two_owners(
        n in 1i32..12, steps in prop::collection::vec((0usize..4, any::<bool>(), any::<bool>()), 1..60)
    ) {
        let (mut g, counts) = (Modern::default(), topics(&[("t", n)]));
        let names = ["a", "b", "c", "d"];
        for (i, leave, acknowledge) in steps {
            let name = names[i];
            let b = match g.members.get(name) {
                None => joins(name),
                Some(_) if leave => beat(name, -1),
                Some(m) => Beat { owned: acknowledge.then(|| m.owned.clone()), ..beat(name, m.epoch) },
            };
            g.heartbeat(b, &counts).unwrap();
            let held: Vec<&Place> = g.members.values().flat_map(|m| m.owned.union(&m.revoking)).collect();
            let distinct: BTreeSet<_> = held.iter().collect();
            assert_eq!(held.len(), distinct.len());
        }
        for _ in 0..4 {
            names.iter().for_each(|m| drop(settle(&mut g, m, &counts)));
        }
        let sizes: Vec<usize> = g.members.values().map(|m| m.owned.len()).collect();
        if let (Some(most), Some(least)) = (sizes.iter().max(), sizes.iter().min()) {
            assert!(most - least <= 1 && sizes.iter().sum::<usize>() == n as usize, "{sizes:?}");
            assert_eq!(g.state_name(), "Stable");
        }
    }
}
