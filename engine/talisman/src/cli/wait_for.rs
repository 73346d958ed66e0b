//! `wait-for`: until a unit or an application is as a query says.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::invocation::Invocation;
use super::output::tell;
use super::values::duration;
use crate::api::Read;

/// Waits until a unit or an application is as a query says.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  talisman wait-for unit hello/0 --query 'workload-status==\"active\"' --timeout 5m")]
pub(crate) struct WaitFor {
    /// `unit` or `application`
    #[arg(value_parser = ["unit", "application"])]
    kind: String,
    /// The name of the unit or application.
    name: String,
    /// Terms `<key>=="<value>"` or `<key>!="<value>"`, joined by `&&`.
    #[arg(long)]
    query: Option<String>,
    /// How long to wait.
    #[arg(long, value_parser = duration, default_value = "10m")]
    timeout: Duration,
    /// Accepted for Juju's sake: nothing is printed but the result.
    #[arg(long)]
    summary: bool,
}

impl WaitFor {
    pub(super) async fn run(self, at: &Invocation) -> Result<()> {
        let (client, args) = (at.client()?, self);
        let is_unit = args.kind == "unit";
        let usual = if is_unit {
            "life==\"alive\" && workload-status==\"active\""
        } else {
            "life==\"alive\" && status==\"active\""
        };
        let query = args.query.as_deref().unwrap_or(usual);
        let terms = parse(query).with_context(|| {
            format!("cannot read the query {query:?}: write <key>==\"<value>\", joined by &&")
        })?;
        let deadline = Instant::now() + args.timeout;
        loop {
            let status = client.ask(Read::Status).await?;
            let facts = if is_unit { unit(&status, &args.name) } else { app(&status, &args.name) };
            if let Some(facts) = &facts {
                if let Some(term) = terms.iter().find(|term| facts.get(&term.key).is_none()) {
                    let known: Vec<_> =
                        facts.as_object().into_iter().flatten().map(|(k, _)| k).collect();
                    bail!("cannot wait for {:?}: {} has {known:?}", term.key, args.kind);
                }
                if holds(&terms, facts) {
                    tell(&format!("{} {:?} is ready", args.kind, args.name));
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                bail!(
                    "timed out waiting for {:?} to reach {query:?}; it is {}",
                    args.name,
                    facts.map_or("not there".to_owned(), |facts| facts.to_string())
                );
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

/// One term of a query.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    key: String,
    value: String,
    equal: bool,
}

fn unit(status: &Value, name: &str) -> Option<Value> {
    let (app, _) = name.split_once('/')?;
    let unit = status["applications"][app]["units"].get(name)?;
    Some(json!({
        "name": name,
        "life": "alive",
        "workload-status": unit["workload-status"]["current"],
        "workload-message": unit["workload-status"]["message"].as_str().unwrap_or_default(),
        "agent-status": unit["juju-status"]["current"],
        "leader": (unit["leader"] == true).to_string(),
    }))
}

fn app(status: &Value, name: &str) -> Option<Value> {
    let app = status["applications"].get(name)?;
    Some(json!({
        "name": name,
        "life": app["life"],
        "status": app["application-status"]["current"],
        "status-message": app["application-status"]["message"].as_str().unwrap_or_default(),
        "scale": app["scale"].as_u64().unwrap_or(0).to_string(),
    }))
}

fn holds(terms: &[Term], facts: &Value) -> bool {
    terms.iter().all(|term| (facts[&term.key] == term.value.as_str()) == term.equal)
}

fn parse(query: &str) -> Option<Vec<Term>> {
    query.split("&&").map(term).collect()
}

fn term(text: &str) -> Option<Term> {
    let (key, value, equal) = match (text.split_once("=="), text.split_once("!=")) {
        (Some((key, value)), None) => (key, value, true),
        (None, Some((key, value))) => (key, value, false),
        _ => return None,
    };
    let value = value.trim();
    let bare = [('"', '"'), ('\'', '\'')]
        .iter()
        .find_map(|(start, end)| value.strip_prefix(*start)?.strip_suffix(*end))
        .unwrap_or(value);
    let key = key.trim().to_owned();
    (!key.is_empty()).then(|| Term { key, value: bare.to_owned(), equal })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, want: Option<bool>) {
        let facts = json!({"life": "alive", "status": "active"});
        assert_eq!(parse(query).map(|terms| holds(&terms, &facts)), want, "{query}");
    }

    #[test]
    fn words_that_are_not_there_are_empty() {
        let unit =
            json!({"workload-status": {"current": "active"}, "juju-status": {"current": "idle"}});
        let status = json!({"applications": {"a": {"life": "alive", "scale": 1,
            "application-status": {"current": "active"}, "units": {"a/0": unit}}}});
        let held = |facts: Option<Value>, query: &str| {
            parse(query).is_some_and(|terms| holds(&terms, &facts.unwrap()))
        };
        assert!(held(
            super::unit(&status, "a/0"),
            "workload-message==\"\" && workload-status==\"active\""
        ));
        assert!(held(super::app(&status, "a"), "status-message==\"\" && status==\"active\""));
    }

    #[test]
    fn a_query_is_terms_that_all_hold() {
        check("life==\"alive\" && status==\"active\"", Some(true));
        check("status=='blocked'", Some(false));
        check("status!=\"blocked\"", Some(true));
        check("forEach(units, unit => unit.life)", None);
        check("", None);
    }
}
