use elasticflow_plan::claims::{Claim, Holders};
use elasticflow_plan::pools::Room;
use std::collections::{BTreeMap, BTreeSet};

fn claim(number: i64, slots: &[i32], leads: bool) -> Claim {
    Claim { url: String::new(), slots: slots.to_vec(), leads, room: Room::default(), number }
}

fn holders(claims: &[(&str, Claim)]) -> Holders {
    Holders::of(&claims.iter().map(|(name, claim)| ((*name).to_owned(), claim.clone())).collect::<BTreeMap<_, _>>())
}

#[test]
fn the_row_of_a_dead_worker_counts_for_nothing_once_others_have_spoken_after_it() {
    let now = holders(&[
        ("dead", claim(5, &[0, 1, 2, 3], true)),
        ("heir", claim(6, &[0, 1], true)),
        ("other", claim(7, &[2, 3], false)),
    ]);
    assert_eq!(now.leader.as_deref(), Some("heir"));
    assert_eq!((now.holder(1), now.holder(3)), (Some("heir"), Some("other")));
    assert_eq!(now.slots["dead"], BTreeSet::new());
}

#[test]
fn slots_that_nobody_else_has_named_stay_with_who_named_them_last() {
    let now = holders(&[("a", claim(3, &[0, 1], true)), ("b", claim(9, &[1], false))]);
    assert_eq!((now.holder(0), now.holder(1), now.holder(2)), (Some("a"), Some("b"), None));
    assert_eq!(now.leader.as_deref(), Some("a"), "saying something without leading takes nothing away");
}

#[test]
fn rows_of_a_version_without_numbers_are_read() {
    let text = r#"{"url":"http://w:1","slots":[1],"leads":true}"#;
    let old: Claim = serde_json::from_str(text).unwrap();
    assert_eq!(old, Claim { url: "http://w:1".to_owned(), ..claim(0, &[1], true) });
    assert!(!serde_json::to_string(&old).unwrap().contains("room"), "what is taken for granted is not said");
}
