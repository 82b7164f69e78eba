//! The layers: a crate depends only on crates that stand above it, and some libraries have one home.
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Groups from top to bottom; within a group crates do not know each other unless `INSIDE` says so.
const ORDER: &[&[&str]] = &[
    &["elasticflow-config"],
    &["elasticflow-api"],
    &["elasticflow-formats", "elasticflow-cdc", "elasticflow-sql", "elasticflow-testkit"],
    &[
        "elasticflow-mysql",
        "elasticflow-postgresql",
        "elasticflow-elasticsearch",
        "elasticflow-file",
        "elasticflow-datagen",
        "elasticflow-sqlite",
        "elasticflow-registry",
        "elasticflow-transforms",
        "elasticflow-kafka",
        "elasticflow-devkafka",
    ],
    &["elasticflow-protocol"],
    &[
        "elasticflow-runtime",
        "elasticflow-plan",
        "elasticflow-flow",
        "elasticflow-store",
        "elasticflow-herder",
        "elasticflow-rest",
    ],
    &["elasticflow-server"],
    &["elasticflow-integration-tests", "elasticflow-conformance", "xtask"],
];

/// Edges inside a group: the control plane's own order.
const INSIDE: &[(&str, &str)] = &[
    ("elasticflow-store", "elasticflow-plan"),
    ("elasticflow-herder", "elasticflow-plan"),
    ("elasticflow-herder", "elasticflow-flow"),
    ("elasticflow-herder", "elasticflow-store"),
    ("elasticflow-rest", "elasticflow-herder"),
];

/// Libraries with one home: the client of Kafka and the web framework.
const HOMES: &[(&str, &[&str])] = &[
    ("rdkafka", &["elasticflow-kafka"]),
    ("rdkafka-sys", &["elasticflow-kafka"]),
    ("axum", &["elasticflow-rest"]),
    ("elasticflow-devkafka", &["elasticflow-server"]),
];

/// Connectors never see the worker or the control plane.
const CONNECTOR_FOLDERS: &str = "/connectors/";

/// Checks every manifest; test dependencies are free.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut problems = Vec::new();
    for package in packages(root)? {
        check_package(&package, &mut problems);
    }
    if problems.is_empty() {
        return crate::say("layers: every dependency points up the house plan\n");
    }
    bail!("layers:\n  {}", problems.join("\n  "))
}

fn check_package(package: &Value, problems: &mut Vec<String>) {
    let name = text(package, "name");
    let Some(own) = layer(name) else {
        problems.push(format!("{name} is not in the house plan (xtask/src/layers.rs)"));
        return;
    };
    let is_connector = text(package, "manifest_path").contains(CONNECTOR_FOLDERS);
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        if dependency["kind"].as_str() == Some("dev") {
            continue;
        }
        let other = text(dependency, "name");
        if let Some((_, homes)) = HOMES.iter().find(|(library, _)| *library == other)
            && !homes.contains(&name)
        {
            problems.push(format!("{name} names {other}; its home is {}", homes.join(", ")));
        }
        let Some(theirs) = layer(other) else { continue };
        if is_connector && theirs >= 3 {
            problems.push(format!("{name} is a connector crate and depends on {other}"));
        } else if theirs > own || (theirs == own && !INSIDE.contains(&(name, other))) {
            problems.push(format!("{name} depends on {other}, which does not stand above it"));
        }
    }
}

fn layer(name: &str) -> Option<usize> {
    ORDER.iter().position(|group| group.contains(&name))
}

fn packages(root: &Path) -> Result<Vec<Value>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    Ok(metadata["packages"].as_array().cloned().unwrap_or_default())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems_of(name: &str, dependency: &str) -> Vec<String> {
        let package =
            json!({"name": name, "manifest_path": "/x/y", "dependencies": [{"name": dependency, "kind": null}]});
        let mut problems = Vec::new();
        check_package(&package, &mut problems);
        problems
    }

    #[test]
    fn a_dependency_upwards_is_fine() {
        assert!(problems_of("elasticflow-runtime", "elasticflow-api").is_empty());
    }

    #[test]
    fn a_dependency_downwards_or_sideways_is_named() {
        assert_eq!(problems_of("elasticflow-api", "elasticflow-runtime").len(), 1);
        assert_eq!(problems_of("elasticflow-runtime", "elasticflow-herder").len(), 1);
    }

    #[test]
    fn the_kafka_client_has_one_home() {
        assert_eq!(problems_of("elasticflow-runtime", "rdkafka").len(), 1);
        assert!(problems_of("elasticflow-kafka", "rdkafka").is_empty());
    }
}
