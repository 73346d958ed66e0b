//! The modules of a crate import each other in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{check, rust_files};

/// A module, by its path in the crate.
type Module = Vec<String>;

/// A crate's modules, and what each may be called from another.
#[derive(Default)]
struct Crate {
    texts: BTreeMap<Module, String>,
    exports: BTreeMap<Module, BTreeMap<String, Module>>,
}

/// A file's text without comments and tests.
pub(super) fn shipping(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

/// The paths that a tree of `use` stands for.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((before, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        if !path.is_empty() {
            paths.push(format!("{prefix}{path}"));
        }
        return;
    };
    let prefix = format!("{prefix}{}", before.trim());
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    let mut depth = 0;
    let parts = body.split(|sign| {
        depth += i32::from(sign == '{') - i32::from(sign == '}');
        sign == ',' && depth == 0
    });
    parts.for_each(|part| expand(&prefix, part, paths));
}

/// The statements of `use` in a text, each with whether it is visible to other modules.
fn uses(text: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let line = text[..at].rsplit('\n').next().unwrap_or_default().trim_start();
        if line.is_empty() || line.starts_with("pub") && !line.contains(['{', ';', '=']) {
            let tree = text[at + 4..].split(';').next().unwrap_or_default();
            found.push((!line.is_empty(), tree.to_owned()));
        }
    }
    found
}

/// The paths from the crate's root in the rest of a text.
fn inline(text: &str) -> impl Iterator<Item = &str> {
    let end = |sign: char| !(sign.is_alphanumeric() || sign == '_' || sign == ':');
    ["crate::", "super::"].into_iter().flat_map(move |start| {
        let all = text.match_indices(start);
        all.map(move |(at, _)| text[at..].split(end).next().unwrap_or_default())
    })
}

impl Crate {
    fn read(folder: &Path, files: &[(std::path::PathBuf, String)]) -> Self {
        let mut read = Self::default();
        for (path, text) in files {
            let Ok(path) = path.strip_prefix(folder.join("src")) else { continue };
            let path = path.with_extension("");
            let mut module: Module =
                path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
            if !module.iter().any(|part| ["tests", "fixture"].contains(&part.as_str())) {
                read.texts.entry(module).or_default().push_str(&shipping(text));
            }
        }
        let modules: Vec<Module> = read.texts.keys().cloned().collect();
        for module in modules {
            for (visible, tree) in uses(&read.texts[&module]) {
                let mut paths = Vec::new();
                expand("", &tree, &mut paths);
                for path in paths.iter().filter(|_| visible) {
                    let Some(target) = read.absolute(&module, path) else { continue };
                    let Some(name) = target.last().cloned() else { continue };
                    read.exports.entry(module.clone()).or_default().insert(name, target);
                }
            }
        }
        read
    }

    /// A path from the crate's root; none for another crate's.
    fn absolute(&self, module: &Module, path: &str) -> Option<Module> {
        let mut parts = path.split("::").map(str::to_owned).collect::<Vec<_>>();
        parts.pop_if(|last| last == "self");
        let mut base = module.clone();
        match parts.first()?.as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                while parts.first().is_some_and(|part| part == "super") {
                    base.pop();
                    parts.remove(0);
                }
                base.extend(parts);
                return Some(base);
            }
            _ => {
                base.push(parts[0].clone());
                if !self.texts.contains_key(&base) {
                    return None;
                }
            }
        }
        base.extend(parts.into_iter().skip(1));
        Some(base)
    }

    /// The module in which what a path names is defined.
    fn home(&self, path: &Module) -> Option<Module> {
        let mut path = path.clone();
        for _ in 0..8 {
            let length = (0..=path.len()).rev().find(|at| self.texts.contains_key(&path[..*at]))?;
            let (module, rest) = path.split_at(length);
            let exported = self.exports.get(module).zip(rest.first());
            match exported.and_then(|(all, name)| all.get(name)) {
                Some(target) => path = [target, &rest[1..]].concat(),
                None => return Some(module.to_vec()),
            }
        }
        None
    }

    /// What each module imports, its parents apart.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let of = |(module, text): (&Module, &String)| {
            let mut paths: Vec<String> = inline(text).map(str::to_owned).collect();
            for (visible, tree) in uses(text) {
                if !visible {
                    expand("", &tree, &mut paths);
                }
            }
            let homes = paths.iter().filter_map(|path| self.home(&self.absolute(module, path)?));
            (module.clone(), homes.filter(|home| !module.starts_with(home)).collect())
        };
        self.texts.iter().map(of).collect()
    }

    /// Imports that lead back to where they are.
    fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let leads_back = |from: &Module, to: &Module| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![to]);
            while let Some(module) = next.pop() {
                if module == from {
                    return true;
                }
                next.extend(imports[module].iter().filter(|module| seen.insert(*module)));
            }
            false
        };
        let all = imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
        all.filter(|(from, to)| leads_back(from, to))
            .map(|(from, to)| format!("{} imports {}", from.join("::"), to.join("::")))
            .collect()
    }
}

#[test]
fn modules_import_each_other_in_one_direction() {
    let files = rust_files();
    let folders: BTreeSet<&Path> = files
        .iter()
        .filter(|(path, _)| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"))
        .filter_map(|(path, _)| path.parent()?.parent())
        .collect();
    assert!(folders.len() > 20, "{folders:?}");
    let mut offenders = Vec::new();
    for folder in folders {
        let name = folder.display().to_string();
        let circles = Crate::read(folder, &files).circles();
        offenders.extend(circles.iter().map(|circle| format!("{name}: {circle}")));
    }
    check(offenders);
}

#[test]
fn a_circle_is_found_through_what_a_crate_exports() {
    #[track_caller]
    fn check(files: &[(&str, &str)], want: &[&str]) {
        let file = |(path, text): &(&str, &str)| (format!("a/src/{path}").into(), text.to_string());
        let files: Vec<_> = files.iter().map(file).collect();
        assert_eq!(Crate::read(Path::new("a"), &files).circles(), want);
    }
    let lib = ("lib.rs", "mod store;\nmod write;\npub use store::Store;\n");
    let write = ("write.rs", "use crate::Store;\nfn now() {}\n");
    check(&[lib, write, ("store.rs", "struct Store;\n")], &[]);
    check(
        &[lib, write, ("store.rs", "use crate::{\n    kind::{Kind, named}, write::now};\n")],
        &["store imports write", "write imports store"],
    );
    check(
        &[lib, write, ("store.rs", "fn at() {\n    crate::write::now()\n}\n")],
        &["store imports write", "write imports store"],
    );
    let test = "#[cfg(test)]\nmod tests {\n    use crate::write::now;\n}\n";
    check(&[lib, write, ("store.rs", test)], &[]);
    check(&[("lib.rs", ""), ("a/mod.rs", "mod b;\n"), ("a/b.rs", "use super::c;\n")], &[]);
}
