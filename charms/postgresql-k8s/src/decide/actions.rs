//! The actions.

use charm::{Decision, ExposeSecret as _, Level, SecretString, UnitName};

use super::workload;
use crate::effect::Effect;
use crate::facts::Facts;
use crate::passwords::{self, CHANGEABLE, SHOWN};
use crate::patroni_yml;
use crate::topology::unit_of;

/// The streams of random values of a new password and its salt.
const NEW_PASSWORD: u64 = 2;

/// Runs an action.
pub(super) fn run(name: &str, facts: &Facts) -> Decision<Effect> {
    let outcome = match name {
        "get-primary" => get_primary(facts),
        "get-password" => get_password(facts),
        "set-password" => set_password(facts),
        "promote-to-primary" => promote(facts),
        "switchover" => switchover(facts),
        "restart" => restart(facts),
        _ => Err(format!("There is no action {name}.")),
    };
    let effects = outcome.unwrap_or_else(|message| vec![Effect::ActionFail(message)]);
    Decision::new().effects(effects)
}

/// What fits into one line of libpq's password file, and into Juju's secrets with the others.
const LONGEST: usize = 1024;

fn parameter<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    facts.parameters.get(name)?.as_str()
}

fn get_primary(facts: &Facts) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref().ok_or("No member of the cluster answers.")?;
    let leader = cluster.leader().ok_or("The cluster has no primary.")?;
    let unit = unit_of(&leader.name).ok_or("The primary is no unit.")?;
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
    let length = password.expose_secret().len();
    if length > LONGEST || password.expose_secret().contains(char::is_control) {
        let most = format!("it may have at most {LONGEST} bytes and no control characters.");
        return Err(format!("Failed changing the password: {most}"));
    }
    let unwell = "Failed changing the password: Not all members healthy or finished initial sync.";
    let runs = facts.container.as_ref().is_some_and(|container| container.running);
    let ready = facts.cluster.as_ref().is_some_and(patroni::Cluster::is_ready);
    if !facts.initialised() || !runs || !ready {
        return Err(unwell.to_owned());
    }
    let failed = || "Failed changing the password.".to_owned();
    let now = facts.passwords().ok_or_else(failed)?;
    let old = passwords::get(&facts.passwords, user);
    if old.is_some_and(|old| old.expose_secret() == password.expose_secret()) {
        let line = "The old and new passwords are equal.".to_owned();
        let result = Effect::ActionSecret("password", password);
        return Ok(vec![Effect::Log(Level::Warning, line), result]);
    }
    let content = facts.passwords.clone().with(passwords::key(user), password.clone());
    let new = passwords::Passwords::read(&content).ok_or_else(failed)?;
    let settings = facts.usable().ok_or_else(failed)?;
    let encrypted = facts.tls.files.is_some();
    let text = patroni_yml::render(&facts.topology, &facts.unit, settings, &new, encrypted)
        .map_err(|_| failed())?;
    // A hook that dies in between leaves what tells the next one to look.
    let mut effects: Vec<Effect> = workload::confirm(facts, &now, true).into_iter().collect();
    let text = patroni_yml::unconfirmed(&text);
    effects.push(Effect::PushConfig(patroni_yml::unread(&text)));
    effects.extend([
        Effect::SetPassword {
            user: user.parse().map_err(|_| failed())?,
            password: password.clone(),
            salt: source.salt(),
            operator: super::operator(facts, now.operator.clone()),
        },
        Effect::PutPasswords(content),
        Effect::Reload,
        Effect::PushConfig(text),
    ]);
    // Nobody tells the leader of a secret that it changed itself.
    let passfile = workload::passfile(facts, &new, true);
    let settled = facts.peer.as_ref().map(workload::tell_pending);
    if let (Some(passfile), Some(settled)) = (passfile, settled) {
        effects.extend([settled, passfile]);
    }
    effects.push(Effect::ActionSecret("password", password));
    Ok(effects)
}

fn promote(facts: &Facts) -> Result<Vec<Effect>, String> {
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
fn force(facts: &Facts) -> Result<Vec<Effect>, String> {
    let cluster = facts.cluster.as_ref().ok_or("No member of the cluster answers.")?;
    if cluster.leader().is_some() {
        return Err("Suprerfluous force flag with unit scope".to_owned());
    }
    let own = cluster.member(&facts.unit.pod());
    if !own.is_some_and(|own| own.state.is_ready()) {
        return Err("PostgreSQL does not serve on this unit".to_owned());
    }
    let password = facts.passwords().ok_or("There is no password of patroni yet.")?.patroni;
    Ok(vec![Effect::FailOver { password }])
}

/// A planned change of the primary, to a named unit or to the one that Patroni finds best.
fn switchover(facts: &Facts) -> Result<Vec<Effect>, String> {
    let Some(name) = parameter(facts, "candidate").filter(|name| !name.is_empty()) else {
        return hand_over(facts, None);
    };
    let unit = name.parse::<UnitName>().ok();
    let pod = unit.map(|unit| unit.pod()).ok_or(format!("{name} is not the name of a unit"))?;
    let known = facts.cluster.as_ref().is_some_and(|cluster| cluster.member(&pod).is_some());
    if known { hand_over(facts, Some(pod)) } else { Err(format!("{name} is not a member")) }
}

fn hand_over(facts: &Facts, candidate: Option<String>) -> Result<Vec<Effect>, String> {
    let failed = "Switchover failed or timed out, check the logs for details";
    let leader = facts.cluster.as_ref().and_then(|cluster| cluster.leader()).ok_or(failed)?;
    if candidate.as_ref() == Some(&leader.name) {
        return Ok(Vec::new());
    }
    let password = facts.passwords().ok_or(failed)?.patroni;
    let leader = leader.name.clone();
    Ok(vec![Effect::Switchover { leader, candidate, password }])
}

fn restart(facts: &Facts) -> Result<Vec<Effect>, String> {
    if !facts.container.as_ref().is_some_and(|container| container.running) {
        return Err("PostgreSQL does not run on this unit".to_owned());
    }
    let password = facts.passwords().ok_or("failed to restart PostgreSQL")?.patroni;
    Ok(vec![Effect::Restart { password }])
}
