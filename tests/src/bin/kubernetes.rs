//! A real Kubernetes on this machine, in namespaces of its own.
//!
//! ```text
//! kubernetes control-plane <command>…  runs a command beside the API and the controllers
//! kubernetes node <command>…           runs a command on a whole node
//! kubernetes up | down                 a node that stays, and its end
//! kubernetes enter <command>…          runs a command on that node, for instance kubectl
//! ```
//!
//! A command finds the API by the variables of the contract suite (`KUBE_CONTRACT_HOST` …) and
//! `KUBECONFIG`. It and all that was started for it end with this program.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use end_to_end::real::{ControlPlane, Extent, Node, apart, down, enter, folder, run, up};

/// The word by which this program knows that it is the first process of its namespaces.
const INSIDE: &str = "--inside";

fn main() -> ExitCode {
    let code = act().unwrap_or_else(|error| {
        // A reader that has closed it wants no more.
        writeln!(std::io::stderr(), "kubernetes: {error:#}").ok();
        1
    });
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn act() -> Result<i32> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        ["up"] => up().map(|()| 0),
        ["down"] => down().map(|()| 0),
        ["enter", _, ..] => Err(enter(&arguments[1..])),
        [INSIDE, what, _, ..] => beside(extent(what)?, &arguments[2..]),
        [what, _, ..] => {
            let inside = [OsStr::new(INSIDE)].into_iter().map(OsStr::to_owned);
            apart(extent(what)?, &inside.chain(arguments.iter().cloned()).collect::<Vec<_>>())
        }
        _ => bail!("cannot tell what to do; say control-plane, node, up, down or enter"),
    }
}

fn extent(word: &str) -> Result<Extent> {
    match word {
        "control-plane" => Ok(Extent::ControlPlane),
        "node" => Ok(Extent::Node),
        other => bail!("cannot start {other}; say control-plane or node, and a command"),
    }
}

/// Runs the command beside what it needs.
#[tokio::main]
async fn beside(extent: Extent, command: &[OsString]) -> Result<i32> {
    let mut control_plane = ControlPlane::start(folder()).await?;
    let access = control_plane.access().await?;
    let _node = match extent {
        Extent::ControlPlane => None,
        Extent::Node => Some(Node::start(folder(), &mut control_plane).await?),
    };
    run(command, &access)
}
