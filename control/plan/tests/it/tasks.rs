//! Plans of tasks against what is stored.
use elasticflow_config::Properties;
use elasticflow_plan::tasks::{Stored, check_count, differs, ids_to_fence, stored_config, task_class};

fn properties(pairs: &[(&str, &str)]) -> Properties {
    Properties::from_iter(pairs.iter().copied())
}

#[test]
fn an_equal_plan_of_an_equal_configuration_is_not_stored_again() {
    let (config, tasks) = (properties(&[("a", "1")]), [properties(&[("n", "0")])]);
    let stored = Stored { tasks: &tasks, applied: Some(&config), inconsistent: false };
    assert!(!differs(stored, &config, &tasks));
    assert!(differs(stored, &config, &[]));
    assert!(differs(stored, &properties(&[("a", "2")]), &tasks), "converters may have changed");
    let live = properties(&[("a", "1"), ("flow.rate.records", "9")]);
    assert!(!differs(stored, &live, &tasks), "takes effect while tasks run");
    assert!(differs(Stored { inconsistent: true, ..stored }, &config, &tasks));
    assert!(differs(Stored { applied: None, ..stored }, &config, &tasks));
}

#[test]
fn more_tasks_than_the_limit_are_refused_unless_that_is_switched_off() {
    assert!(check_count("c", 2, 2, true).is_ok());
    assert!(check_count("c", 3, 2, false).is_ok());
    let text = check_count("c", 3, 2, true).unwrap_err();
    assert!(text.starts_with("The connector c has generated 3 tasks, which is greater than 2,"), "{text}");
}

#[test]
fn the_former_set_is_fenced_unless_one_task_follows_one() {
    let table = [(None, 3, 0), (Some(1), 1, 0), (Some(1), 2, 1), (Some(3), 1, 3), (Some(3), 3, 3), (Some(2), 0, 2)];
    for (recorded, count, expected) in table {
        assert_eq!(ids_to_fence(recorded, count), expected, "{recorded:?} {count}");
    }
}

#[test]
fn a_resolved_secret_is_stored_as_its_reference() {
    let raw = properties(&[("password", "${file:/p:k}"), ("table", "*")]);
    let resolved = properties(&[("password", "hunter2"), ("table", "*")]);
    let own = properties(&[("password", "hunter2"), ("table", "a,b"), ("split", "0")]);
    let stored = stored_config(&raw, &resolved, &own, "XTask");
    let expected = [("password", "${file:/p:k}"), ("table", "a,b"), ("split", "0"), ("task.class", "XTask")];
    assert_eq!(stored, properties(&expected));
}

#[test]
fn task_classes_follow_the_customs_of_the_connector_class() {
    let table = [
        (
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "org.apache.kafka.connect.file.FileStreamSourceTask",
        ),
        ("io.debezium.connector.mysql.MySqlConnector", "io.debezium.connector.mysql.MySqlConnectorTask"),
        ("elasticflow.Datagen", "elasticflow.DatagenTask"),
    ];
    for (connector, task) in table {
        assert_eq!(task_class(connector), task);
    }
}
