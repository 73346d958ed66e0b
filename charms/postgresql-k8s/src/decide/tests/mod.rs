//! Tests of the decisions: effects are compared by what they are called and what they say.

mod flowcharts;
mod healing;
mod plugins;
mod relations;
mod tls;

use charm::{Decision, Event, Outcome};

use crate::effect::Effect;
use crate::facts::Facts;

/// An effect in a few words, without secrets.
fn words(effect: &Effect) -> String {
    match effect {
        Effect::Log(_, line) => format!("log: {line}"),
        Effect::Refuse { status, .. } => format!("refuse: {}", status.message()),
        Effect::SetBag(id, own, changes) => {
            let changes: Vec<String> = changes.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("set {own:?} {id}: {}", changes.join(" ")).to_lowercase()
        }
        Effect::PutPasswords(_) => "put passwords".to_owned(),
        Effect::RemoveRevision(_, revision) => format!("remove revision {revision}"),
        Effect::ApplyServices => "apply services".to_owned(),
        Effect::LabelPods(pods) => format!("label {}", pods.join(" ")),
        Effect::RemoveLeftovers => "remove leftovers".to_owned(),
        Effect::PrepareStorage => "prepare storage".to_owned(),
        Effect::RequestCertificate(id) => format!("request certificate {id}"),
        Effect::PushTls(_) => "push tls".to_owned(),
        Effect::RemoveTls => "remove tls".to_owned(),
        Effect::ShareTls { id, ca, .. } => format!("share tls {id}: {}", ca.is_some()),
        Effect::PushConfig(_) => "push config".to_owned(),
        Effect::RefreshPassfile(_) => "refresh passfile".to_owned(),
        Effect::Reload => "reload".to_owned(),
        Effect::StartWorkload(_) => "start workload".to_owned(),
        Effect::AwaitMember => "await member".to_owned(),
        Effect::AwaitPrimary => "await primary".to_owned(),
        Effect::SetUpCluster { .. } => "set up cluster".to_owned(),
        Effect::PatchDynamic { patch, .. } => format!("patch {patch}"),
        Effect::SwitchExtensions(change) => {
            format!("extensions on {} off {}", change.on.join(" "), change.off.join(" "))
        }
        Effect::ServeClient(client) => format!(
            "serve {} {} {:?} {}",
            client.user, client.database, client.owner, client.read_only_host
        ),
        Effect::RemoveClient { user, .. } => format!("remove {user}"),
        Effect::SetPassword { user, .. } => format!("set password of {user}"),
        Effect::ConfirmPasswords { .. } => "confirm passwords".to_owned(),
        Effect::Switchover { leader, candidate, .. } => {
            format!("switch over from {leader} to {}", candidate.as_deref().unwrap_or("any"))
        }
        Effect::FailOver { .. } => "fail over".to_owned(),
        Effect::TellClients => "tell clients".to_owned(),
        Effect::RestartMembers { .. } => "restart members".to_owned(),
        Effect::TellPendingRestart { .. } => "tell pending restart".to_owned(),
        Effect::HandOver { .. } => "hand over".to_owned(),
        Effect::TellTimeline(_) => "tell timeline".to_owned(),
        Effect::AdoptObjects => "adopt objects".to_owned(),
        Effect::TakePrimaryLabel => "take primary label".to_owned(),
        Effect::Restart { .. } => "restart".to_owned(),
        Effect::ActionResult(key, value) => format!("result {key}={value}"),
        Effect::ActionSecret(key, _) => format!("result {key}"),
        Effect::ActionFail(message) => format!("fail: {message}"),
        Effect::Announce => "announce".to_owned(),
        Effect::ShowStatus { .. } => "show status".to_owned(),
    }
}

fn list(decision: &Decision<Effect>) -> Vec<String> {
    decision.effects.iter().map(words).collect()
}

fn deferred(decision: &Decision<Effect>) -> bool {
    matches!(decision.outcome, Outcome::Defer(_))
}

fn decide(event: &Event, facts: &Facts) -> Decision<Effect> {
    super::decide(event, facts)
}

fn pebble_ready() -> Event {
    Event::PebbleReady { container: "postgresql".parse().unwrap() }
}

/// Whether `first` comes before `second` among the effects.
#[track_caller]
fn check_order(decision: &Decision<Effect>, first: &str, second: &str) {
    let list = list(decision);
    let at = |wanted: &str| list.iter().position(|words| words.starts_with(wanted));
    let (a, b) = (at(first), at(second));
    assert!(a.is_some() && b.is_some() && a < b, "{first} before {second} in {list:#?}");
}

#[track_caller]
fn check_without(decision: &Decision<Effect>, unwanted: &str) {
    let list = list(decision);
    assert!(!list.iter().any(|words| words.starts_with(unwanted)), "{unwanted} in {list:#?}");
}
