//! Sinks: ended at random moments, and at every step of their protocol.
use anyhow::{Context, Result};
use elasticflow_integration_tests::chaos::Kills;
use elasticflow_integration_tests::scenes::run_number;
use elasticflow_integration_tests::scenes::sinks::{Scene, Target};
use elasticflow_integration_tests::search::Search;
use elasticflow_integration_tests::servers::setting;
use elasticflow_integration_tests::tables::{System, Tables};
use std::path::Path;
use std::time::Instant;

/// So many rounds, then a new destination: what is there is compared as a whole.
const ROUNDS_A_SCENE: u32 = 5;

/// Whether there is a sink of the name.
pub(crate) fn is_sink(scene: &str) -> bool {
    !matches!(scene, "datagen" | "mysql")
}

/// Runs both proofs of a sink, with its files below `dir`.
///
/// # Errors
/// A server is missing, the worker does not come back, or the destination is not what was sent.
pub(crate) async fn run(name: &str, dir: &Path, bootstrap: &str, kills: &Kills, rounds: u32) -> Result<()> {
    if kills.count > 0 {
        let proof = Proof::start(name, &dir.join("random"), bootstrap).await?;
        let scene = proof.scene.under_kills(kills).await?;
        finish(name, scene, proof.tables, &format!("{} kills at random", kills.count)).await?;
    }
    let mut done = 0;
    while done < rounds {
        let (last, began) = (rounds.min(done + ROUNDS_A_SCENE), Instant::now());
        let mut proof = Proof::start(name, &dir.join(format!("round-{done}")), bootstrap).await?;
        for round in done..last {
            proof.scene = proof.scene.at_every_step(round).await.with_context(|| format!("round {round}"))?;
            proof.scene =
                proof.scene.at_revocations().await.with_context(|| format!("revocations of round {round}"))?;
        }
        let what = format!("ended at every step, rounds {} to {last}, {:.0?}", done + 1, began.elapsed());
        finish(name, proof.scene, proof.tables, &what).await?;
        done = last;
    }
    Ok(())
}

struct Proof {
    scene: Scene,
    tables: Option<Tables>,
}

impl Proof {
    async fn start(name: &str, dir: &Path, bootstrap: &str) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (target, tables) = target(name, dir).await?;
        Ok(Self { scene: Scene::start(dir, bootstrap, target).await?, tables })
    }
}

/// A destination of its own, and what is to be dropped of it.
async fn target(name: &str, dir: &Path) -> Result<(Target, Option<Tables>)> {
    let schema = format!("chaos_{}", run_number());
    Ok(match name {
        "files" => (Target::Files(std::path::absolute(dir.join("out"))?), None),
        "sqlite" => (Target::Sqlite(std::path::absolute(dir.join("out.db"))?), None),
        "elasticsearch" => (Target::Elasticsearch(Search::new(&setting("EF_ELASTICSEARCH")?)), None),
        "xa" => {
            let tables = Tables::create(System::Mysql, &schema).await?;
            (Target::Branches(tables.clone()), Some(tables))
        }
        _ => {
            let system = if name == "mysql-sink" { System::Mysql } else { System::Postgresql };
            let tables = Tables::create(system, &schema).await?;
            (Target::Sql(tables.clone()), Some(tables))
        }
    })
}

async fn finish(name: &str, scene: Scene, tables: Option<Tables>, what: &str) -> Result<()> {
    let ended = scene.finish().await?;
    println!("  {name}: {what}: {} records, each there once; {} bad ones are dead letters", ended.sent, ended.bad.0);
    if let Some(tables) = tables {
        tables.drop_all().await?;
    }
    Ok(())
}
