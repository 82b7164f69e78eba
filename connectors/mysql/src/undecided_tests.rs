use super::*;

fn event(kind: u8, body: &[u8]) -> Bytes {
    let mut raw = vec![0; Header::LENGTH];
    raw[4] = kind;
    raw.extend_from_slice(body);
    raw.into()
}

fn query(text: &str) -> Bytes {
    // Thread, time, length of the database's name, error, length of the variables, the end of the name.
    let mut body = vec![0; 4 + 4 + 1 + 2 + 2 + 1];
    body.extend_from_slice(text.as_bytes());
    event(kind::QUERY, &body)
}

fn rows(n: u8) -> Bytes {
    event(30, &[n])
}

fn prepare(one_phase: bool) -> Bytes {
    event(kind::XA_PREPARE, &[u8::from(one_phase), 0, 0, 0, 0])
}

/// What comes out at once for each event, by its kind and whether it is of what was rolled back.
fn out(undecided: &mut Undecided, events: &[Bytes]) -> Vec<(u8, bool)> {
    let mut all = Vec::new();
    for raw in events {
        let mut next = undecided.offer(raw.clone(), false).unwrap();
        while let Some(raw) = next.or_else(|| undecided.ready(false)) {
            all.push((raw[4], undecided.rolled_back));
            if raw[4] == kind::XA_PREPARE {
                undecided.rolled_back = false;
            }
            next = None;
        }
    }
    all
}

#[test]
fn what_follows_a_prepared_transaction_waits_for_its_outcome_and_keeps_its_order() {
    let mut undecided = Undecided::default();
    let before = [query("BEGIN"), rows(1), event(kind::XID, &[])];
    assert_eq!(out(&mut undecided, &before).len(), 3);
    let open = [query("XA START X'61',X'',1"), rows(2), query("XA END X'61',X'',1"), prepare(false)];
    assert_eq!(out(&mut undecided, &open), []);
    assert_eq!(undecided.waits_for(), Some("X'61',X'',1"));
    let other = [query("BEGIN"), rows(3), event(kind::XID, &[]), query("XA COMMIT X'62',X'',1")];
    assert_eq!(out(&mut undecided, &other), [], "another one's outcome is not its own");
    let all = out(&mut undecided, &[query("XA ROLLBACK X'61',X'',1")]);
    let dropped: Vec<u8> = all.iter().filter(|(_, dropped)| *dropped).map(|(kind, _)| *kind).collect();
    assert_eq!(dropped, [kind::QUERY, 30, kind::QUERY, kind::XA_PREPARE]);
    assert_eq!(all.len(), 9);
    assert_eq!((undecided.waits_for(), undecided.bytes), (None, 0));
}

#[test]
fn a_transaction_of_one_phase_and_one_that_is_committed_are_handed_out_whole() {
    for end in [vec![prepare(true)], vec![prepare(false), query("xa commit X'61',X'',1")], vec![query("COMMIT")]] {
        let mut undecided = Undecided::default();
        let events: Vec<_> = [query("XA START X'61',X'',1"), rows(2)].into_iter().chain(end).collect();
        let all = out(&mut undecided, &events);
        assert_eq!(all.len(), events.len());
        assert!(all.iter().all(|(_, dropped)| !dropped));
    }
}

#[test]
fn one_inside_what_is_held_back_waits_in_its_turn() {
    let mut undecided = Undecided::default();
    let events = [
        query("XA START X'61',X'',1"),
        prepare(false),
        query("XA START X'62',X'',1"),
        prepare(false),
        query("XA COMMIT X'61',X'',1"),
    ];
    let first = out(&mut undecided, &events);
    assert_eq!(first, [(kind::QUERY, false), (kind::XA_PREPARE, false)], "the second one is still open");
    assert_eq!(undecided.waits_for(), Some("X'62',X'',1"));
    let rest = out(&mut undecided, &[query("XA ROLLBACK X'62',X'',1")]);
    assert_eq!(rest.iter().map(|(_, dropped)| *dropped).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn no_more_is_held_back_than_may_be_and_bytes_without_sense_harm_nobody() {
    let mut undecided = Undecided::default();
    undecided.offer(query("XA START X'61',X'',1"), false).unwrap();
    let large = Bytes::from(vec![0; HELD_MAX]);
    assert_eq!(undecided.offer(large, false).unwrap_err().xid, "X'61',X'',1");
    for kind in 0..=u8::MAX {
        let mut undecided = Undecided::default();
        let _ = undecided.offer(event(kind, &[]), true);
        let _ = undecided.offer(Bytes::from(vec![kind; 5]), true);
    }
    assert!(Undecided::default().offer(Bytes::new(), true).unwrap().is_some());
}

#[test]
fn a_long_wait_is_told_of_once() {
    let (mut undecided, s) = (Undecided::default(), Duration::from_secs);
    undecided.offer(query("XA START X'61',X'',1"), false).unwrap();
    let told: Vec<bool> = [5, 14, 15, 16, 60].map(|second| undecided.waits_long(s(second)).is_some()).into();
    assert_eq!(told, [false, false, true, false, false]);
    assert_eq!(out(&mut undecided, &[prepare(true)]).len(), 2);
    assert_eq!(undecided.waits_long(s(90)), None);
}
