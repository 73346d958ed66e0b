//! What effects say of themselves: to tests and traces.

use super::{Effect, PatroniCommand, Roll, ServeClient};

impl std::fmt::Debug for Effect {
    /// What it does in a few words, and nothing secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Juju(write) => write.fmt(f),
            Self::Refuse { status, .. } => write!(f, "refuse: {}", status.message()),
            Self::ApplyServices => f.write_str("apply services"),
            Self::LabelPods(pods) => write!(f, "label {}", pods.join(" ")),
            Self::RemoveOrphanedObjects => f.write_str("remove orphaned objects"),
            Self::PrepareStorage => f.write_str("prepare storage"),
            Self::RequestCertificate(id, None) => write!(f, "request certificate {id}"),
            Self::RequestCertificate(id, Some(_)) => {
                write!(f, "request certificate {id} for the given key")
            }
            Self::PushTls(_) => f.write_str("push tls"),
            Self::RemoveTls => f.write_str("remove tls"),
            Self::ShareTls { id, ca, .. } => write!(f, "share tls {id}: {}", ca.is_some()),
            Self::PushBeforeStop(_) => f.write_str("push before_stop"),
            Self::PushConfig(_) => f.write_str("push config"),
            Self::RefreshPassfile(_) => f.write_str("refresh passfile"),
            Self::Reload => f.write_str("reload"),
            Self::StartWorkload(_) => f.write_str("start workload"),
            Self::CopyAnew(how) if how.keeps => f.write_str("copy anew beside the present data"),
            Self::CopyAnew(_) => f.write_str("copy anew"),
            Self::RemoveAside => f.write_str("remove the data that were kept aside"),
            Self::AwaitMember(_) => f.write_str("await member"),
            Self::SetUpCluster { .. } => f.write_str("set up cluster"),
            Self::PatchDynamic { patch, .. } => write!(f, "patch {patch}"),
            Self::SwitchExtensions(change) => {
                write!(f, "extensions on {} off {}", change.on.join(" "), change.off.join(" "))
            }
            Self::ServeClient(client) => {
                let ServeClient { user, database, owner, read_only_host, .. } = client.as_ref();
                write!(f, "serve {user} {database} {owner:?} {read_only_host}")
            }
            Self::MoveReaders { id, host } => write!(f, "move readers {id}: {host}"),
            Self::RemoveClient { user, .. } => write!(f, "remove {user}"),
            Self::GuardServer { .. } => f.write_str("guard server"),
            Self::SetPassword { user, .. } => write!(f, "set password of {user}"),
            Self::ConfirmPasswords(_) => f.write_str("confirm passwords"),
            Self::RunPatroniCommand { command, .. } => match command {
                PatroniCommand::Switchover { leader, candidate } => {
                    let candidate = candidate.as_deref().unwrap_or("any");
                    write!(f, "switch over from {leader} to {candidate}")
                }
                PatroniCommand::FailOver => f.write_str("fail over"),
                PatroniCommand::Restart => f.write_str("restart"),
                PatroniCommand::Reinitialise => f.write_str("reinitialise"),
            },
            Self::ShowOpenTransactions { .. } => f.write_str("show open transactions"),
            Self::ReportToClients => f.write_str("report to clients"),
            Self::RestartMembers { .. } => f.write_str("restart members"),
            Self::CompareAgain => f.write_str("compare again"),
            Self::ReportPendingRestart { .. } => f.write_str("report pending restart"),
            Self::HandOver { .. } => f.write_str("hand over"),
            Self::ReportTimeline(_) => f.write_str("report timeline"),
            Self::Upgrade(roll) => roll.fmt(f),
            Self::AdoptObjects => f.write_str("adopt objects"),
            Self::TakePrimaryLabel => f.write_str("take primary label"),
            Self::ReportVersionAndPorts => f.write_str("report version and ports"),
            Self::ShowStatus(_) => f.write_str("show status"),
        }
    }
}

impl std::fmt::Debug for Roll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SetPartition { partition, .. } => write!(f, "partition {partition}"),
            Self::SwitchOver { leader, candidate, .. } => {
                write!(f, "upgrade: switch over from {leader} to {candidate}")
            }
            Self::ReplacePod(pod) => write!(f, "replace pod {pod}"),
            Self::Show { status, .. } => write!(f, "upgrade: {}", status.message()),
        }
    }
}
