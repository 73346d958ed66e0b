//! Runs a model's hooks in process, with closures in the place of charms.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub, reason = "shared by test files")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use juju_model::tools::Party;
use juju_model::{ActionsYaml, CharmMeta, ConfigYaml, Deploy, HookOutcome, HookRun, MetadataYaml};
use juju_model::{Juju, Model, Next, ToolCall};
use juju_names::{AppName, RelationId, UnitName};

/// Hooks after which a test gives up.
const TOO_MANY: usize = 2_000;

/// A model, a clock, and what ran so far.
pub struct World {
    pub model: Model,
    pub now: Timestamp,
    pub transcript: Vec<String>,
}

pub const PGB: &str = "
name: pgb
summary: A pooler.
containers:
  pgbouncer: {resource: image}
peers:
  peers: {interface: pgb_peers}
provides:
  db: {interface: postgresql_client}
  pgsql: {interface: pgsql, limit: 1, optional: true}
requires:
  backend: postgresql_client
  certificates: {interface: tls, limit: 1}
assumes: [juju >= 3.5]
";

pub const PG: &str = "
name: pg
containers:
  postgresql:
    resource: image
    mounts: [{storage: pgdata, location: /var/lib/postgresql}]
peers: {database-peers: {interface: pg_peers}}
provides: {database: {interface: postgresql_client}}
requires:
storage:
  pgdata: {type: filesystem, location: /var/lib/postgresql/data}
resources: {image: {type: oci-image, upstream-source: x}}
";

const CLIENT: &str = "
name: client
requires:
  database: {interface: postgresql_client}
";

const CONFIG: &str = "
options:
  mode: {type: string, default: session, description: How.}
  size: {type: int, default: 10}
  ratio: {type: float, default: 1}
  tls: {type: boolean, default: false}
  password: {type: secret}
  empty: {type: string}
";

const ACTIONS: &str = "
get-password:
  description: Says it.
  params:
    username: {type: string, default: admin}
    count: {type: integer, minimum: 1}
  required: [count]
  additionalProperties: false
pause:
";

pub fn charm(metadata: &str) -> CharmMeta {
    let metadata: MetadataYaml = serde_saphyr::from_str(metadata).unwrap();
    let config: ConfigYaml = serde_saphyr::from_str(CONFIG).unwrap();
    let actions: ActionsYaml = serde_saphyr::from_str(ACTIONS).unwrap();
    CharmMeta::from_parts(metadata, Some(config), Some(actions)).unwrap()
}

pub fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

pub fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

pub fn of(name: &str) -> Party {
    if name.contains('/') { Party::Unit(unit(name)) } else { Party::App(app(name)) }
}

pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// `pgb/0 db-relation-joined client/0`: unit, hook, remote unit, action number.
pub fn line(run: &HookRun) -> String {
    let remote = run.hook.remote_unit().map(|unit| format!(" {unit}")).unwrap_or_default();
    format!("{} {}{remote}", run.unit, run.hook.name())
}

impl World {
    pub fn new() -> Self {
        let model = Model::new("dev".parse().unwrap(), "uuid".to_owned(), 7);
        Self { model, now: "2026-11-21T10:00:00Z".parse().unwrap(), transcript: Vec::new() }
    }

    /// A world with these applications, deployed and settled.
    pub fn with(apps: &[(&str, u32)]) -> Self {
        Self::under(Juju::default(), apps)
    }

    /// The same under the rules of a Juju.
    pub fn under(juju: Juju, apps: &[(&str, u32)]) -> Self {
        let mut world = Self::new();
        world.model = world.model.under(juju);
        for (name, units) in apps {
            world.deploy(name, *units);
        }
        world.settle();
        world
    }

    pub fn deploy(&mut self, name: &str, units: u32) {
        let metadata = match name {
            "pg" => PG,
            "pgb" | "other" => PGB,
            _ => CLIENT,
        };
        let deploy = Deploy {
            app: app(name),
            charm: charm(metadata),
            charm_ref: format!("./{name}.charm"),
            units,
            config: BTreeMap::new(),
            trust: false,
        };
        self.model.deploy(self.now, deploy).unwrap();
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Gives every unit without a pod one.
    pub fn pods(&mut self) {
        let names: Vec<AppName> = self.model.applications().map(|app| app.name.clone()).collect();
        for name in names {
            let units: Vec<(UnitName, bool)> =
                self.model.units(&name).map(|u| (u.name.clone(), u.address.is_some())).collect();
            for (unit, _) in units.into_iter().filter(|(_, there)| !there) {
                self.pod(&unit, "boot");
            }
        }
        self.model.lease_tick(self.now);
    }

    /// A new pod for a unit.
    pub fn pod(&mut self, unit: &UnitName, boot: &str) {
        let address = format!("10.1.{}.{}", unit.app().as_str().len(), unit.number());
        self.model.unit_address(unit, Some(address));
        self.model.agent_started(unit, true);
        self.announce(unit, boot);
    }

    /// The unit's agent starts again in its pod.
    pub fn restart(&mut self, unit: &UnitName) {
        self.model.agent_started(unit, false);
        self.announce(unit, "boot");
    }

    fn announce(&mut self, unit: &UnitName, boot: &str) {
        let app = self.model.application(unit.app()).unwrap();
        for container in app.charm.containers.keys().cloned().collect::<Vec<_>>() {
            self.model.container_booted(unit, &container, boot);
        }
    }

    /// Runs hooks that do nothing; the lines that ran.
    pub fn settle(&mut self) -> Vec<String> {
        self.run(|_, _| 0)
    }

    /// Runs hooks until nothing is due; the lines that ran, failed ones with `!`.
    pub fn run(
        &mut self,
        mut charm: impl FnMut(&HookRun, &mut ToolCall<'_>) -> i32,
    ) -> Vec<String> {
        self.pods();
        let from = self.transcript.len();
        while let Some(run) = self.step() {
            let mut session = self.model.begin(&run, self.now);
            let code = charm(&run, &mut self.model.tools(&mut session, self.now));
            let outcome = HookOutcome::Exited(code);
            let done = self.model.finish(run.clone(), session, outcome, self.now);
            let failed = done.is_err() || (code != 0 && !run.hook.is_operation());
            self.transcript.push(format!("{}{}", line(&run), if failed { " !" } else { "" }));
            assert!(self.transcript.len() < TOO_MANY, "{:#?}", &self.transcript[from..]);
            self.pods();
        }
        self.transcript[from..].to_vec()
    }

    /// The next hook of the first unit that has one; pods of units that are gone go.
    fn step(&mut self) -> Option<HookRun> {
        let apps: Vec<AppName> = self.model.applications().map(|app| app.name.clone()).collect();
        for name in apps {
            let units: Vec<_> = self.model.units(&name).map(|unit| unit.name.clone()).collect();
            for unit in units {
                match self.model.next(&unit, self.now) {
                    Next::Hook(run) => return Some(run),
                    Next::Gone => {
                        self.model.unit_gone(&unit);
                        self.transcript.push(format!("{unit} gone"));
                        self.pods();
                    }
                    Next::Restart => self.restart(&unit),
                    Next::Idle { .. } => {}
                }
            }
        }
        None
    }

    /// Runs one `juju-exec` on the unit with these tools, and everything else with none.
    pub fn on(&mut self, name: &str, mut act: impl FnMut(&mut ToolCall<'_>)) -> Vec<String> {
        self.model.enqueue_exec(&unit(name), "true").unwrap();
        let ran = self.run(|run, tools| {
            if run.hook.name() == "run-commands" {
                act(tools);
            }
            0
        });
        ran.into_iter().filter(|line| !line.contains("run-commands")).collect()
    }

    /// Writes a databag from a hook context; the hooks that follow.
    pub fn write(&mut self, name: &str, id: u32, app: bool, pairs: &[(&str, &str)]) -> Vec<String> {
        self.on(name, |tools| tools.relation_set(RelationId(id), app, map(pairs)).unwrap())
    }
}
