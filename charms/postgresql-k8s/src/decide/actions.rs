//! The actions.

use charm::{Decision, SecretString};

use super::members;
use crate::effect::Effect;
use crate::facts::Facts;
use crate::passwords::{self, CHANGEABLE, SHOWN};
use crate::patroni_yml;

/// The streams of random values of a new password and its salt.
const NEW_PASSWORD: u64 = 2;

/// Runs an action.
pub(super) fn run(name: &str, facts: &Facts) -> Decision<Effect> {
    let outcome = match name {
        "get-primary" => get_primary(facts),
        "get-password" => get_password(facts),
        "set-password" => set_password(facts),
        "promote-to-primary" => promote(facts),
        _ => Err(format!("There is no action {name}.")),
    };
    let effects = outcome.unwrap_or_else(|message| vec![Effect::ActionFail(message)]);
    Decision::new().effects(effects)
}

fn parameter<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    facts.parameters.get(name)?.as_str()
}

fn get_primary(facts: &Facts) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref().ok_or("No member of the cluster answers.")?;
    let leader = cluster.leader().ok_or("The cluster has no primary.")?;
    let unit = members::unit_of(&leader.name).ok_or("The primary is no unit.")?;
    Ok(vec![Effect::ActionResult("primary", unit.to_string())])
}

/// The user that an action is about.
fn user<'a>(facts: &'a Facts, allowed: &[&str], more: &str) -> Result<&'a str, String> {
    let user = parameter(facts, "username").unwrap_or("operator");
    if allowed.contains(&user) {
        return Ok(user);
    }
    let list = allowed.join(", ");
    Err(format!("The action can be run only for system users{more}: {list} not {user}"))
}

fn get_password(facts: &Facts) -> Result<Vec<Effect>, String> {
    let user = user(facts, &SHOWN, " or Patroni")?;
    let password = passwords::get(&facts.passwords, user);
    let password = password.ok_or(format!("There is no password of {user} yet."))?;
    Ok(vec![Effect::ActionSecret("password", password.clone())])
}

fn set_password(facts: &Facts) -> Result<Vec<Effect>, String> {
    if !facts.leader {
        return Err("The action can be run only on leader unit".to_owned());
    }
    let user = user(facts, &CHANGEABLE, "")?;
    let mut source = facts.seed.source(NEW_PASSWORD);
    let fresh = source.password();
    let password = parameter(facts, "password")
        .filter(|given| !given.is_empty())
        .map_or(fresh, |given| SecretString::from(given.to_owned()));
    let unwell = "Failed changing the password: Not all members healthy or finished initial sync.";
    if !facts.initialised() || !facts.cluster.as_ref().is_some_and(patroni::Cluster::is_ready) {
        return Err(unwell.to_owned());
    }
    let failed = || "Failed changing the password.".to_owned();
    let now = facts.passwords().ok_or_else(failed)?;
    let content = facts.passwords.clone().with(passwords::key(user), password.clone());
    let new = passwords::Passwords::read(&content).ok_or_else(failed)?;
    let settings = facts.settings.as_ref().map_err(|_| failed())?;
    let text =
        patroni_yml::render(&facts.topology, &facts.unit, settings, &new).map_err(|_| failed())?;
    let mut effects = vec![
        Effect::SetPassword {
            user: user.parse().map_err(|_| failed())?,
            password: password.clone(),
            salt: source.salt(),
            operator: now.operator,
        },
        Effect::PutPasswords(content),
    ];
    if facts.container.as_ref().is_some_and(|container| container.running) {
        effects.extend([Effect::PushConfig(text), Effect::Reload]);
    }
    effects.push(Effect::ActionSecret("password", password));
    Ok(effects)
}

fn promote(facts: &Facts) -> Result<Vec<Effect>, String> {
    if parameter(facts, "scope") != Some("unit") {
        return Err("Scope should be either cluster or unit".to_owned());
    }
    if facts.parameters.get("force") == Some(&true.into()) {
        return Err("Suprerfluous force flag with unit scope".to_owned());
    }
    let failed = "Switchover failed or timed out, check the logs for details";
    let leader = facts.cluster.as_ref().and_then(|cluster| cluster.leader()).ok_or(failed)?;
    if leader.name == facts.unit.pod() {
        return Ok(Vec::new());
    }
    Ok(vec![Effect::Switchover {
        leader: leader.name.clone(),
        candidate: Some(facts.unit.pod()),
        password: facts.passwords().ok_or(failed)?.patroni,
    }])
}
