//! What the container lacks of files, processes that read them, and services.

use std::collections::BTreeSet;

use juju_charm::{ExposeSecret, Hidden, Write};
use juju_interfaces::pgb_peers::secret_keys;
use pebble_client::Layer;
use pgbouncer::{Ini, Reload};
use pooler_agent::isready::Seen;

use crate::digest::digest;
use crate::effect::{Confirm, ContainerEffect, Effect, File};
use crate::facts::{Effective, FullFacts, Workload};
use crate::names;
use crate::options::Options;
use crate::render::RenderError;
use crate::render::agent;
use crate::render::ini::{Local, instances};
use crate::render::layer::{self, Services, Watch, logrotate_rules};
use crate::settings;

use super::Next;

/// The folders of process `index`.
pub(crate) fn folders(index: u32) -> [String; 2] {
    [names::folder(index), names::log_folder(index)]
}

/// A file that only PgBouncer's user may read.
pub(crate) fn file(path: String, text: impl Into<Box<str>>) -> File {
    let content = juju_charm::SecretString::new(text.into()).into();
    File { path, content, mode: 0o400, owner: Some(names::OWNER) }
}

/// Folders, then the files in them, where there are any.
pub(crate) fn write(folders: Vec<String>, files: Vec<File>) -> impl Iterator<Item = Effect> {
    let folders =
        (!folders.is_empty()).then_some(Effect::Container(ContainerEffect::MakeDirs(folders)));
    let files = (!files.is_empty()).then_some(Effect::Container(ContainerEffect::PushFiles(files)));
    folders.into_iter().chain(files)
}

/// Everything the container lacks, so ordered that a process never reads half of it.
pub(crate) fn effects(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let (Some(workload), Ok(options), Some(wanted)) =
        (&facts.workload, &facts.common.options, &next.container)
    else {
        return Vec::new();
    };
    let effective = wanted.effective(options);
    let takeovers = wanted.take_over(facts, workload, &effective);
    let confirm = wanted.confirm(facts, next, options, &effective, &takeovers);
    let version = workload.version.filter(|version| workload.reported != Some(*version));
    // Files come first: a process that is reloaded or started finds all that it names.
    let mut effects = wanted.files(facts, workload);
    effects.extend(takeovers.into_iter().map(Effect::Container));
    // Starting comes after restarts, which Pebble does for a service that has not changed.
    effects.extend(wanted.services(facts, workload));
    effects.extend(version.map(|version| Write::Version(version.to_string()).into()));
    // What is effective is remembered last: a hook that dies before leaves all of it to the next.
    match confirm {
        Some(confirm) => effects.push(Effect::Confirm(Box::new(confirm))),
        None if effective == facts.effective => {}
        None => effects.push(effective.write().into()),
    }
    effects
}

/// The setting that shows which configuration a process has read. The console shows neither
/// databases nor the list of users, and the system's log is not read here.
const MARK: &str = "syslog_ident";

/// The container as it shall be.
pub(crate) struct Wanted {
    /// Configurations by process, and their texts.
    inis: Vec<(Ini, String)>,
    /// The user list: where, and what is in it.
    auth_file: Option<(String, Hidden)>,
    /// What the exporter's password file holds; it runs only if there is one.
    passfile: Option<(String, Hidden)>,
    /// The agent's configuration; it runs only if there is one.
    agent: Option<(String, Hidden)>,
    /// A user list of an earlier backend, to be removed.
    orphaned_list: Option<String>,
    /// The CA certificates of PostgreSQL.
    ca: Option<Hidden>,
    /// What clients are served with: where, and what is in it; the key comes last.
    tls: Vec<(String, Hidden)>,
    /// What Pebble shall run, and its digest.
    layer: Layer,
    layer_digest: String,
    /// Digest of all that the processes read.
    digest: String,
}

impl Wanted {
    /// Everything that is written, or why it cannot be.
    pub(super) fn of(
        facts: &FullFacts,
        next: &Next,
        options: &Options,
        shared: &Ini,
    ) -> Result<Self, RenderError> {
        let app = facts.common.unit.app();
        let field = |key: &str| next.secret.as_ref().and_then(|secret| secret.get(key));
        let path = nonce(facts).map(|nonce| names::auth_file(app, &nonce));
        let looks_up = shared.settings.get("auth_query").is_some();
        let list = field(secret_keys::AUTH_FILE).filter(|_| looks_up).cloned();
        let auth_file = path.clone().zip(list.map(Hidden::from));
        let user = names::stats_user(app);
        let passfile = field(secret_keys::MONITORING_PASSWORD)
            .filter(|_| auth_file.is_some())
            .map(|password| layer::passfile(&user, password.expose_secret()))
            .map(|text| (names::passfile(app), Hidden::from(text.as_str())));
        let orphaned_list = if auth_file.is_none() { path } else { None };
        let ca = facts.backend.as_ref().and_then(|backend| backend.ca.as_deref());
        let local = Local {
            options,
            processes: facts.common.processes,
            auth_file: auth_file.as_ref().map(|(path, _)| path.as_str()),
            unit: &facts.common.unit,
            model: &facts.common.model,
            others: &facts.others,
            version: facts.version(),
            verifies: ca.is_some(),
            encrypts: next.valid.tls.serves.is_some(),
        };
        let tried = settings::tried(&options.settings, local.version);
        let texts = instances(shared, &local)?.into_iter().map(|ini| {
            let text = format!("{tried}{ini}");
            (ini, text)
        });
        let ca = ca.map(Hidden::from);
        let tls = next.valid.tls.serves.iter().flat_map(|files| {
            let text = |text: &str| Hidden::from(text);
            [
                (names::tls_ca(app), text(&files.ca)),
                (names::tls_certificate(app), text(&files.certificate)),
                (names::tls_key(app), Hidden::from(files.key.clone())),
            ]
        });
        let (inis, tls): (Vec<(Ini, String)>, _) = (texts.collect(), tls.collect());
        let agent = auth_file
            .as_ref()
            .and_then(|(_, list)| agent::config(&inis, list, &local, ca.as_ref()));
        let agent = agent.map(|text| (names::agent_config(app), text));
        let watch = facts.backend.as_ref().and_then(|backend| {
            let seen = if backend.answers { Seen::Ready } else { Seen::Away };
            let login = backend.login.as_ref()?;
            Some(Watch { login, verified: backend.ca.is_some(), seen })
        });
        let (processes, port) = (facts.common.processes, options.listen_port);
        let services = Services {
            processes,
            port,
            exporter: passfile.is_some(),
            agent: agent.as_ref().map(|(_, text)| digest(text.expose())),
        };
        let layer = layer::layer(app, &services, watch.as_ref());
        let text = serde_json::to_string(&layer);
        let text = text.map_err(|error| RenderError::Layer(error.to_string()))?;
        let (layer_digest, digest) = (digest(&text), String::new());
        let wanted = Self {
            inis,
            auth_file,
            passfile,
            agent,
            orphaned_list,
            ca,
            tls,
            layer,
            layer_digest,
            digest,
        };
        wanted.marked()
    }

    /// Names all that is read in the last line of each configuration: a process that shows it has
    /// read everything before it.
    fn marked(mut self) -> Result<Self, RenderError> {
        assert!(!self.inis.is_empty(), "a unit has a process");
        // The others say the same with another number, and each has their number.
        let mut text = self.inis[0].1.clone();
        text.push_str(self.auth_file.as_ref().map_or("", |(_, list)| list.expose()));
        text.push_str(self.ca.as_ref().map_or("", Hidden::expose));
        text.extend(self.tls.iter().map(|(_, content)| content.expose()));
        self.digest = digest(&text);
        for (ini, text) in &mut self.inis {
            let mark = format!("pgbouncer-{}", self.digest);
            text.push_str(&format!("{MARK} = {mark}\n"));
            ini.settings.set(MARK, mark)?;
        }
        Ok(self)
    }

    fn indexed(&self) -> impl Iterator<Item = (u32, &(Ini, String))> {
        (0u32..).zip(&self.inis)
    }

    /// Writes the files that differ; secrets before the configuration that names them.
    fn files(&self, facts: &FullFacts, workload: &Workload) -> Vec<Effect> {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        let now = |path: &str| workload.files.get(path).map(Hidden::expose);
        let ca = self.ca.clone().map(|ca| (names::SERVER_CA.to_owned(), ca));
        let own = self.auth_file.iter().chain(&self.passfile).chain(&self.agent);
        let own = own.chain(&ca).chain(&self.tls);
        for (path, content) in own {
            if now(path) != Some(content.expose()) {
                files.push(file(path.clone(), content.expose()));
            }
        }
        if now(names::LOGROTATE_RULES) != Some(logrotate_rules()) {
            files.push(File {
                path: names::LOGROTATE_RULES.to_owned(),
                content: logrotate_rules().into(),
                mode: 0o644,
                owner: None,
            });
        }
        for (index, (_, text)) in self.indexed() {
            let path = names::ini(index);
            let current = now(&path);
            if current.is_none() {
                folders.extend(self::folders(index));
            }
            if current != Some(text.as_str()) {
                files.push(file(path, text.as_str()));
            }
        }
        let app = facts.common.unit.app();
        let unserved = [names::tls_key(app), names::tls_certificate(app), names::tls_ca(app)];
        let unserved: Vec<&String> = unserved.iter().filter(|_| self.tls.is_empty()).collect();
        let orphaned = self.orphaned_list.iter().chain(unserved).filter(|path| now(path).is_some());
        let known = self.auth_file.as_ref().map(|(path, _)| path);
        let lists = workload.orphaned_files.iter().filter(|path| Some(*path) != known);
        let config = names::agent_config(app);
        let unused = (self.agent.is_none() && now(&config).is_some()).then_some(&config);
        let removals = orphaned
            .chain(lists)
            .chain(unused)
            .map(|path| Effect::Container(ContainerEffect::RemoveFile(path.clone())));
        let agent = self.program(&facts.common.program, now(names::AGENT_VERSION));
        agent.into_iter().chain(write(folders, files)).chain(removals).collect()
    }

    /// Writes the agent's program, which starts the processes too, where it is that of another
    /// revision of the charm.
    fn program(&self, own: &str, there: Option<&str>) -> Option<Effect> {
        let version = File {
            path: names::AGENT_VERSION.to_owned(),
            content: own.into(),
            mode: 0o644,
            owner: None,
        };
        (there != Some(own)).then(|| Effect::Container(ContainerEffect::PushAgent(version)))
    }

    /// Makes running processes take over what changed: SIGHUP, or a restart one by one.
    fn take_over(
        &self,
        facts: &FullFacts,
        workload: &Workload,
        wanted: &Effective,
    ) -> Vec<ContainerEffect> {
        let mut restarts = Vec::new();
        let mut reloads = Vec::new();
        for (index, (ini, wanted_text)) in self.indexed() {
            let service = names::service(index);
            if !workload.active.contains(&service) {
                continue;
            }
            let text = workload.files.get(&names::ini(index)).map(Hidden::expose);
            let change = match text {
                Some(text) if text == wanted_text => None,
                text => match text.map(str::parse::<Ini>) {
                    Some(Ok(now)) => now.change_to(ini),
                    _ => Some(Reload::Restart),
                },
            };
            // The files may be those of a hook that failed before it reloaded the processes,
            // whatever has changed in them since.
            let change = match change {
                _ if facts.effective.port != wanted.port => Some(Reload::Restart),
                None if facts.effective.ini != wanted.ini => Some(Reload::Signal),
                change => change,
            };
            match change {
                Some(Reload::Restart) => restarts.push(service),
                Some(Reload::Signal) => reloads.push(service),
                None => {}
            }
        }
        let mut effects: Vec<ContainerEffect> =
            restarts.into_iter().map(ContainerEffect::Restart).collect();
        if !reloads.is_empty() {
            effects.push(ContainerEffect::Reload(reloads));
        }
        effects
    }

    /// How reloaded processes are asked whether they have read their files. A process whose user
    /// list is taken away knows its users until it is restarted.
    fn confirm(
        &self,
        facts: &FullFacts,
        next: &Next,
        options: &Options,
        effective: &Effective,
        takeovers: &[ContainerEffect],
    ) -> Option<Confirm> {
        let takes_over = |index: u32| {
            let service = names::service(index);
            takeovers.iter().any(|effect| match effect {
                ContainerEffect::Restart(restarted) => *restarted == service,
                ContainerEffect::Reload(all) => all.contains(&service),
                ContainerEffect::MakeDirs(_)
                | ContainerEffect::PushFiles(_)
                | ContainerEffect::PushAgent(_)
                | ContainerEffect::RemoveFile(_)
                | ContainerEffect::Replan(_) => false,
            })
        };
        let processes = self.indexed().filter(|(index, _)| takes_over(*index));
        let processes = processes.map(|(index, (ini, _))| (index, ini.settings.clone()));
        let processes: Vec<_> = processes.collect();
        if processes.is_empty() {
            return None;
        }
        let password = next.secret.as_ref()?.get(secret_keys::MONITORING_PASSWORD)?.clone();
        Some(Confirm {
            effective: effective.clone(),
            owed: Effective {
                ini: String::new(),
                settings: facts.effective.settings.clone(),
                ..effective.clone()
            },
            port: options.listen_port,
            user: names::stats_user(facts.common.unit.app()),
            password: password.into(),
            certificate: next.valid.tls.serves.as_ref().map(|files| files.certificate.clone()),
            listed: self.auth_file.is_some(),
            processes,
        })
    }

    /// Starts what does not run and what has changed, in one change.
    fn services(&self, facts: &FullFacts, workload: &Workload) -> Option<Effect> {
        let processes = facts.common.processes.get();
        let needed: BTreeSet<String> = (0..processes).map(names::service).collect();
        let down = !needed.is_subset(&workload.active);
        // The plan may be that of a hook that failed before anything was started by it.
        let started = facts.effective.layer == self.layer_digest;
        let differs = || workload.plan.as_ref().is_some_and(|plan| self.layer.differs_from(plan));
        (down || !started || differs())
            .then(|| Effect::Container(ContainerEffect::Replan(Box::new(self.layer.clone()))))
    }

    fn effective(&self, options: &Options) -> Effective {
        Effective {
            ini: self.digest.clone(),
            port: options.listen_port.to_string(),
            layer: self.layer_digest.clone(),
            settings: Some(settings::kept(&options.settings)),
        }
    }
}

/// The changing part of the user list's name: a new one when the container is fresh.
pub(crate) fn nonce(facts: &FullFacts) -> Option<String> {
    let peers = facts.peers.as_ref()?;
    let known = peers.own.userlist_nonce.clone();
    let fresh = facts.workload.as_ref().is_none_or(|workload| workload.files.is_empty());
    match known {
        Some(nonce) if !fresh => Some(nonce),
        _ => Some(facts.seed.word("nonce")),
    }
}
