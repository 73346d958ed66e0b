//! Pods: the workload container's files, plan and services.

use std::collections::{BTreeMap, BTreeSet};

use http1::Bytes;
use pebble::{Layer, Plan, Startup};
use pgbouncer::Version;
use serde_json::{Value, json};

use crate::patroni::Member;
use crate::pgbouncer_process::Process;

/// A file in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
}

/// What a service does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Running {
    /// It ended, or was never started.
    Stopped,
    /// PgBouncer.
    Pooler(Box<Process>),
    /// Patroni.
    Patroni(Box<Member>),
    /// Something of no interest here.
    Other,
}

/// A workload container whose Pebble answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Container {
    pub(crate) boot: u64,
    /// The PgBouncer in it.
    version: Option<Version>,
    pub(crate) files: BTreeMap<String, File>,
    pub(crate) folders: BTreeSet<String>,
    pub(crate) layers: Vec<(String, Layer)>,
    /// All layers laid over each other.
    plan: Plan,
    /// The layers as they were given.
    shown: String,
    /// The answers to who asks for the plan and the services, made once for each change.
    answers: (Bytes, Option<Bytes>),
    pub(crate) services: BTreeMap<String, Running>,
    /// The plan's entry of each service when it was started.
    started: BTreeMap<String, pebble::Service>,
    /// How each change ended.
    pub(crate) changes: Vec<Result<(), String>>,
    /// Configurations that PgBouncer refused.
    pub(crate) refused: Vec<String>,
    /// Whether the check of the backend has failed.
    pub(crate) backend_failed: bool,
}

/// A unit's pod.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pod {
    /// None while Pebble does not answer, and where there is no workload.
    pub(crate) container: Option<Container>,
}

/// An answer of Pebble.
fn sync(result: &Value) -> Bytes {
    json!({"type": "sync", "status-code": 200, "result": result}).to_string().into()
}

impl Container {
    /// A container that has just started.
    pub(crate) fn new(boot: u64, version: Version) -> Self {
        Self { boot, version: Some(version), ..Self::default() }
    }

    /// All layers laid over each other.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The answer to who asks for the plan.
    pub(crate) fn plan_answer(&self) -> Bytes {
        if self.layers.is_empty() { sync(&json!("{}")) } else { self.answers.0.clone() }
    }

    /// The answer to who asks for the services.
    pub(crate) fn services_answer(&mut self) -> Bytes {
        if let Some(known) = &self.answers.1 {
            return known.clone();
        }
        let service = |(name, service): (&String, &pebble::Service)| {
            let current = if self.is_active(name) { "active" } else { "inactive" };
            let startup = service.startup.unwrap_or_default();
            json!({"name": name, "startup": startup, "current": current})
        };
        let answer = sync(&self.plan.services.iter().map(service).collect());
        self.answers.1.insert(answer).clone()
    }

    /// Every layer as it was given.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    fn lay(&mut self) {
        self.plan = Plan::default();
        for (_, layer) in &self.layers {
            self.plan.services.extend(layer.services.clone());
            self.plan.checks.extend(layer.checks.clone());
        }
        let layers: Vec<&Layer> = self.layers.iter().map(|(_, layer)| layer).collect();
        self.shown = json!(layers).to_string();
        self.answers = (sync(&json!(json!(self.plan).to_string())), None);
    }

    /// Adds a layer, or extends the one of this label.
    pub(crate) fn add_layer(
        &mut self,
        label: &str,
        layer: Layer,
        combine: bool,
    ) -> Result<(), String> {
        match self.layers.iter_mut().find(|(known, _)| known == label) {
            Some(_) if !combine => return Err(format!("layer \"{label}\" already exists")),
            Some((_, known)) => {
                known.services.extend(layer.services);
                known.checks.extend(layer.checks);
            }
            None => self.layers.push((label.to_owned(), layer)),
        }
        self.lay();
        Ok(())
    }

    /// Whether a service runs.
    pub(crate) fn is_active(&self, name: &str) -> bool {
        self.services.get(name).is_some_and(|running| *running != Running::Stopped)
    }

    /// The PgBouncer processes that run.
    pub(crate) fn poolers(&self) -> impl Iterator<Item = (&String, &Process)> {
        self.services.iter().filter_map(|(name, running)| match running {
            Running::Pooler(process) => Some((name, process.as_ref())),
            _ => None,
        })
    }

    /// The Patroni that runs.
    pub(crate) fn patroni(&self) -> Option<&Member> {
        self.services.values().find_map(|running| match running {
            Running::Patroni(member) => Some(member.as_ref()),
            _ => None,
        })
    }

    /// Starts what is enabled and does not run, restarts what changed.
    pub(crate) fn replan(&mut self) -> Result<(), String> {
        let plan = &self.plan;
        let due: Vec<String> = plan
            .services
            .iter()
            .filter(|(name, service)| {
                let enabled = service.startup == Some(Startup::Enabled);
                match self.is_active(name) {
                    true => self.started.get(*name) != Some(service),
                    false => enabled,
                }
            })
            .map(|(name, _)| name.clone())
            .collect();
        self.start(&due)
    }

    /// Starts services anew; the first failure is told after all were tried.
    pub(crate) fn start(&mut self, names: &[String]) -> Result<(), String> {
        let mut failure = Ok(());
        self.answers.1 = None;
        for name in names {
            let Some(service) = self.plan.services.get(name) else {
                failure = Err(format!("service \"{name}\" does not exist"));
                continue;
            };
            let command = service.command.as_deref().unwrap_or_default();
            let started = match command.split_once(' ') {
                Some(("/usr/sbin/pgbouncer", path)) => {
                    self.run(path).map(|process| Running::Pooler(Box::new(process)))
                }
                Some(("patroni", path)) => Member::start(path, &self.files)
                    .map(|member| Running::Patroni(Box::new(member))),
                _ if command == "true" => Err("exited with code 0".to_owned()),
                _ => Ok(Running::Other),
            };
            let running = started.unwrap_or_else(|why| {
                failure = Err(format!("cannot start {name}: exited quickly: {why}"));
                if command != "true" {
                    self.refused.push(why);
                }
                Running::Stopped
            });
            self.services.insert(name.clone(), running);
            self.started.insert(name.clone(), service.clone());
        }
        failure
    }

    fn run(&self, path: &str) -> Result<Process, String> {
        let process = Process::start(path, &self.files, &self.folders)?;
        let version = self.version.unwrap_or(Version::TRIXIE);
        let strange = process.ini.settings.iter().find(|(key, _)| !key.known_to(version));
        match strange.map(|(key, _)| key.name) {
            Some(name) => Err(format!("{version} knows no {name}")),
            None => Ok(process),
        }
    }

    /// Stops services.
    pub(crate) fn stop(&mut self, names: &[String]) {
        self.answers.1 = None;
        for name in names {
            self.services.insert(name.clone(), Running::Stopped);
        }
    }

    /// Makes running processes read their files again.
    pub(crate) fn reload(&mut self, names: &[String]) -> Result<(), String> {
        for name in names {
            match self.services.get_mut(name) {
                Some(Running::Pooler(process)) => {
                    if let Err(why) = process.reload(&self.files) {
                        self.refused.push(why);
                    }
                }
                Some(Running::Patroni(member)) => member.hang_up(),
                Some(Running::Other) => {}
                _ => {
                    return Err(format!(
                        "cannot send signal to \"{name}\": service is not running"
                    ));
                }
            }
        }
        Ok(())
    }
}
