//! The actions.

use charm_kit::certificates::{KeyRequest, SET_KEY};
use juju_charm::{Decision, ExposeSecret as _, SecretString, UnitName, Write};

use super::{upgrade, workload};
use crate::effect::{Effect, PatroniCommand};
use crate::facts::NotStreaming;
use crate::passwords::{self, CHANGEABLE, SHOWN};
use crate::patroni_yml;
use crate::topology::unit_of;
use crate::validate::Validated;
use crate::wording::SWITCHOVER_FAILED;

/// The action that prepares an upgrade.
pub(super) const CHECK: &str = "pre-upgrade-check";
/// The action by which an upgrade goes on.
pub(super) const RESUME: &str = "resume-upgrade";

/// Runs an action.
pub(super) fn run(name: &str, facts: &Validated<'_>) -> Decision<Effect> {
    let outcome = match name {
        "get-primary" => get_primary(facts),
        "get-password" => get_password(facts),
        "set-password" => set_password(facts),
        "promote-to-primary" => promote(facts),
        "switchover" => switchover(facts),
        "restart" => restart(facts),
        "reinitialise" => reinitialise(facts),
        CHECK => upgrade::check(facts),
        RESUME => upgrade::resume(facts),
        SET_KEY => set_key(facts),
        _ => Err(format!("There is no action {name}.")),
    };
    let effects = outcome.unwrap_or_else(|message| vec![Write::fail(message).into()]);
    Decision::new().effects(effects)
}

/// Asks for a certificate for the key that the action gives, or for a new one.
fn set_key(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let asked = facts.key.as_ref().map(Result::as_ref).transpose().map_err(ToString::to_string)?;
    let asked = asked.filter(|_| facts.container.is_some());
    let KeyRequest { relation, key } = asked.ok_or("The container does not answer yet.")?;
    Ok(vec![Effect::RequestCertificate(*relation, key.clone())])
}

/// What fits into one line of libpq's password file, and into Juju's secrets with the others.
const LONGEST: usize = 1024;

fn parameter<'a>(facts: &'a Validated<'_>, name: &str) -> Option<&'a str> {
    facts.parameters.get(name)?.as_str()
}

/// The password of Patroni's REST API.
fn patroni(facts: &Validated<'_>) -> Option<SecretString> {
    facts.passwords.as_ref().map(|passwords| passwords.patroni.clone())
}

fn get_primary(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref().ok_or("No member of the cluster answers.")?;
    let leader = cluster.leader().ok_or("The cluster has no primary.")?;
    let unit = unit_of(&leader.name).ok_or("The primary is no unit.")?;
    Ok(vec![Write::result("primary", unit.to_string()).into()])
}

/// The user that an action is about.
fn user<'a>(facts: &'a Validated<'_>, allowed: &[&str], more: &str) -> Result<&'a str, String> {
    let user = parameter(facts, "username").unwrap_or("operator");
    if allowed.contains(&user) {
        return Ok(user);
    }
    let list = allowed.join(", ");
    Err(format!("The action can be run only for system users{more}: {list} not {user}"))
}

fn get_password(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let user = user(facts, &SHOWN, " or Patroni")?;
    let password = passwords::get(&facts.secret, user);
    let password = password.ok_or(format!("There is no password of {user} yet."))?;
    Ok(vec![Write::result("password", password.clone()).into()])
}

fn set_password(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    if !facts.leader {
        return Err("The action can be run only on leader unit".to_owned());
    }
    let user = user(facts, &CHANGEABLE, "")?;
    let password = parameter(facts, "password")
        .filter(|given| !given.is_empty())
        .map_or_else(|| facts.seed.password(user), |given| given.to_owned().into());
    let length = password.expose_secret().len();
    if length > LONGEST || password.expose_secret().contains(char::is_control) {
        let most = format!("it may have at most {LONGEST} bytes and no control characters.");
        return Err(format!("Failed changing the password: {most}"));
    }
    let unwell = "Failed changing the password: Not all members healthy or finished initial sync.";
    let runs = facts.container.as_ref().is_some_and(|container| container.running);
    let ready = facts.cluster.as_ref().is_some_and(patroni::Cluster::all_follow);
    if !facts.initialised() || !runs || !ready {
        return Err(unwell.to_owned());
    }
    let failed = || "Failed changing the password.".to_owned();
    let now = facts.passwords.as_ref().ok_or_else(failed)?;
    let old = passwords::get(&facts.secret, user);
    if old.is_some_and(|old| old.expose_secret() == password.expose_secret()) {
        let line = "The old and new passwords are equal.".to_owned();
        let result = Write::result("password", password);
        return Ok(vec![Write::warning(line).into(), result.into()]);
    }
    let content = facts.secret.clone().with(passwords::key(user), password.clone());
    let new = passwords::Passwords::read(&content).ok_or_else(failed)?;
    let settings = facts.settings.ok_or_else(failed)?;
    let encrypted = facts.tls.files.is_some();
    let text = patroni_yml::render(&facts.topology, &facts.unit, settings, &new, encrypted)
        .map_err(|_| failed())?;
    // A hook that dies in between leaves a mark for the next one to check.
    let mut effects: Vec<Effect> = workload::confirm(facts, now, true).into_iter().collect();
    let text = patroni_yml::unconfirmed(&text);
    effects.push(Effect::PushConfig(patroni_yml::unread(&text)));
    effects.extend([
        Effect::SetPassword {
            user: user.parse().map_err(|_| failed())?,
            password: password.clone(),
            salt: facts.seed.salt(user),
            login: facts.superuser().ok_or_else(failed)?,
        },
        passwords::write(&facts.topology, content).into(),
        Effect::Reload,
        Effect::PushConfig(text),
    ]);
    // The leader gets no event for a secret that it changed itself.
    let passfile = workload::passfile(facts, &new, true);
    let settled = facts.peer.as_ref().map(workload::report_pending);
    if let (Some(passfile), Some(settled)) = (passfile, settled) {
        effects.extend([settled, passfile]);
    }
    effects.push(Write::result("password", password).into());
    Ok(effects)
}

fn promote(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    if parameter(facts, "scope") != Some("unit") {
        return Err("Scope should be either cluster or unit".to_owned());
    }
    if facts.parameters.get("force") == Some(&true.into()) {
        return force(facts);
    }
    hand_over(facts, Some(facts.unit.pod()))
}

/// Lets this unit lead without what only the lost primary had. With a leader there is nothing
/// to force, in upstream's words.
fn force(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref().ok_or("No member of the cluster answers.")?;
    if cluster.leader().is_some() {
        return Err("Suprerfluous force flag with unit scope".to_owned());
    }
    let own = cluster.member(&facts.unit.pod());
    if !own.is_some_and(|own| own.state.is_ready()) {
        return Err("PostgreSQL does not serve on this unit".to_owned());
    }
    let password = patroni(facts).ok_or("There is no password of patroni yet.")?;
    Ok(vec![Effect::RunPatroniCommand { command: PatroniCommand::FailOver, password }])
}

/// A planned change of the primary, to a named unit or to the one that Patroni finds best.
fn switchover(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    if facts.parameters.get("dry-run") == Some(&true.into()) {
        facts.cluster.as_ref().and_then(|cluster| cluster.leader()).ok_or(SWITCHOVER_FAILED)?;
        let login = facts.superuser().ok_or(SWITCHOVER_FAILED)?;
        return Ok(vec![Effect::ShowOpenTransactions { login }]);
    }
    let Some(name) = parameter(facts, "candidate").filter(|name| !name.is_empty()) else {
        return hand_over(facts, None);
    };
    let unit = name.parse::<UnitName>().ok();
    let pod = unit.map(|unit| unit.pod()).ok_or(format!("{name} is not the name of a unit"))?;
    let known = facts.cluster.as_ref().is_some_and(|cluster| cluster.member(&pod).is_some());
    if known { hand_over(facts, Some(pod)) } else { Err(format!("{name} is not a member")) }
}

fn hand_over(facts: &Validated<'_>, candidate: Option<String>) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref();
    let leader = cluster.and_then(|cluster| cluster.leader()).ok_or(SWITCHOVER_FAILED)?;
    if candidate.as_ref() == Some(&leader.name) {
        return Ok(Vec::new());
    }
    let password = patroni(facts).ok_or(SWITCHOVER_FAILED)?;
    let leader = leader.name.clone();
    let command = PatroniCommand::Switchover { leader, candidate };
    Ok(vec![Effect::RunPatroniCommand { command, password }])
}

fn restart(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    if !facts.container.as_ref().is_some_and(|container| container.running) {
        return Err("PostgreSQL does not run on this unit".to_owned());
    }
    let password = patroni(facts).ok_or("failed to restart PostgreSQL")?;
    Ok(vec![Effect::RunPatroniCommand { command: PatroniCommand::Restart, password }])
}

/// Gives up this member's data on a person's word, and says before what would be lost with them.
fn reinitialise(facts: &Validated<'_>) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref().ok_or("No member of the cluster answers.")?;
    let leader = cluster.leader().ok_or("The cluster has no primary that could be copied.")?;
    if leader.name == facts.unit.pod() {
        return Err(format!("{} is the primary, which the others copy", facts.unit));
    }
    let lost = match facts.not_streaming {
        Some(NotStreaming::Diverged { timeline, bytes }) => format!(
            "{bytes} bytes of WAL of timeline {timeline} that the primary {} never had",
            leader.name
        ),
        Some(NotStreaming::LacksWal { .. }) => {
            "nothing: the primary has all that it has".to_owned()
        }
        Some(NotStreaming::Unknown) | None if follows(facts) => "nothing: it follows".to_owned(),
        Some(NotStreaming::Unknown) | None => {
            "it does not follow, and it is unknown what it has that the primary lacks".to_owned()
        }
    };
    if facts.parameters.get("force") != Some(&true.into()) {
        return Err(format!("Nothing is done without force=true. What would be lost: {lost}"));
    }
    let password = patroni(facts).ok_or("There is no password of patroni yet.")?;
    let copy = Effect::RunPatroniCommand { command: PatroniCommand::Reinitialise, password };
    Ok(vec![Write::result("lost", lost).into(), copy])
}

/// Whether this member streams.
fn follows(facts: &Validated<'_>) -> bool {
    let health = facts.container.as_ref().and_then(|container| container.health.as_ref());
    health.is_some_and(patroni::Health::streams)
}
