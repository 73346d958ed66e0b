//! The applications of a world: which charm each runs, and the two that are simulated.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use juju_model::tools::{Bag, Party, SecretMetadata};
use juju_model::{ActionsYaml, CharmMeta, ConfigYaml, HookRun, MetadataYaml, SecretContent};
use juju_names::{AppName, RelationId};
use postgres::scram;

use crate::far::postgresql::{Cluster, Database, Role, SERVER_VERSION};
use crate::names::MODEL;
use crate::world::State;

/// The command that makes the server give its clients new passwords.
pub(crate) const ROTATE: &str = "rotate";

/// The command by which an older charm of the pooler writes what it would.
pub(crate) const OLDER: &str = "older";

/// What an application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// pgbouncer-k8s, the real charm.
    Pooler,
    /// data-integrator, the real charm.
    Client,
    /// postgresql-k8s, the real charm.
    Database,
    /// A provider of `postgresql_client`, simulated.
    Server,
    /// A legacy client, simulated.
    OldClient,
}

/// A metadata file of a charm that is simulated.
const OLD_CLIENT: &str = "name: old-client\nrequires:\n  db: {interface: pgsql}\n";

impl Kind {
    /// The kind of this charm's name.
    pub(crate) fn of(charm: &str) -> Self {
        match charm {
            "pgbouncer-k8s" => Self::Pooler,
            "data-integrator" => Self::Client,
            "postgresql-k8s" => Self::Database,
            "old-client" => Self::OldClient,
            _ => Self::Server,
        }
    }

    /// What its charm declares; read once, because reading costs more than many hooks.
    pub(crate) fn charm(self) -> Result<CharmMeta, String> {
        static READ: LazyLock<[Result<CharmMeta, String>; 5]> = LazyLock::new(|| {
            let all = [Kind::Pooler, Kind::Client, Kind::Database, Kind::Server, Kind::OldClient];
            all.map(Kind::read)
        });
        READ[self as usize].clone()
    }

    fn read(self) -> Result<CharmMeta, String> {
        let (metadata, config, actions) = match self {
            Self::Pooler => (
                include_str!("../../../charms/pgbouncer-k8s/metadata.yaml"),
                include_str!("../../../charms/pgbouncer-k8s/config.yaml"),
                include_str!("../../../charms/pgbouncer-k8s/actions.yaml"),
            ),
            Self::Client => (
                include_str!("../../../charms/data-integrator/metadata.yaml"),
                include_str!("../../../charms/data-integrator/config.yaml"),
                include_str!("../../../charms/data-integrator/actions.yaml"),
            ),
            Self::Database => (
                include_str!("../../../charms/postgresql-k8s/metadata.yaml"),
                include_str!("../../../charms/postgresql-k8s/config.yaml"),
                include_str!("../../../charms/postgresql-k8s/actions.yaml"),
            ),
            Self::Server => {
                ("name: server\nprovides:\n  database: {interface: postgresql_client}\n", "", "")
            }
            Self::OldClient => (OLD_CLIENT, "", ""),
        };
        let words = |error: serde_saphyr::Error| error.to_string();
        let metadata: MetadataYaml = serde_saphyr::from_str(metadata).map_err(words)?;
        let config: Option<ConfigYaml> = match config {
            "" => None,
            text => Some(serde_saphyr::from_str(text).map_err(words)?),
        };
        let actions: Option<ActionsYaml> = match actions {
            "" => None,
            text => Some(serde_saphyr::from_str(text).map_err(words)?),
        };
        CharmMeta::from_parts(metadata, config, actions).map_err(|error| error.to_string())
    }
}

fn bag<const N: usize>(pairs: [(&str, String); N]) -> Bag {
    pairs.map(|(key, value)| (key.to_owned(), value)).into()
}

/// The user that the server gives a relation.
pub(crate) fn server_user(id: RelationId) -> String {
    format!("relation_id_{id}")
}

/// The server's charm: each relation gets a user, a superuser where it asks for one.
pub(crate) fn server(state: &mut State, run: &HookRun) -> Result<(), String> {
    let app = run.unit.app().clone();
    let broken = match &run.hook {
        juju_model::Hook::RelationBroken { relation, .. } => Some(relation.id),
        _ => None,
    };
    state.far.clusters.entry(app.clone()).or_insert_with(Cluster::new);
    let plain = state.keeps_held;
    let Some(mut session) = state.session.take() else { return Ok(()) };
    if let Some(id) = broken.filter(|_| plain) {
        // Another charm's server: what its user holds stays.
        let cluster = state.far.clusters.get_mut(&app).ok_or("no cluster")?;
        for role in cluster.roles.values_mut() {
            if role.comment == held(&server_user(id)) {
                role.comment.clear();
            }
        }
    }
    let rotates = matches!(&run.hook, juju_model::Hook::Exec { command, .. } if command == ROTATE);
    let done = server_hook(state, &mut session, &app, broken, rotates);
    state.session = Some(session);
    done
}

fn server_hook(
    state: &mut State,
    session: &mut juju_model::Session,
    app: &AppName,
    broken: Option<RelationId>,
    rotates: bool,
) -> Result<(), String> {
    let now = state.now();
    let password: String =
        state.entropy.bytes().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let words = |error: juju_model::tools::ToolError| error.to_string();
    let cluster = state.far.clusters.get_mut(app).ok_or("no cluster")?;
    let mut tools = state.model.tools(session, now);
    if !tools.is_leader().map_err(words)? {
        return Ok(());
    }
    if let Some(id) = broken {
        drop_user(cluster, &server_user(id));
        let label = format!("database.{id}.user.secret");
        if let Ok(info) = tools.secret_info_get(None, Some(&label)) {
            tools.secret_remove(&info.id, None).map_err(words)?;
        }
        return Ok(());
    }
    if rotates {
        return rotate(cluster, &mut tools, &password);
    }
    for id in tools.relation_ids("database").map_err(words)? {
        let remote = tools.relation_remote_app(id).map_err(words)?;
        let request = tools.relation_get(id, &Party::App(remote)).map_err(words)?;
        let own = tools.relation_get(id, &Party::App(app.clone())).map_err(words)?;
        // A client that reads no secrets would get its password in clear.
        let asks = request.contains_key("requested-secrets") && !own.contains_key("secret-user");
        let Some(database) = request.get("database").filter(|_| asks) else { continue };
        let roles = request.get("extra-user-roles").map(|roles| roles.to_lowercase());
        let superuser = roles.is_some_and(|roles| roles.contains("superuser"));
        let user = server_user(id);
        let verifier = scram::verifier(&password, &[7; 16], 1).expose().to_owned();
        let role = Role { login: true, superuser, verifier: Some(verifier), ..Role::default() };
        cluster.roles.insert(user.clone(), role);
        let made = cluster.databases.entry(database.clone()).or_insert_with(|| {
            let mut made = Database::default();
            made.connect.clear();
            made
        });
        made.connect.insert(user.clone());
        let content =
            bag([("username", STANDARD.encode(&user)), ("password", STANDARD.encode(&password))]);
        let label = Some(format!("database.{id}.user.secret"));
        let metadata = SecretMetadata { label, ..SecretMetadata::default() };
        let secret = tools.secret_add(content, metadata).map_err(words)?;
        tools.secret_grant(&secret, id, None).map_err(words)?;
        let host = |role: &str| format!("{app}-{role}.{MODEL}.svc.cluster.local:5432");
        let changes = bag([
            ("database", database.clone()),
            ("endpoints", host("primary")),
            ("read-only-endpoints", host("replicas")),
            ("secret-user", secret.to_string()),
            ("version", SERVER_VERSION.to_owned()),
        ]);
        tools.relation_set(id, true, changes).map_err(words)?;
    }
    Ok(())
}

fn held(user: &str) -> String {
    format!("goes with the role {user}")
}

/// The server drops a relation's user, what it holds, and what stands in their way.
fn drop_user(cluster: &mut Cluster, user: &str) {
    let held = held(user);
    let gone = cluster.roles.iter().filter(|(name, role)| *name == user || role.comment == held);
    let gone: Vec<String> = gone.map(|(name, _)| name.clone()).collect();
    for role in &gone {
        cluster.roles.remove(role);
        for database in cluster.databases.values_mut() {
            database.connect.remove(role);
            database.users.remove(role);
            database.lookups.remove(role);
            database.objects.remove(role);
            database.extended.remove(role);
            database.idle.remove(role);
            database.owner = database.owner.take().filter(|owner| owner != role);
        }
    }
}

/// Gives the user of each relation a new password, as the server's own charm may.
fn rotate(
    cluster: &mut Cluster,
    tools: &mut juju_model::ToolCall<'_>,
    password: &str,
) -> Result<(), String> {
    let words = |error: juju_model::tools::ToolError| error.to_string();
    for id in tools.relation_ids("database").map_err(words)? {
        let user = server_user(id);
        let label = format!("database.{id}.user.secret");
        let Ok(info) = tools.secret_info_get(None, Some(&label)) else { continue };
        let content =
            bag([("username", STANDARD.encode(&user)), ("password", STANDARD.encode(password))]);
        tools.secret_set(&info.id, Some(content), SecretMetadata::default()).map_err(words)?;
        let verifier = scram::verifier(password, &[7; 16], 1).expose().to_owned();
        if let Some(role) = cluster.roles.get_mut(&user) {
            role.verifier = Some(verifier);
        }
    }
    Ok(())
}

/// A legacy client: its leader names the database in the application's bag.
pub(crate) fn old_client(state: &mut State, run: &HookRun) -> Result<(), String> {
    let Some(mut session) = state.session.take() else { return Ok(()) };
    let now = state.now();
    let words = |error: juju_model::tools::ToolError| error.to_string();
    let mut tools = state.model.tools(&mut session, now);
    let mut ask = || {
        if !tools.is_leader().map_err(words)? {
            return Ok(());
        }
        for id in tools.relation_ids("db").map_err(words)? {
            let changes = bag([("database", old_database(run.unit.app()))]);
            tools.relation_set(id, true, changes).map_err(words)?;
        }
        Ok(())
    };
    let done = ask();
    state.session = Some(session);
    done
}

/// The database that a legacy client asks for.
pub(crate) fn old_database(app: &AppName) -> String {
    format!("db_{}", app.as_str().replace('-', "_"))
}

/// What a client finds in the secret that an application's bag names.
pub(crate) fn read_secret(state: &State, text: &str) -> Option<Bag> {
    let id = text.parse().ok()?;
    let secret = state.model.secret(&id)?;
    decoded(&secret.revisions.get(&secret.latest)?.content)
}

/// The values of a secret in the clear.
pub(crate) fn decoded(content: &SecretContent) -> Option<Bag> {
    let decode = |(key, value): (&String, &String)| {
        let value = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        Some((key.clone(), value))
    };
    content.reveal().iter().map(decode).collect()
}

/// An older charm of the pooler: it sends clients elsewhere and shows its user list.
pub(crate) fn older(state: &mut State) -> Result<(), String> {
    let Some(mut session) = state.session.take() else { return Ok(()) };
    let now = state.now();
    let words = |error: juju_model::tools::ToolError| error.to_string();
    let mut tools = state.model.tools(&mut session, now);
    let mut write = || {
        for id in tools.relation_ids("database").map_err(words)? {
            let changes = bag([("endpoints", "elsewhere:1".to_owned())]);
            tools.relation_set(id, true, changes).map_err(words)?;
        }
        for id in tools.relation_ids("pgb-peers").map_err(words)? {
            let changes = bag([("auth_file", "shown".to_owned())]);
            tools.relation_set(id, true, changes).map_err(words)?;
        }
        Ok(())
    };
    let done = write();
    state.session = Some(session);
    done
}
