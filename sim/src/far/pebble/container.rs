//! Pods: the workload container's plan and services over its disk.

use std::collections::BTreeMap;

use http1_client::Bytes;
use pebble_client::{Layer, Plan, Startup};
use pgbouncer::Version;
use serde_json::{Value, json};

use crate::far::disk::Disk;
use crate::far::member::Member;
use crate::far::pgbouncer::Process;

use super::answer::sync;
use super::weigh::weigh;

/// What a service does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Running {
    /// It ended, or was never started.
    Stopped,
    /// It ended as soon as it was started, and is started again.
    Backoff,
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
    pub(crate) disk: Disk,
    pub(crate) layers: Vec<(String, Layer)>,
    /// All layers laid over each other.
    plan: Plan,
    /// The layers as they were given.
    shown: String,
    /// The answers to who asks for the plan and the services, made once for each change.
    answers: (Bytes, Option<Bytes>),
    pub(crate) services: BTreeMap<String, Running>,
    /// The plan's entry of each service when it was started, and which start that was.
    started: BTreeMap<String, (pebble_client::Service, u64)>,
    /// Starts of services so far.
    starts: u64,
    /// How each change ended; the code is a command's.
    pub(crate) changes: Vec<Result<u8, String>>,
    /// What the last command prints.
    pub(crate) printed: String,
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

impl Container {
    /// A container that has just started.
    pub(crate) fn new(boot: u64, version: Version) -> Self {
        Self { boot, version: Some(version), ..Self::default() }
    }

    /// Whether a service of root's runs that records this notice.
    pub(crate) fn records_as_root(&self, key: &str) -> bool {
        let records = |service: &pebble_client::Service| {
            let command = service.command.as_deref().unwrap_or_default();
            service.user.is_none() && command.contains(&format!("pebble notify {key}"))
        };
        let services = self.plan.services.iter();
        services.filter(|(_, service)| records(service)).any(|(name, _)| self.is_active(name))
    }

    /// The PgBouncer in it.
    pub(crate) fn version(&self) -> Version {
        self.version.unwrap_or(Version::TRIXIE)
    }

    /// All layers laid over each other.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The answer to who asks for the plan.
    pub(crate) fn plan_answer(&self) -> Bytes {
        if self.layers.is_empty() { sync(&"{}") } else { self.answers.0.clone() }
    }

    /// The answer to who asks for the services of these names, or for all.
    pub(crate) fn services_answer(&mut self, names: &str) -> Bytes {
        if let (Some(known), true) = (&self.answers.1, names.is_empty()) {
            return known.clone();
        }
        let service = |(name, service): (&String, &pebble_client::Service)| {
            let current = match self.services.get(name) {
                None | Some(Running::Stopped) => "inactive",
                Some(Running::Backoff) => "backoff",
                Some(_) => "active",
            };
            let startup = service.startup.unwrap_or_default();
            let since = self.started.get(name).map(|(_, start)| start.to_string());
            json!({"name": name, "startup": startup, "current": current, "current-since": since})
        };
        let asked = |name: &str| names.is_empty() || names.split(',').any(|asked| asked == name);
        let all = self.plan.services.iter().filter(|(name, _)| asked(name));
        let answer = sync(&all.map(service).collect::<Value>());
        if names.is_empty() {
            self.answers.1 = Some(answer.clone());
        }
        answer
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
            self.plan.log_targets.extend(layer.log_targets.clone());
        }
        let layers: Vec<&Layer> = self.layers.iter().map(|(_, layer)| layer).collect();
        self.shown = serde_json::to_string(&layers).unwrap_or_default();
        self.answers = (sync(&serde_json::to_string(&self.plan).unwrap_or_default()), None);
    }

    /// Adds a layer, or extends the one of this label.
    pub(crate) fn add_layer(
        &mut self,
        label: &str,
        layer: Layer,
        combine: bool,
    ) -> Result<(), String> {
        weigh(&layer, &self.plan)?;
        match self.layers.iter_mut().find(|(known, _)| known == label) {
            Some(_) if !combine => return Err(format!("layer \"{label}\" already exists")),
            Some((_, known)) => {
                known.services.extend(layer.services);
                known.checks.extend(layer.checks);
                known.log_targets.extend(layer.log_targets);
            }
            None => self.layers.push((label.to_owned(), layer)),
        }
        self.lay();
        Ok(())
    }

    /// Whether a service runs.
    pub(crate) fn is_active(&self, name: &str) -> bool {
        let up = |running: &Running| !matches!(running, Running::Stopped | Running::Backoff);
        self.services.get(name).is_some_and(up)
    }

    /// The PgBouncer processes that run.
    pub(crate) fn poolers(&self) -> impl Iterator<Item = (&String, &Process)> {
        self.services.iter().filter_map(|(name, running)| match running {
            Running::Pooler(process) => Some((name, process.as_ref())),
            _ => None,
        })
    }

    /// The same, for who changes them.
    pub(crate) fn poolers_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.services.values_mut().filter_map(|running| match running {
            Running::Pooler(process) => Some(process.as_mut()),
            _ => None,
        })
    }

    /// The PgBouncer process of a service.
    pub(crate) fn pooler_mut(&mut self, service: &str) -> Option<&mut Process> {
        match self.services.get_mut(service)? {
            Running::Pooler(process) => Some(process),
            _ => None,
        }
    }

    /// Processes that have ended by themselves run no more.
    pub(crate) fn reap(&mut self) {
        for running in self.services.values_mut() {
            if matches!(running, Running::Pooler(process) if process.traffic.has_ended()) {
                (*running, self.answers.1) = (Running::Stopped, None);
            }
        }
    }

    /// The Patroni that runs and answers.
    pub(crate) fn patroni(&self) -> Option<&Member> {
        self.services.values().find_map(|running| match running {
            Running::Patroni(member) => Some(member.as_ref()).filter(|member| !member.frozen),
            _ => None,
        })
    }

    /// Starts what is enabled and does not run, and whatever was started before and has changed,
    /// even if it was stopped since and is disabled.
    pub(crate) fn replan(&mut self) -> Result<(), String> {
        let plan = &self.plan;
        let due: Vec<String> = plan
            .services
            .iter()
            .filter(|(name, service)| match self.started.get(*name) {
                Some((before, _)) if before != *service => true,
                _ => service.startup == Some(Startup::Enabled) && !self.is_active(name),
            })
            .map(|(name, _)| name.clone())
            .collect();
        self.start(&due)
    }

    /// Starts services anew; failures are reported after all were tried.
    pub(crate) fn start(&mut self, names: &[String]) -> Result<(), String> {
        let mut failures = Vec::new();
        self.answers.1 = None;
        for name in names {
            let Some(service) = self.plan.services.get(name).cloned() else { continue };
            self.services.remove(name);
            let running = self.launch(&service).unwrap_or_else(|(running, why)| {
                failures.push(format!("Start service \"{name}\" ({why})"));
                running
            });
            self.services.insert(name.clone(), running);
            self.starts += 1;
            self.started.insert(name.clone(), (service, self.starts));
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n- ")) }
    }

    /// What a service's command does in its first second and, where it ends in it, why.
    fn launch(&mut self, service: &pebble_client::Service) -> Result<Running, (Running, String)> {
        let command = service.command.as_deref().unwrap_or_default();
        let (program, rest) = command.split_once(' ').unwrap_or((command, ""));
        let ends = |code: u8| {
            let then = if code == 0 { &service.on_success } else { &service.on_failure };
            let then = then.as_deref().unwrap_or("restart");
            let why =
                format!("service start attempt: exited quickly with code {code}, will {then}");
            Err((if then == "restart" { Running::Backoff } else { Running::Stopped }, why))
        };
        let started = match program {
            "/usr/sbin/pgbouncer" => {
                self.run(rest).map(|process| Running::Pooler(Box::new(process)))
            }
            "patroni" => Member::start(rest, &self.disk.files)
                .map(|member| Running::Patroni(Box::new(member))),
            "true" => return ends(0),
            "false" => return ends(1),
            // It is over before it is read again.
            "sleep" if rest == "2" => return Ok(Running::Stopped),
            "sleep" | "sh" | "/usr/bin/prometheus-postgres-exporter" => return Ok(Running::Other),
            // A program that the charm wrote itself; with `serve` it starts PgBouncer.
            _ if self.disk.files.get(program).is_some_and(|file| file.mode & 0o001 != 0) => {
                match rest.split(' ').collect::<Vec<_>>().as_slice() {
                    ["serve", ini, _] => {
                        self.run(ini).map(|process| Running::Pooler(Box::new(process)))
                    }
                    _ => return Ok(Running::Other),
                }
            }
            _ => {
                let why = format!("exec: \"{program}\": executable file not found in $PATH");
                return Err((Running::Stopped, format!("cannot start service: {why}")));
            }
        };
        started.or_else(|why| {
            self.refused.push(why);
            ends(1)
        })
    }

    fn run(&self, path: &str) -> Result<Process, String> {
        let process = Process::start(path, &self.disk, self.version())?;
        let taken = self.poolers().any(|(_, other)| {
            other.port() == process.port() && !(other.shares_port() && process.shares_port())
        });
        if taken { Err("its port is taken".to_owned()) } else { Ok(process) }
    }

    /// Stops services.
    pub(crate) fn stop(&mut self, names: &[String]) {
        self.answers.1 = None;
        for name in names {
            self.services.insert(name.clone(), Running::Stopped);
        }
    }

    /// Signals running processes, most of which read their files again then; the first that does
    /// not run is reported after all were signalled.
    pub(crate) fn signal(&mut self, signal: &str, names: &[String]) -> Result<(), String> {
        let mut failure = Ok(());
        for name in names {
            match self.services.get_mut(name) {
                Some(Running::Pooler(process)) if signal != "SIGHUP" => {
                    process.traffic.signal(signal);
                }
                Some(Running::Pooler(process)) => {
                    if let Err(why) = process.reload(&self.disk.files) {
                        self.refused.push(why);
                    }
                }
                Some(Running::Patroni(member)) => member.hang_up(),
                Some(Running::Other) => {}
                _ => {
                    let why = format!("cannot send signal to \"{name}\": service is not running");
                    failure = failure.and(Err(why));
                }
            }
        }
        failure
    }
}
