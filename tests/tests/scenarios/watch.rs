//! Those who watch the default bundle: a real Prometheus on what the charms wrote, every query of
//! their dashboards, and one who keeps logs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use end_to_end::pooled::{Pooled, connect, value};
use end_to_end::watch::{Keeper, Prometheus, WATCHER, databags};
use end_to_end::{Talisman, root};
use serde_json::Value;

/// The charms that are watched.
const WATCHED: [&str; 2] = ["pgbouncer-k8s", "postgresql-k8s"];
/// How long Prometheus looks, and how long something may take to be seen.
const LOOKS: Duration = Duration::from_secs(25);
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn metrics_alerts_dashboards_and_logs_reach_those_who_watch() -> Result<()> {
    let world = Pooled::up("e2ewatch", 16453)?;
    let engine = &world.engine;
    engine.call(&["scale-application", "postgresql-k8s", "2"])?;
    let charm = root().join("tests/charms").join(WATCHER).display().to_string();
    engine.call(&["deploy", &charm])?;
    for app in WATCHED {
        for endpoint in ["metrics-endpoint", "grafana-dashboard", "logging"] {
            let (one, other) = (format!("{WATCHER}:{endpoint}"), format!("{app}:{endpoint}"));
            engine.call(&["integrate", &one, &other])?;
        }
    }
    engine.wait_active(180)?;
    let keeper = Keeper::start(engine, "watcher-0")?;
    let relations = databags(engine, "metrics-endpoint")?;
    let prometheus = Prometheus::start(engine, "watcher-0", &relations)?;
    ask_for(&world, LOOKS)?;
    processes_add_up(&prometheus)?;
    what_was_recorded_is_exported(&prometheus)?;
    every_query_is_answered(engine, &prometheus)?;
    alerts_are_silent(&prometheus)?;
    logs_are_kept(engine, &keeper)?;
    logs_end_with_the_relation(engine, &keeper)
}

/// Runs queries by new connections, so that every process has some.
fn ask_for(world: &Pooled, time: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let end = Instant::now() + time;
    runtime.block_on(async {
        while Instant::now() < end {
            let session = connect(&world.url).await?;
            for _ in 0..5 {
                value(&session, "SELECT 42").await?;
            }
            drop(session);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    })
}

/// The counters of two processes are two series, and none of them goes back.
fn processes_add_up(prometheus: &Prometheus) -> Result<()> {
    let up = prometheus.query("pgbouncer_up == 1")?;
    let processes: BTreeSet<_> = up.iter().map(|(it, _)| it["process"].to_string()).collect();
    ensure!(processes.len() >= 2, "processes: {up:?}");
    // All targets of a unit have one name, as it is with Prometheus' charm.
    let instances: BTreeSet<_> = up.iter().map(|(it, _)| it["instance"].to_string()).collect();
    ensure!(instances.len() == 1, "instances: {instances:?}");
    for metric in ["pgbouncer_stats_queries_pooled_total", "pgbouncer_stats_sent_bytes_total"] {
        let moved = prometheus.query(&format!("sum by (process) (increase({metric}[20s])) > 0"))?;
        ensure!(moved.len() == processes.len(), "{metric} moves: {moved:?}");
        let resets = prometheus.query(&format!("resets({metric}[30s]) > 0"))?;
        ensure!(resets.is_empty(), "{metric} went back: {resets:?}");
    }
    let targets = prometheus.query("up == 0")?;
    ensure!(targets.is_empty(), "nothing answers: {targets:?}");
    let scraped = prometheus.query("count by (juju_application, process) (up)")?;
    ensure!(scraped.len() >= 4, "targets: {scraped:?}");
    Ok(())
}

/// The recorded answers, on which rules and dashboards are checked, are what is exported.
fn what_was_recorded_is_exported(prometheus: &Prometheus) -> Result<()> {
    let live = prometheus.names()?;
    for (charm, file) in [
        ("pgbouncer-k8s", "pgbouncer"),
        ("postgresql-k8s", "patroni"),
        ("postgresql-k8s", "postgresql"),
    ] {
        let path = root().join(format!("charms/{charm}/tests/samples/{file}.prom"));
        let text = std::fs::read_to_string(path)?;
        let names = text.lines().filter_map(|line| line.split(['{', ' ']).next());
        let watched = names.filter(|name| {
            ["pgbouncer_", "patroni_", "pg_"].iter().any(|prefix| name.starts_with(prefix))
        });
        let missing: Vec<_> = watched.filter(|name| !live.contains(*name)).collect();
        ensure!(missing.is_empty(), "{charm} does not export {missing:?}");
    }
    Ok(())
}

/// The dashboards as those who show them unpack them.
fn dashboards(engine: &Talisman) -> Result<Vec<Value>> {
    let unpack = "import base64, json, lzma, sys\n\
        for offer in json.load(sys.stdin):\n\
        \x20   for one in json.loads(offer)['templates'].values():\n\
        \x20       print(lzma.decompress(base64.b64decode(one['content'])).decode())";
    let offers = databags(engine, "grafana-dashboard")?;
    let offers: Vec<_> = offers.iter().map(|it| &it["application-data"]["dashboards"]).collect();
    let mut python = std::process::Command::new("python3")
        .args(["-c", unpack])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    serde_json::to_writer(python.stdin.take().context("no input")?, &offers)?;
    let output = python.wait_with_output()?;
    ensure!(output.status.success(), "the dashboards cannot be unpacked");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Every query finds something, but for those that look for what should not be.
fn every_query_is_answered(engine: &Talisman, prometheus: &Prometheus) -> Result<()> {
    let dashboards = dashboards(engine)?;
    ensure!(dashboards.len() == 3, "{} dashboards", dashboards.len());
    let mut empty = Vec::new();
    for dashboard in &dashboards {
        for panel in dashboard["panels"].as_array().context("no panels")? {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().context("no query")?;
                let query = query.replace("$__rate_interval", "20s");
                if prometheus.query(&query)?.is_empty() && !query.ends_with("> 0") {
                    empty.push(format!("{}: {query}", panel["title"]));
                }
            }
        }
    }
    ensure!(empty.is_empty(), "nothing to show: {empty:#?}");
    Ok(())
}

fn alerts_are_silent(prometheus: &Prometheus) -> Result<()> {
    let firing = prometheus.query("ALERTS{alertstate=\"firing\"}")?;
    ensure!(firing.is_empty(), "alerts without a reason: {firing:?}");
    Ok(())
}

/// What each service of the units logged, labelled with where it comes from, each line once.
fn logs_are_kept(engine: &Talisman, keeper: &Keeper) -> Result<()> {
    let wanted = [
        ("postgresql-k8s/0", "postgresql", "INFO: no action. I am"),
        ("pgbouncer-k8s/0", "pgbouncer_0", " LOG "),
        ("pgbouncer-k8s/0", "pgbouncer_1", " LOG "),
    ];
    let end = Instant::now() + PATIENCE;
    loop {
        let lines = keeper.lines();
        let found = |(unit, service, words): &(&str, &str, &str)| {
            lines.iter().any(|line| {
                let labels: Value = serde_json::from_str(&line.labels).unwrap_or_default();
                labels["juju_unit"] == *unit
                    && labels["pebble_service"] == *service
                    && line.text.contains(words)
            })
        };
        if wanted.iter().all(found) {
            break;
        }
        let seen: BTreeSet<_> = lines.iter().map(|line| &line.labels).collect();
        ensure!(Instant::now() < end, "{} lines of {seen:#?}", lines.len());
        std::thread::sleep(Duration::from_millis(500));
    }
    let lines = keeper.lines();
    // PgBouncer's lines begin with the time and the process.
    let mut of_pooler = lines.iter().filter(|line| line.text.contains(" LOG "));
    let mut seen = HashSet::new();
    let twice = of_pooler.find(|line| !seen.insert((&line.labels, &line.text)));
    ensure!(twice.is_none(), "printed twice: {twice:?}");
    let models: Value = serde_json::from_str(&engine.call(&["models", "--format", "json"])?)?;
    let current = models["models"].as_array().into_iter().flatten();
    let mut current = current.filter(|model| model["short-name"] == models["current-model"]);
    let uuid = current.next().context("no current model")?["model-uuid"].clone();
    let labels: BTreeMap<String, Value> = serde_json::from_str(&lines[0].labels)?;
    ensure!(labels["juju_model_uuid"] == uuid, "{labels:?} are of another model than {uuid}");
    Ok(())
}

fn logs_end_with_the_relation(engine: &Talisman, keeper: &Keeper) -> Result<()> {
    for app in WATCHED {
        engine.call(&[
            "remove-relation",
            &format!("{WATCHER}:logging"),
            &format!("{app}:logging"),
        ])?;
    }
    engine.wait_active(60)?;
    let end = Instant::now() + PATIENCE;
    loop {
        let before = keeper.lines().len();
        // Patroni says something every ten seconds.
        std::thread::sleep(Duration::from_secs(15));
        if keeper.lines().len() == before {
            return Ok(());
        }
        ensure!(Instant::now() < end, "logs are still sent: {:?}", keeper.lines().last());
    }
}
