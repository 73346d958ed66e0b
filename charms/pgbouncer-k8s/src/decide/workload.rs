//! The container: folders, files, services.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use certificates::ENDPOINT;
use charm::{Event, ExposeSecret, RelationKind};
use interfaces::pgb_peers::{DatabaseMap, secret_keys};
use pebble::Layer;
use pgbouncer::{Ini, Reload};

use crate::effect::{Confirm, Effect, File};
use crate::facts::{Effective, FullFacts, Workload};
use crate::layer::{self, logrotate_rules};
use crate::options::Options;
use crate::password::{Password, digest};
use crate::place;
use crate::settings;
use crate::shared::{Local, Shape, instances, shared as render_shared};

use super::{Next, Step, capacity};

/// Whether the event is one that starts processes in a new container.
pub(crate) fn starts(event: &Event) -> bool {
    // Where clients come with TLS only, nothing starts before the certificate is there.
    let issued = event.relation(ENDPOINT);
    issued.is_some_and(|relation| relation.kind == RelationKind::Changed)
        || matches!(event, Event::PebbleReady { .. } | Event::ConfigChanged | Event::UpdateStatus)
}

/// PgBouncer's services are in the plan, or this event is one that puts them there.
pub(crate) fn running(event: &Event, facts: &FullFacts) -> bool {
    let Some(workload) = &facts.workload else { return false };
    (starts(event) && facts.common.options.is_ok()) || workload.planned.contains(&place::service(0))
}

/// The configuration that all units share: the leader makes it, the others read it.
pub(crate) fn shared(facts: &FullFacts, next: &Next) -> (Option<Ini>, Option<Effect>) {
    let common = &facts.common;
    let Ok(options) = &common.options else { return (None, None) };
    let app = common.unit.app();
    let published = facts.peers.as_ref().and_then(|peers| peers.app.cfg_file.as_ref());
    let published = || published.map(|text| text.parse::<Ini>());
    let shape = Shape {
        version: facts.version(),
        share: capacity::share(facts, &next.map),
        readonly: &next.readonly,
        timeline: facts.backend.as_ref().and_then(|backend| backend.timeline),
    };
    let own = |login| render_shared(app, options, login, &next.map, &shape);
    let known = match &next.step {
        Step::Follower => published(),
        // While PostgreSQL is away nothing changes: what was published still holds.
        Step::NotReady | Step::NotRunning if common.leader => published().filter(Result::is_ok),
        _ => None,
    };
    let warned = |error: String| (None, Some(Effect::Warn(error)));
    match known {
        Some(Ok(ini)) => (Some(ini), None),
        Some(Err(error)) => warned(error.to_string()),
        None => match own(next.login()) {
            Ok(ini) => (Some(ini), None),
            Err(error) => warned(error.to_string()),
        },
    }
}

/// The databases beside those of clients, which a client with wide rights may read too.
pub(crate) fn readonly(facts: &FullFacts, map: &DatabaseMap) -> Vec<String> {
    if map.wildcard.is_none() {
        return Vec::new();
    }
    let known = || facts.peers.as_ref().map(|peers| peers.app.readonly_databases.clone());
    let found = facts.backend.as_ref().and_then(|backend| backend.databases.clone());
    let Some(mut names) = found else { return known().unwrap_or_default() };
    let mapped = |name: &String| map.relations.values().any(|mapped| mapped.name == *name);
    names.retain(|name| !mapped(name) && !["postgres", place::OWN_DATABASE].contains(&&**name));
    names.sort();
    names
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

/// The folders of process `index`.
pub(crate) fn folders(index: u32) -> [String; 2] {
    [place::folder(index), place::log_folder(index)]
}

/// A file that only PgBouncer's user may read.
pub(crate) fn file(path: String, text: impl Into<Box<str>>) -> File {
    let content = charm::SecretString::new(text.into()).into();
    File { path, content, mode: 0o400, owner: Some(place::OWNER) }
}

/// Folders, then the files in them, where there are any.
pub(crate) fn write(folders: Vec<String>, files: Vec<File>) -> impl Iterator<Item = Effect> {
    let folders = (!folders.is_empty()).then_some(Effect::MakeDirs(folders));
    let files = (!files.is_empty()).then_some(Effect::Push(files));
    folders.into_iter().chain(files)
}

/// Everything the container lacks, so ordered that a process never reads half of it.
pub(crate) fn effects(facts: &FullFacts, next: &Next) -> Vec<Effect> {
    let (Some(workload), Ok(options)) = (&facts.workload, &facts.common.options) else {
        return Vec::new();
    };
    let (true, Some(shared)) = (next.running, &next.shared) else { return Vec::new() };
    let wanted = Wanted::of(facts, next, options, shared);
    let mut effects = wanted.files(facts, workload);
    let layer = wanted.layer(facts, options);
    let effective = wanted.effective(options, &layer);
    let told = wanted.take_over(facts, workload, &effective);
    let confirm = wanted.confirm(facts, next, options, &effective, &told);
    effects.extend(told);
    effects.extend(wanted.services(facts, workload, layer, &effective));
    if let Some(version) = workload.version.filter(|version| workload.told != Some(*version)) {
        effects.push(Effect::TellVersion(version));
    }
    match confirm {
        Some(confirm) => effects.push(Effect::Confirm(Box::new(confirm))),
        None if effective == facts.effective => {}
        None => effects.push(Effect::Remember(effective)),
    }
    effects
}

/// What most configurations fit into.
const INI_BYTES: usize = 4 << 10;

/// The setting that shows which configuration a process has read. The console shows neither
/// databases nor the list of users, and nobody reads the system's log here.
const MARK: &str = "syslog_ident";

/// The container as it shall be.
struct Wanted {
    /// Configurations by process, and their texts.
    inis: Vec<(Ini, String)>,
    /// The user list: where, and what is in it.
    auth_file: Option<(String, Password)>,
    /// What the exporter's password file holds; it runs only if there is one.
    passfile: Option<(String, Password)>,
    /// A user list of an earlier backend, to be removed.
    leftover: Option<String>,
    /// The certificates that vouch for PostgreSQL.
    ca: Option<Password>,
    /// What clients are served with: where, and what is in it; the key comes last.
    tls: Vec<(String, Password)>,
    /// Digest of all that the processes read.
    digest: String,
}

impl Wanted {
    fn of(facts: &FullFacts, next: &Next, options: &Options, shared: &Ini) -> Self {
        let app = facts.common.unit.app();
        let field = |key: &str| next.secret.as_ref().and_then(|secret| secret.get(key));
        let path = nonce(facts).map(|nonce| place::auth_file(app, &nonce));
        let looks_up = shared.settings.get("auth_query").is_some();
        let list = field(secret_keys::AUTH_FILE).filter(|_| looks_up).cloned();
        let auth_file = path.clone().zip(list.map(Password::from));
        let user = place::stats_user(app);
        let passfile = field(secret_keys::MONITORING_PASSWORD)
            .filter(|_| auth_file.is_some())
            .map(|password| layer::passfile(&user, password.expose_secret()))
            .map(|text| (place::passfile(app), Password::from(text.as_str())));
        let leftover = if auth_file.is_none() { path } else { None };
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
            encrypts: next.tls.is_some(),
        };
        let inis = instances(shared, &local).unwrap_or_default().into_iter();
        let tried = settings::tried(&options.settings, local.version);
        let inis = inis.map(|ini| {
            let mut text = String::with_capacity(INI_BYTES);
            text.push_str(&tried);
            // A text takes everything.
            write!(text, "{ini}").ok();
            (ini, text)
        });
        let ca = ca.map(Password::from);
        let tls = next.tls.iter().flat_map(|files| {
            let text = |text: &str| Password::from(text);
            [
                (place::tls_ca(app), text(&files.ca)),
                (place::tls_certificate(app), text(&files.certificate)),
                (place::tls_key(app), Password::from(files.key.clone())),
            ]
        });
        let (inis, tls) = (inis.collect(), tls.collect());
        Self { inis, auth_file, passfile, leftover, ca, tls, digest: String::new() }.marked()
    }

    /// Names all that is read in the last line of each configuration: a process that shows it has
    /// read everything before it.
    fn marked(mut self) -> Self {
        // The others say the same with another number, and how many there are is told in each.
        let mut text = self.inis.first().map(|(_, text)| text.clone()).unwrap_or_default();
        text.push_str(self.auth_file.as_ref().map_or("", |(_, list)| list.expose()));
        text.push_str(self.ca.as_ref().map_or("", Password::expose));
        text.extend(self.tls.iter().map(|(_, content)| content.expose()));
        self.digest = digest(&text);
        for (ini, text) in &mut self.inis {
            let mark = format!("pgbouncer-{}", self.digest);
            text.push_str(&format!("{MARK} = {mark}\n"));
            // A digest is a word.
            ini.settings.set(MARK, mark).ok();
        }
        self
    }

    fn indexed(&self) -> impl Iterator<Item = (u32, &(Ini, String))> {
        (0u32..).zip(&self.inis)
    }

    /// Writes the files that differ; secrets before the configuration that names them.
    fn files(&self, facts: &FullFacts, workload: &Workload) -> Vec<Effect> {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        let now = |path: &str| workload.files.get(path).map(Password::expose);
        let ca = self.ca.clone().map(|ca| (place::SERVER_CA.to_owned(), ca));
        let own = self.auth_file.iter().chain(&self.passfile).chain(&ca).chain(&self.tls);
        for (path, content) in own {
            if now(path) != Some(content.expose()) {
                files.push(file(path.clone(), content.expose()));
            }
        }
        if now(place::LOGROTATE_RULES) != Some(logrotate_rules()) {
            files.push(File {
                path: place::LOGROTATE_RULES.to_owned(),
                content: logrotate_rules().into(),
                mode: 0o644,
                owner: None,
            });
        }
        for (index, (_, text)) in self.indexed() {
            let path = place::ini(index);
            let current = now(&path);
            if current.is_none() {
                folders.extend(self::folders(index));
            }
            if current != Some(text.as_str()) {
                files.push(file(path, text.as_str()));
            }
        }
        let app = facts.common.unit.app();
        let unserved = [place::tls_key(app), place::tls_certificate(app), place::tls_ca(app)];
        let unserved: Vec<&String> = unserved.iter().filter(|_| self.tls.is_empty()).collect();
        let leftover = self.leftover.iter().chain(unserved).filter(|path| now(path).is_some());
        let known = self.auth_file.as_ref().map(|(path, _)| path);
        let strangers = workload.strangers.iter().filter(|path| Some(*path) != known);
        let removals = leftover.chain(strangers).map(|path| Effect::RemoveFile(path.clone()));
        write(folders, files).chain(removals).collect()
    }

    /// Makes running processes take over what changed: SIGHUP, or a restart one by one.
    fn take_over(&self, facts: &FullFacts, workload: &Workload, wanted: &Effective) -> Vec<Effect> {
        let mut restarts = Vec::new();
        let mut reloads = Vec::new();
        for (index, (ini, wanted_text)) in self.indexed() {
            let service = place::service(index);
            if !workload.active.contains(&service) {
                continue;
            }
            let text = workload.files.get(&place::ini(index)).map(Password::expose);
            let change = match text {
                Some(text) if text == wanted_text => None,
                text => match text.map(str::parse::<Ini>) {
                    Some(Ok(now)) => now.change_to(ini),
                    _ => Some(Reload::Restart),
                },
            };
            // The files may be those of a hook that failed before it told the processes, whatever
            // has changed in them since.
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
        let mut effects: Vec<Effect> = restarts.into_iter().map(Effect::Restart).collect();
        if !reloads.is_empty() {
            effects.push(Effect::Reload(reloads));
        }
        effects
    }

    /// How those that were told to take something over are asked whether they have. Without a
    /// list of users nobody gets in, and nobody can ask.
    fn confirm(
        &self,
        facts: &FullFacts,
        next: &Next,
        options: &Options,
        effective: &Effective,
        told: &[Effect],
    ) -> Option<Confirm> {
        let was_told = |index: u32| {
            let service = place::service(index);
            told.iter().any(|effect| match effect {
                Effect::Restart(told) => *told == service,
                Effect::Reload(all) => all.contains(&service),
                _ => false,
            })
        };
        let processes = self.indexed().filter(|(index, _)| was_told(*index));
        let processes = processes.map(|(index, (ini, _))| (index, ini.settings.clone()));
        let processes: Vec<_> = processes.collect();
        self.auth_file.as_ref().filter(|_| !processes.is_empty())?;
        let password = next.secret.as_ref()?.get(secret_keys::MONITORING_PASSWORD)?.clone();
        Some(Confirm {
            effective: effective.clone(),
            owed: Effective {
                ini: String::new(),
                settings: facts.effective.settings.clone(),
                ..effective.clone()
            },
            port: options.listen_port,
            user: place::stats_user(facts.common.unit.app()),
            password: password.into(),
            certificate: next.tls.as_ref().map(|files| files.certificate.clone()),
            processes,
        })
    }

    /// What Pebble shall run.
    fn layer(&self, facts: &FullFacts, options: &Options) -> Layer {
        let primary = facts.backend.as_ref().and_then(|backend| backend.primary.as_ref());
        let (app, processes) = (facts.common.unit.app(), facts.common.processes);
        layer::layer(app, processes, options.listen_port, self.passfile.is_some(), primary)
    }

    /// Starts what does not run and what has changed, in one change.
    fn services(
        &self,
        facts: &FullFacts,
        workload: &Workload,
        layer: Layer,
        wanted: &Effective,
    ) -> Option<Effect> {
        let processes = facts.common.processes.get();
        let needed: BTreeSet<String> = (0..processes).map(place::service).collect();
        let down = !needed.is_subset(&workload.active);
        // The plan may be that of a hook that failed before anything was started by it.
        let told = facts.effective.layer == wanted.layer;
        let differs = || workload.plan.as_ref().is_some_and(|plan| layer.differs_from(plan));
        if down || !told || differs() {
            return Some(Effect::Replan(Box::new(layer)));
        }
        None
    }

    fn effective(&self, options: &Options, layer: &Layer) -> Effective {
        // A layer is always JSON.
        let layer = digest(&serde_json::to_string(layer).unwrap_or_default());
        let settings = Some(settings::kept(&options.settings));
        let (ini, port) = (self.digest.clone(), options.listen_port.to_string());
        Effective { ini, port, layer, settings }
    }
}
