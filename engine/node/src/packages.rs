//! The packages of an image, as its own package manager lists them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;

/// The package manager's list, in an image.
pub(crate) const LIST: &str = "var/lib/dpkg/status";

/// Versions by package.
pub type Packages = BTreeMap<String, String>;

/// The packages that are installed in the root file system `root`.
pub(crate) fn installed(root: &Path) -> io::Result<Packages> {
    Ok(parse(&std::fs::read_to_string(root.join(LIST))?))
}

/// Reads `dpkg`'s list: paragraphs of fields, of which an installed package's `Status` ends in
/// `installed`.
fn parse(list: &str) -> Packages {
    let paragraph = |text: &str| {
        let field = |name: &str| {
            let lines = text.lines().filter_map(|line| line.split_once(": "));
            let mut found = lines.filter(|(field, _)| *field == name).map(|(_, value)| value);
            found.next().map(|value| value.trim().to_owned())
        };
        field("Status")?.ends_with(" installed").then_some(())?;
        Some((field("Package")?, field("Version")?))
    };
    list.split("\n\n").filter_map(paragraph).collect()
}

/// How a package differs between two builds of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// The package.
    pub package: String,
    /// Its version before; none for one that is new.
    pub before: Option<String>,
    /// Its version now; none for one that has gone.
    pub after: Option<String>,
}

impl std::fmt::Display for PackageChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or("none".to_owned());
        write!(f, "{} {} -> {}", self.package, version(&self.before), version(&self.after))
    }
}

/// What differs between two lists, by package.
pub(crate) fn changes(before: &Packages, after: &Packages) -> Vec<PackageChange> {
    let all: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = all.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let change = |name: &String| PackageChange {
        package: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    changed.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Package: libc6\nStatus: install ok installed\nVersion: 2.41-12\n\
        Description: GNU C Library\n Version: not this\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: tar\nStatus: install ok installed\nVersion: 1.35+dfsg-3.1\n";

    #[test]
    fn installed_packages_have_versions() {
        let found = parse(STATUS);
        let found: Vec<_> = found.iter().map(|(name, at)| format!("{name} {at}")).collect();
        assert_eq!(found, ["libc6 2.41-12", "tar 1.35+dfsg-3.1"]);
    }

    #[test]
    fn changes_name_what_came_went_and_moved() {
        let list = |all: &[(&str, &str)]| -> Packages {
            all.iter().map(|(name, at)| ((*name).to_owned(), (*at).to_owned())).collect()
        };
        let before = list(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = list(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let said: Vec<String> = changes(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["b 1 -> 2", "c 1 -> none", "d none -> 1"]);
    }
}
