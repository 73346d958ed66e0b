//! The far sides: what charms reach over the network and through sockets, simulated.

pub(crate) mod disk;
pub(crate) mod kubernetes;
pub(crate) mod member;
pub(crate) mod patroni;
pub(crate) mod pebble;
pub(crate) mod pgbouncer;
pub(crate) mod postgresql;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ::pgbouncer::Version;
use jiff::{SignedDuration, Timestamp};
use juju_names::{AppName, UnitName};
use kube_api::{Api, ApiOptions, Kind, Selector};

use crate::names::MODEL;

/// An answer that never comes.
pub(crate) const NEVER: Duration = Duration::from_secs(100_000);

/// The domain of what stands before a server and may fall silent.
pub(crate) const SILENT: &str = ".silent";

/// Where every history begins, in seconds.
const BEGIN: i64 = 1_790_000_000;

/// Everything on the far sides. It knows nothing of Juju, nor of which hook runs.
pub(crate) struct Far {
    clock: Arc<AtomicI64>,
    pub(crate) pods: BTreeMap<UnitName, pebble::Pod>,
    /// Units whose pods are not ready, because `start` has not run in them: services lead to the
    /// others.
    pub(crate) starting: BTreeSet<UnitName>,
    /// The PgBouncer in every container.
    pub(crate) version: Version,
    pub(crate) clusters: BTreeMap<AppName, postgresql::Cluster>,
    /// The databases in which a session with a superuser's rights ran what clients made.
    pub(crate) hijacked: BTreeSet<String>,
    /// What there is besides of those that Patroni runs.
    pub(crate) patroni: BTreeMap<AppName, patroni::Cluster>,
    pub(crate) volumes: BTreeMap<UnitName, patroni::Volume>,
    pub(crate) kube: Api,
    /// Whether servers are silent where they can be.
    pub(crate) silent: bool,
}

impl Far {
    /// One node and nothing on it.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(BEGIN));
        let mut options = ApiOptions::new(([10, 152, 0, 0].into(), 16), 7);
        let hand = clock.clone();
        options.clock = Arc::new(move || time(&hand));
        options.store.history_max = 50;
        let kube = Api::new(options);
        kubernetes::put_node(&kube);
        Self {
            clock,
            pods: BTreeMap::new(),
            starting: BTreeSet::new(),
            version: Version::TRIXIE,
            clusters: BTreeMap::new(),
            hijacked: BTreeSet::new(),
            patroni: BTreeMap::new(),
            volumes: BTreeMap::new(),
            kube,
            silent: false,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        time(&self.clock)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, by: SignedDuration) {
        self.clock.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    /// The application whose PostgreSQL answers at this name, and takes writes there.
    pub(crate) fn server_behind(&self, host: &str) -> Option<AppName> {
        let first = host.split('.').next()?;
        if let Some(unit) = patroni::member_at(self, host) {
            let leads = patroni::primary(self, unit.app()).as_ref() == Some(&unit);
            return leads.then(|| unit.app().clone());
        }
        let app = first.strip_suffix("-primary").or_else(|| first.strip_suffix("-replicas"))?;
        let app = app.parse().ok()?;
        let leads = |app: &AppName| {
            let primary = patroni::primary(self, app);
            primary.is_some_and(|primary| patroni::behind(self, first).contains(&primary))
        };
        (!self.patroni.contains_key(&app) || leads(&app)).then_some(app)
    }

    /// The PostgreSQL that answers at this name, and takes writes there.
    pub(crate) fn cluster_behind(&self, host: &str) -> Option<&postgresql::Cluster> {
        self.clusters.get(&self.server_behind(host)?)
    }

    /// What the server at a host makes of a pooler's connection now.
    fn reach(&self, host: &str) -> pgbouncer::Reach {
        use pgbouncer::Reach::{Answers, Refuses, Silent};
        match self.cluster_behind(host) {
            _ if self.silent && host.ends_with(SILENT) => Silent,
            Some(cluster) if cluster.up => Answers,
            _ => Refuses,
        }
    }

    /// Lets happen what happens by now to clients of every pooler.
    pub(crate) fn turn(&mut self, now: Duration) {
        let entries = |process: &pgbouncer::Process| {
            let hosts = process.ini.databases.iter().map(|entry| entry.host.as_str().to_owned());
            hosts.collect::<Vec<_>>()
        };
        let hosts = self.processes().flat_map(|(_, _, process)| entries(process));
        let reach: BTreeMap<String, pgbouncer::Reach> =
            hosts.map(|host| (host.clone(), self.reach(&host))).collect();
        for container in self.pods.values_mut().filter_map(|pod| pod.container.as_mut()) {
            for process in container.poolers_mut() {
                process.turn(now, |host| {
                    reach.get(host).copied().unwrap_or(pgbouncer::Reach::Refuses)
                });
            }
            container.reap();
        }
    }

    /// Whether a client of a pooler's process gets a server connection, or why not.
    pub(crate) fn login(
        &self,
        process: &pgbouncer::Process,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<(), String> {
        process.login(|host| self.cluster_behind(host), user, password, database)
    }

    /// The processes of every pooler, by unit and service.
    pub(crate) fn processes(
        &self,
    ) -> impl Iterator<Item = (&UnitName, &String, &pgbouncer::Process)> {
        self.pods.iter().flat_map(|(unit, pod)| {
            let all = pod.container.iter().flat_map(pebble::Container::poolers);
            all.map(move |(name, process)| (unit, name, process))
        })
    }

    /// Whether a process of a pooler accepts connections at a host and port, behind a Service.
    pub(crate) fn accepts(&self, host: &str, port: u16) -> bool {
        let name = host.split('.').next().unwrap_or_default();
        let services = self.kube.list(Kind::Service, MODEL, &Selector::default());
        services.iter().any(|service| {
            let named = service["metadata"]["name"] == name;
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            let inner = ports
                .filter(|entry| {
                    (named && entry["port"] == port)
                        || (!named && entry["nodePort"] == port)
                        || (entry["port"] == port
                            && !service["status"]["loadBalancer"]["ingress"].is_null())
                })
                .filter_map(|entry| entry["port"].as_u64())
                .next();
            let Some(inner) = inner else { return false };
            let selector = &service["spec"]["selector"]["app.kubernetes.io/name"];
            let mut ready = self.processes().filter(|(unit, ..)| !self.starting.contains(*unit));
            ready.any(|(unit, _, process)| {
                *selector == unit.app().as_str() && process.port().map(u64::from) == Some(inner)
            })
        })
    }
}

fn time(clock: &AtomicI64) -> Timestamp {
    Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
}
