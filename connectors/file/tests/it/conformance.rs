//! What every connector promises.
use crate::fakes::registry;
use crate::sink::{json, numbers, visible};
use async_trait::async_trait;
use elasticflow_api::config::Properties;
use elasticflow_api::registry::{Plugin, PluginKind, TaskConfig};
use elasticflow_api::sink::{SinkKind, SinkRecord};
use elasticflow_api::source::SourceTask;
use elasticflow_testkit::{SinkCase, SourceCase, check_sink, check_source};
use std::fs;
use tempfile::{TempDir, tempdir};

struct Rows {
    properties: Properties,
    _dir: TempDir,
}

impl SourceCase for Rows {
    fn task(&self) -> Box<dyn SourceTask> {
        let registry = registry();
        let Plugin::Source(plugin) = &registry.find(PluginKind::Source, "file").unwrap().plugin else {
            panic!("no source")
        };
        plugin.task(&self.properties, TaskConfig::default()).unwrap()
    }
    fn records(&self) -> usize {
        300
    }
}

#[tokio::test]
async fn the_source_keeps_the_promises_of_every_source() {
    for mode in ["spool", "tail"] {
        let dir = tempdir().unwrap();
        for file in 0..3 {
            let rows: String = (0..100).map(|n| format!("{file}-{n},\"a\nb\"\n")).collect();
            fs::write(dir.path().join(format!("{file}.csv")), rows).unwrap();
        }
        let properties = Properties::from_iter([
            ("input.path", dir.path().to_str().unwrap()),
            ("topic", "t"),
            ("format", "csv"),
            ("mode", mode),
            ("file.minimum.age.ms", "0"),
        ]);
        check_source(&Rows { properties, _dir: dir }).await;
    }
}

struct Lines(TempDir);

#[async_trait]
impl SinkCase for Lines {
    async fn reset(&self) {
        for entry in fs::read_dir(self.0.path()).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }
    fn task(&self) -> SinkKind {
        let registry = registry();
        let Plugin::Sink(plugin) = &registry.find(PluginKind::Sink, "file").unwrap().plugin else { panic!("no sink") };
        plugin.task(&json(self.0.path()), TaskConfig::default()).unwrap()
    }
    fn records(&self) -> Vec<SinkRecord> {
        numbers(0..8).records
    }
    async fn contents(&self) -> Vec<String> {
        visible(self.0.path())
            .iter()
            .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }
}

#[tokio::test]
async fn the_sink_keeps_the_promises_of_every_sink() {
    check_sink(&Lines(tempdir().unwrap())).await;
}
