//! What effects say of themselves: to tests and traces.

use super::{ContainerEffect, Effect};

impl std::fmt::Debug for Effect {
    /// What it does in a few words, and nothing secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Juju(write) => write.fmt(f),
            Self::Container(effect) => effect.fmt(f),
            Self::Initialise(init) => write!(f, "initialise {}", init.auth_user),
            Self::InstallLookup(lookup) => write!(f, "install lookup of {}", lookup.auth_user),
            Self::RemoveAuth { user, .. } => write!(f, "remove auth {user}"),
            Self::Confirm(confirm) => {
                let processes = confirm.processes.iter().map(|(index, _)| index.to_string());
                write!(f, "confirm {}", processes.collect::<Vec<_>>().join(" "))
            }
            Self::ApplyService(spec) => write!(f, "apply service {} {}", spec.name, spec.port),
            Self::Grant(grant) => {
                write!(
                    f,
                    "grant {} in {}",
                    grant.account.request.user, grant.account.request.database
                )
            }
            Self::UpdateUris(uris) => write!(f, "update uris {}", uris.relation),
            Self::GrantLegacy(grant) => {
                write!(
                    f,
                    "legacy grant {} in {}",
                    grant.account.request.user, grant.account.request.database
                )
            }
            Self::RemoveClient { user, .. } => write!(f, "remove client {user}"),
            Self::RemoveOrphanedUsers { users, .. } => {
                let users = users.iter().map(ToString::to_string);
                write!(f, "remove orphaned users {}", users.collect::<Vec<_>>().join(" "))
            }
            Self::RequestCertificate(id, None) => write!(f, "request certificate {id}"),
            Self::RequestCertificate(id, Some(_)) => {
                write!(f, "request certificate {id} for the given key")
            }
            Self::ShareTls { id, ca, .. } => write!(f, "share tls {id}: {}", ca.is_some()),
        }
    }
}

impl std::fmt::Debug for ContainerEffect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MakeDirs(paths) => write!(f, "make dirs {}", paths.join(" ")),
            Self::PushFiles(files) => {
                let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
                write!(f, "push {}", paths.join(" "))
            }
            Self::PushAgent(_) => f.write_str("push the agent"),
            Self::RemoveFile(path) => write!(f, "remove file {path}"),
            Self::Replan(_) => f.write_str("replan"),
            Self::Reload(services) => write!(f, "reload {}", services.join(" ")),
            Self::Restart(service) => write!(f, "restart {service}"),
        }
    }
}
