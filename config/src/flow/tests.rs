use super::*;
use std::collections::BTreeSet;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().copied().collect()
}

#[test]
fn a_key_is_either_honoured_or_pending_never_both() {
    let honoured: BTreeSet<&str> = keys().map(|def| def.name).collect();
    let both: Vec<_> = pending::KEYS.iter().filter(|key| honoured.contains(**key)).collect();
    assert!(both.is_empty(), "{both:?} are read and refused");
    assert!(honoured.iter().all(|key| key.starts_with(PREFIX)));
    for concern in &CONCERNS {
        let own: BTreeSet<&str> = (concern.keys)().iter().map(|def| def.name).collect();
        let Concern { live, stored, sources_alone, sinks_alone, .. } = concern;
        let named = [live, stored, &sources_alone.keys, &sinks_alone.keys];
        let strange: Vec<_> = named.into_iter().copied().flatten().filter(|key| !own.contains(**key)).collect();
        assert!(strange.is_empty(), "{strange:?} are no keys of the concern that names them");
    }
}

#[test]
fn an_unknown_key_names_the_nearest_and_a_pending_one_says_so() {
    let text = problem("flow.rate.record", Direction::Source).unwrap();
    assert!(text.contains("did you mean flow.rate.records?"), "{text}");
    let text = problem("flow.verify.sampel", Direction::Source).unwrap();
    assert!(text.contains("did you mean flow.verify.sample?"), "{text}");
    let text = problem("flow.verify.sample", Direction::Source).unwrap();
    assert!(text.contains("not supported by this version"), "{text}");
    assert_eq!(problem("flow.rate.records", Direction::Sink), None);
    let text = problem("flow.rate.snapshot.bytes", Direction::Sink).unwrap();
    assert!(text.contains("is for sources"), "{text}");
}

#[test]
fn a_rate_is_minus_one_or_at_least_one() {
    let of = |text| parse::<RateSettings>(&properties(&[("flow.rate.records", text)])).map(|s| s.stream().records);
    assert_eq!(of("-1").unwrap(), None);
    assert_eq!(of("1").unwrap(), Some(1.0));
    for wrong in ["0", "-2", "1.5", "many", "1000000000001"] {
        let report = of(wrong).unwrap_err();
        assert_eq!(report.errors["flow.rate.records"].len(), 1, "{wrong}");
    }
    assert!(parse::<RateSettings>(&properties(&[("flow.rate.burst.ms", "49")])).is_err());
}

#[test]
fn rates_of_snapshots_are_their_own() {
    let keys = properties(&[("flow.rate.bytes", "10"), ("flow.rate.snapshot.records", "5")]);
    let settings: RateSettings = parse(&keys).unwrap();
    assert_eq!(settings.stream(), Rates { records: None, bytes: Some(10.0) });
    assert_eq!(settings.snapshot(), Rates { records: Some(5.0), bytes: None });
    assert_eq!(settings.stream().share(0.25).bytes, Some(2.5));
}

#[test]
fn live_keys_do_not_count_as_a_difference_and_references_do() {
    let before = properties(&[("a", "1"), ("flow.rate.records", "5")]);
    let after = properties(&[("a", "1"), ("flow.rate.records", "9"), ("flow.rate.bytes", "7")]);
    assert!(differ_live(&before, &after));
    assert!(!differ_live(&before, &properties(&[("a", "2"), ("flow.rate.records", "5")])));
    assert!(!differ_live(&before, &properties(&[("a", "1"), ("flow.rate.records", "${env:RATE}")])));
    assert!(!differ_live(&before, &properties(&[("a", "1"), ("flow.rate.burst.ms", "100")])));
    assert_eq!(with_live_of(&before, &after), after);
    assert_eq!(with_live_of(&after, &before), before);
}

#[test]
fn the_workers_defaults_lie_below_the_connectors_keys() {
    let worker = properties(&[("flow.default.rate.records", "5"), ("flow.default.flow.rate.bytes", "6"), ("x", "y")]);
    let connector = properties(&[("flow.rate.records", "9"), ("topics", "t")]);
    let settings = settings_of(&connector, &worker);
    assert_eq!(settings, properties(&[("flow.rate.records", "9"), ("flow.rate.bytes", "6")]));
}

#[test]
fn every_reason_has_a_code_and_a_number_of_its_own() {
    let codes: BTreeSet<&str> = ReasonCode::ALL.iter().map(|r| r.code()).collect();
    let numbers: BTreeSet<&str> = ReasonCode::ALL.iter().map(|r| r.number()).collect();
    assert_eq!((codes.len(), numbers.len()), (ReasonCode::ALL.len(), ReasonCode::ALL.len()));
    for reason in ReasonCode::ALL {
        let page = format!("{}/../docs/errors/{}.md", env!("CARGO_MANIFEST_DIR"), reason.number());
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(
            !reason.action().is_empty() && text.contains(reason.code()),
            "{page} is missing or about something else"
        );
    }
}

#[test]
fn a_workers_default_that_is_wrong_or_unknown_is_refused() {
    let mut report = ValidationReport::default();
    let worker = properties(&[
        ("flow.default.rate.records", "0"),
        ("flow.default.rate.byte", "1"),
        ("flow.default.rate.bytes", "1"),
    ]);
    check_defaults(&worker, &mut report);
    let keys: Vec<&String> = report.errors.keys().collect();
    assert_eq!(keys, ["flow.default.rate.byte", "flow.default.rate.records"]);
    assert!(report.errors["flow.default.rate.byte"][0].contains("flow.rate.bytes"));
}

#[test]
fn keys_of_lag_and_caps_are_checked_and_mean_nothing_to_a_sink() {
    let wrong = [("flow.priority", "10"), ("flow.weight", "0"), ("flow.lag.control", "maybe"), ("flow.cap.bytes", "5")];
    for (key, value) in wrong {
        assert!(check_values(&properties(&[(key, value)])).errors.contains_key(key), "{key}={value}");
        assert!(is_live(key), "{key}");
    }
    let text = problem("flow.priority", Direction::Sink).unwrap();
    assert!(text.contains("is for sources"), "{text}");
    assert_eq!(problem("flow.lag.target.ms", Direction::Sink), None);
}
