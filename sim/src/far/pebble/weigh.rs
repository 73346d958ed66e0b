//! What Pebble has against a layer.

use pebble_client::{Check, Layer, LogTarget, Plan};

/// What Pebble has against a layer on top of this plan.
pub(super) fn weigh(layer: &Layer, plan: &Plan) -> Result<(), String> {
    let idle = layer.services.iter().find(|(_, service)| service.command.is_none());
    if let Some((name, _)) = idle {
        return Err(format!("plan must define \"command\" for service \"{name}\""));
    }
    let kinds = |check: &Check| {
        usize::from(check.http.is_some())
            + usize::from(check.tcp.is_some())
            + usize::from(check.exec.is_some())
    };
    if let Some((name, _)) = layer.checks.iter().find(|(_, check)| kinds(check) != 1) {
        let kinds = "one of \"http\", \"tcp\", or \"exec\"";
        return Err(format!("plan must specify {kinds} for check \"{name}\""));
    }
    let known = |name: &str| plan.services.contains_key(name) || layer.services.contains_key(name);
    layer.log_targets.iter().try_for_each(|(name, target)| weigh_target(name, target, &known))
}

fn weigh_target(
    name: &str,
    target: &LogTarget,
    known: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    const KINDS: [&str; 3] = ["loki", "opentelemetry", "syslog"];
    let reserved = target.labels.keys().find(|label| label.starts_with("pebble_"));
    if let Some(label) = reserved {
        return Err(format!(
            "log target \"{name}\": label \"{label}\" uses reserved prefix \"pebble_\""
        ));
    }
    let Some(kind) = target.kind.as_deref().filter(|kind| !kind.is_empty()) else {
        return Err(format!("plan must define \"type\" for log target \"{name}\""));
    };
    if !KINDS.contains(&kind) {
        return Err(format!("log target \"{name}\" has unsupported type \"{kind}\""));
    }
    let of = |service: &String| service.strip_prefix('-').unwrap_or(service).to_owned();
    let unknown = target.services.iter().map(of).find(|name| name != "all" && !known(name));
    if let Some(service) = unknown {
        return Err(format!("log target \"{name}\" specifies unknown service \"{service}\""));
    }
    match target.location.as_deref().unwrap_or_default() {
        "" => Err(format!("plan must define \"location\" for log target \"{name}\"")),
        _ => Ok(()),
    }
}
