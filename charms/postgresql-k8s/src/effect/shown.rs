//! What effects say of themselves: to tests, and to whoever traces them.

use charm::Own;

use super::{Effect, ServeClient};

impl std::fmt::Debug for Effect {
    /// What it does in a few words, and nothing secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(_, line) => write!(f, "log: {line}"),
            Self::Refuse { status, .. } => write!(f, "refuse: {}", status.message()),
            Self::SetBag(id, own, changes) => {
                let own = if *own == Own::App { "app" } else { "unit" };
                let changes: Vec<String> =
                    changes.iter().map(|(k, v)| format!("{k}={v}")).collect();
                let text = format!("set {own} {id}: {}", changes.join(" "));
                f.write_str(&text.to_lowercase())
            }
            Self::PutPasswords(_) => f.write_str("put passwords"),
            Self::RemoveRevision(_, revision) => write!(f, "remove revision {revision}"),
            Self::ApplyServices => f.write_str("apply services"),
            Self::LabelPods(pods) => write!(f, "label {}", pods.join(" ")),
            Self::RemoveLeftovers => f.write_str("remove leftovers"),
            Self::PrepareStorage => f.write_str("prepare storage"),
            Self::RequestCertificate(id) => write!(f, "request certificate {id}"),
            Self::PushTls(_) => f.write_str("push tls"),
            Self::RemoveTls => f.write_str("remove tls"),
            Self::ShareTls { id, ca, .. } => write!(f, "share tls {id}: {}", ca.is_some()),
            Self::PushConfig(_) => f.write_str("push config"),
            Self::RefreshPassfile(_) => f.write_str("refresh passfile"),
            Self::Reload => f.write_str("reload"),
            Self::StartWorkload(_) => f.write_str("start workload"),
            Self::CopyAnew { .. } => f.write_str("copy anew"),
            Self::AwaitMember => f.write_str("await member"),
            Self::AwaitPrimary => f.write_str("await primary"),
            Self::SetUpCluster { .. } => f.write_str("set up cluster"),
            Self::PatchDynamic { patch, .. } => write!(f, "patch {patch}"),
            Self::SwitchExtensions(change) => {
                write!(f, "extensions on {} off {}", change.on.join(" "), change.off.join(" "))
            }
            Self::ServeClient(client) => {
                let ServeClient { user, database, owner, read_only_host, .. } = client.as_ref();
                write!(f, "serve {user} {database} {owner:?} {read_only_host}")
            }
            Self::RemoveClient { user, .. } => write!(f, "remove {user}"),
            Self::GuardServer { .. } => f.write_str("guard server"),
            Self::SetPassword { user, .. } => write!(f, "set password of {user}"),
            Self::ConfirmPasswords(_) => f.write_str("confirm passwords"),
            Self::Switchover { leader, candidate, .. } => {
                write!(f, "switch over from {leader} to {}", candidate.as_deref().unwrap_or("any"))
            }
            Self::FailOver { .. } => f.write_str("fail over"),
            Self::TellClients => f.write_str("tell clients"),
            Self::RestartMembers { .. } => f.write_str("restart members"),
            Self::TellPendingRestart { .. } => f.write_str("tell pending restart"),
            Self::HandOver { .. } => f.write_str("hand over"),
            Self::TellTimeline(_) => f.write_str("tell timeline"),
            Self::AdoptObjects => f.write_str("adopt objects"),
            Self::TakePrimaryLabel => f.write_str("take primary label"),
            Self::Restart { .. } => f.write_str("restart"),
            Self::ActionResult(key, value) => write!(f, "result {key}={value}"),
            Self::ActionSecret(key, _) => write!(f, "result {key}"),
            Self::ActionFail(message) => write!(f, "fail: {message}"),
            Self::Announce => f.write_str("announce"),
            Self::ShowStatus { .. } => f.write_str("show status"),
        }
    }
}
