//! The verbs that are there for who speaks Juju, each to its place.

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{enter, models, operations, secrets, show, wait_for};
use crate::api::Request;
use crate::args_juju::Juju;
use crate::client::Client;
use crate::paths::Paths;

/// Carries out one verb. `controller` is the instance as named, `client` speaks to the model.
pub(super) async fn perform(controller: &Paths, client: &Client, verb: Juju) -> Result<()> {
    match verb {
        Juju::Version { format, all } => models::version(format, all),
        Juju::AddModel(args) => models::add(controller, args).await,
        Juju::DestroyModel(args) => models::destroy(controller, args).await,
        Juju::Models { format } => models::list(controller, format).await,
        Juju::ShowModel { model, format } => {
            models::show_model(controller, model.as_deref(), format).await
        }
        Juju::Switch { model } => models::switch(controller, model.as_deref()),
        Juju::AddUnit { app, num_units } => scale(client, app, i64::from(num_units), false).await,
        Juju::RemoveUnit { app, num_units, removal } => {
            scale(client, app, -i64::from(num_units), removal.force).await
        }
        Juju::Operations { format } => operations::list(client, format).await,
        Juju::ShowOperation { id, format } => operations::operation_of(client, id, format).await,
        Juju::ShowTask { id, format } => operations::task_of(client, id, format).await,
        Juju::ShowApplication { app, format } => {
            let status = client.ask(&Request::Status).await?;
            let found = status["applications"].get(app.as_str());
            let found =
                found.with_context(|| format!("application {:?} not found", app.as_str()))?;
            let shown = json!({
                "charm": found["charm-name"],
                "base": found["base"],
                "channel": "",
                "principal": true,
                "exposed": false,
                "remote": false,
                "life": found["life"],
                "endpoint-bindings": found["endpoint-bindings"],
            });
            show(&json!({ app.as_str(): shown }), format)
        }
        Juju::Exec(args) => enter::exec(client, args).await,
        Juju::Ssh(args) => enter::ssh(client, args).await,
        Juju::Scp(args) => enter::scp(client, args).await,
        Juju::WaitFor(args) => wait_for::wait_for(client, args).await,
        Juju::Secrets { owner, format } => secrets::list(client, owner.as_deref(), format).await,
        Juju::ShowSecret { secret, reveal, revisions, revision, format } => {
            let part = secrets::Part { reveal, revisions, revision };
            secrets::show_one(client, secret, part, format).await
        }
        Juju::AddSecret { name, content } => secrets::put(client, name, content, false).await,
        Juju::UpdateSecret { secret, content, .. } => {
            secrets::put(client, secret, content, true).await
        }
        Juju::GrantSecret { secret, apps } => grant(client, secret, apps, true).await,
        Juju::RevokeSecret { secret, apps } => grant(client, secret, apps, false).await,
        Juju::RemoveSecret { secret } => {
            client.ask(&Request::RemoveSecret { secret }).await.map(drop)
        }
    }
}

async fn scale(client: &Client, app: names::AppName, units: i64, force: bool) -> Result<()> {
    client.ask(&Request::ScaleBy { app, units, force }).await.map(drop)
}

async fn grant(
    client: &Client,
    secret: String,
    apps: Vec<names::AppName>,
    granted: bool,
) -> Result<()> {
    if apps.is_empty() {
        bail!("cannot change who may read {secret}: name applications, separated by commas");
    }
    client.ask(&Request::GrantSecret { secret, apps, granted }).await.map(drop)
}
