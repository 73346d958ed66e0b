//! The two charms that this measurement makes for itself: a client with an endpoint for each
//! relation, and one that holds the pooler's place until the relations are there.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use end_to_end::root;

/// Asks for a database on the endpoints from `first` to `end` in one hook, and ignores the rest.
const CLIENT: &str = r#"#!/bin/sh
set -eu
[ "$JUJU_DISPATCH_PATH" = hooks/config-changed ] || exit 0
number=$(config-get first)
end=$(config-get end)
while [ "$number" -lt "$end" ]; do
    name=$(printf 'r%04d' "$number")
    relation-set -r "$(relation-ids "$name")" --app "database=d$((number % DATABASES))" \
        'requested-secrets=["username", "password", "tls", "tls-ca", "uris"]'
    number=$((number + 1))
done
status-set active
"#;

/// One application with a relation for each of many clients, which share so many databases.
pub(super) fn client(endpoints: usize, databases: usize) -> Result<PathBuf> {
    let folder = folder("growth-client")?;
    let mut metadata = "name: growth-client\nsummary: Many clients in one\n\
                        description: Asks for a database on each of its endpoints.\nrequires:\n"
        .to_owned();
    for number in 0..endpoints {
        writeln!(metadata, "  r{number:04}: {{interface: postgresql_client, optional: true}}")?;
    }
    let option = "{type: int, default: 0, description: Endpoints that ask now.}";
    std::fs::write(folder.join("metadata.yaml"), metadata)?;
    let options = format!("options:\n  first: {option}\n  end: {option}\n");
    std::fs::write(folder.join("config.yaml"), options)?;
    std::fs::copy(pooler().join("manifest.yaml"), folder.join("manifest.yaml"))?;
    program(&folder, &CLIENT.replace("DATABASES", &databases.to_string()))?;
    Ok(folder)
}

/// The pooler's charm without its program: its hooks do nothing, so that many relations can be
/// made without each of them reading all that were there before.
pub(super) fn placeholder() -> Result<PathBuf> {
    let folder = folder("growth-pooler")?;
    for file in ["metadata.yaml", "config.yaml", "actions.yaml", "manifest.yaml"] {
        std::fs::copy(pooler().join(file), folder.join(file))?;
    }
    program(
        &folder,
        "#!/bin/sh\n[ \"$JUJU_DISPATCH_PATH\" != hooks/start ] || status-set active\n",
    )?;
    Ok(folder)
}

fn pooler() -> PathBuf {
    root().join("charms/pgbouncer-k8s")
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder = root().join("target/charms").join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn program(folder: &Path, text: &str) -> Result<()> {
    let path = folder.join("dispatch");
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}
