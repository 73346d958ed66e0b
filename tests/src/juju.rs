//! A real Juju behind the command line of the engine, so that scenarios run on it unchanged.
//!
//! An instance of the engine is a model. What only the engine has, is made of what Juju and
//! kubectl have; every other verb is Juju's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::root;

/// The variable with the registry, and the folder in it, that has the images of `images/`.
const REGISTRY: &str = "TALISMAN_REGISTRY";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Juju, with its arguments.
    Juju(Vec<String>),
    /// A loopback port that leads to a service's.
    Forward {
        /// The model, which is a namespace.
        model: String,
        /// The loopback port.
        port: String,
        /// The service.
        service: String,
        /// The service's port.
        target: String,
    },
    /// The end of a model's forwarded ports.
    EndForwards(String),
    /// The engine's own program, which packs charms.
    Engine(Vec<String>),
    /// A file that names an image for Juju.
    Image {
        /// The file.
        file: PathBuf,
        /// The image's name.
        name: String,
    },
}

/// What a command line of the engine means with Juju; `registry` has the images.
///
/// # Errors
/// When Juju has nothing like it.
pub fn steps(arguments: &[String], registry: Option<&str>) -> Result<Vec<Step>> {
    let (model, rest) = match arguments {
        [flag, model, rest @ ..] if flag == "--instance" => (Some(model.as_str()), rest),
        rest => (None, rest),
    };
    let Some((verb, words)) = rest.split_first() else { bail!("cannot do nothing") };
    let named = || model.context("cannot tell which model; say --instance");
    match verb.as_str() {
        "pack" | "images" => Ok(vec![Step::Engine(rest.to_vec())]),
        "up" => up(named()?, words),
        "down" => {
            let model = named()?;
            let destroy = ["destroy-model", model, "--no-prompt", "--destroy-storage", "--force"];
            Ok(vec![Step::EndForwards(model.to_owned()), juju(&destroy)])
        }
        "forward" => match words {
            [port, target] => Ok(vec![forward(named()?, port, target)?]),
            _ => bail!("cannot forward {words:?}; say a port and <service>:<port>"),
        },
        "deploy" => deploy(rest, registry),
        "measurements" | "page" => bail!("Juju has no {verb}"),
        _ => Ok(vec![Step::Juju(rest.to_vec())]),
    }
}

fn juju(words: &[&str]) -> Step {
    Step::Juju(words.iter().map(|&word| word.to_owned()).collect())
}

fn forward(model: &str, port: &str, target: &str) -> Result<Step> {
    let (service, target) =
        target.split_once(':').with_context(|| format!("{target} is no <service>:<port>"))?;
    let own = str::to_owned;
    Ok(Step::Forward {
        model: own(model),
        port: own(port),
        service: own(service),
        target: own(target),
    })
}

/// A model, with a bundle where one is named, and ports.
fn up(model: &str, words: &[String]) -> Result<Vec<Step>> {
    let mut all = vec![juju(&["add-model", model])];
    let mut forwards = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--forward" {
            let said = words.next().context("--forward says nothing")?;
            let (port, target) = said.split_once(':').context("--forward names no port")?;
            forwards.push(forward(model, port, target)?);
        } else {
            ensure!(!word.starts_with('-'), "Juju has no {word} for a model");
            all.push(juju(&["deploy", word, "--trust"]));
        }
    }
    all.extend(forwards);
    Ok(all)
}

/// A deployment whose image definitions are images in the registry.
fn deploy(words: &[String], registry: Option<&str>) -> Result<Vec<Step>> {
    let mut images = Vec::new();
    let mut all = Vec::new();
    for word in words {
        let (resource, path) = word.split_once('=').unwrap_or_default();
        let definition = Path::new(path);
        let ours = definition.extension().is_some_and(|end| end == "yaml")
            && definition.parent().is_some_and(|folder| folder.ends_with("images"));
        if !ours {
            all.push(word.clone());
            continue;
        }
        let name = definition.file_stem().and_then(|name| name.to_str()).context("no image")?;
        let registry = registry.with_context(|| {
            format!("cannot deploy the image {name}: say in {REGISTRY} which registry has it")
        })?;
        let file = root().join("target/juju/images").join(format!("{name}.yaml"));
        all.push(format!("{resource}={}", file.display()));
        images.push(Step::Image { file, name: format!("{registry}/{name}") });
    }
    images.push(Step::Juju(all));
    Ok(images)
}

/// The registry of the environment.
pub fn registry() -> Option<String> {
    std::env::var(REGISTRY).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[Step]) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(steps(&words, Some("registry.example/lab")).unwrap(), expected);
    }

    fn forwarded(port: &str, service: &str, target: &str) -> Step {
        forward("m", port, &format!("{service}:{target}")).unwrap()
    }

    #[test]
    fn an_instance_is_a_model() {
        check("--instance m up", &[juju(&["add-model", "m"])]);
        check(
            "--instance m up b.yaml --forward 1:s:2",
            &[
                juju(&["add-model", "m"]),
                juju(&["deploy", "b.yaml", "--trust"]),
                forwarded("1", "s", "2"),
            ],
        );
        check("--instance m forward 1 s:2", &[forwarded("1", "s", "2")]);
        let gone = ["destroy-model", "m", "--no-prompt", "--destroy-storage", "--force"];
        check(
            "--instance m down --destroy-storage",
            &[Step::EndForwards("m".to_owned()), juju(&gone)],
        );
    }

    #[test]
    fn what_juju_has_is_asked_of_juju() {
        check("--instance m config pg a=b", &[juju(&["config", "pg", "a=b"])]);
        check("status --format json", &[juju(&["status", "--format", "json"])]);
        check(
            "pack charm --out x",
            &[Step::Engine(vec![
                "pack".to_owned(),
                "charm".to_owned(),
                "--out".to_owned(),
                "x".to_owned(),
            ])],
        );
    }

    #[test]
    fn definitions_of_images_are_images_of_a_registry() {
        let file = root().join("target/juju/images/pgbouncer.yaml");
        let resource = format!("pgbouncer-image={}", file.display());
        check(
            "deploy p.charm p --resource pgbouncer-image=/x/images/pgbouncer.yaml --config a=b",
            &[
                Step::Image { file, name: "registry.example/lab/pgbouncer".to_owned() },
                juju(&["deploy", "p.charm", "p", "--resource", &resource, "--config", "a=b"]),
            ],
        );
        let words = ["deploy", "p", "--resource", "a=images/a.yaml"].map(str::to_owned);
        let error = steps(&words, None).unwrap_err();
        assert!(error.to_string().contains(REGISTRY), "{error}");
    }
}
