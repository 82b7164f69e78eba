//! `elasticflow validate FILE`: exit codes, every problem at once.
use crate::process::output;
use std::path::Path;

fn validate(text: &str, code: i32) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("connector.json");
    std::fs::write(&file, text).unwrap();
    output(&["validate", file.to_str().unwrap()], code)
}

const GOOD: &str = r#"{"name":"n","config":{"connector.class":"FileStreamSource","file":"/tmp/x","topic":"t"}}"#;

#[test]
fn a_good_file_is_exit_code_0_in_every_form() {
    for text in [
        GOOD,
        r#"{"name":"n","connector.class":"FileStreamSource","file":"/tmp/x","topic":"t"}"#,
        "name=n\nconnector.class=FileStreamSource\nfile=/tmp/x\ntopic=t\n",
    ] {
        let shown = validate(text, 0);
        assert!(shown.ends_with("no errors\n"), "{shown}");
    }
}

#[test]
fn every_problem_is_told_at_once_with_exit_code_2() {
    let config = r#""connector.class":"FileStreamSource","tasks.max":"none","errors.tolerance":"some","key.converter":"Nope","tpoic":"t""#;
    let shown = validate(&format!(r#"{{"name":"n","config":{{{config},"header.converter":null}}}}"#), 2);
    for part in [
        "error    tasks.max: Invalid value none for configuration tasks.max: Not a number of type INT",
        "error    topic: Missing required configuration \"topic\" which has no default value.",
        "error    errors.tolerance: ",
        "error    key.converter: ",
        "error    header.converter: Null value can not be supplied as the configuration value.",
        "warning  tpoic: not a known option of this connector, without effect; did you mean topic?",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(shown.ends_with("6 errors\n"), "{shown}");
}

#[test]
fn what_cannot_be_checked_is_exit_code_2_and_says_why() {
    for (text, why) in [
        ("{", "no connector configuration"),
        (r#"{"name":"n","config":{"connector.class":"FileStreamSoruce"}}"#, "Did you mean FileStreamSource?"),
        (r#"{"name":"n","config":{}}"#, "contains no connector type"),
        (r#"{"name":"n","config":{"a":["hunter2"]}}"#, "no connector configuration"),
    ] {
        let shown = validate(text, 2);
        assert!(shown.contains(why) && !shown.contains("hunter2"), "{shown}");
    }
    let missing = Path::new("/nowhere/connector.json");
    assert!(output(&["validate", missing.to_str().unwrap()], 2).contains("cannot read /nowhere/connector.json"));
}
