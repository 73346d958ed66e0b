//! `open-port`, `close-port` and `opened-ports`.

use juju_model::ToolCall;
use juju_model::tools::{Answer, Port};

use crate::input::{Input, Printed, refused, usage};
use crate::output::list;

/// `open-port [--endpoints A,B] PORT[/PROTOCOL]`: buffered.
pub(crate) fn open_port(tools: &mut ToolCall, input: &Input) -> Printed {
    for port in named(input)? {
        tools.open_port(port)?;
    }
    Ok(Vec::new())
}

/// `close-port [--endpoints A,B] PORT[/PROTOCOL]`: buffered.
pub(crate) fn close_port(tools: &mut ToolCall, input: &Input) -> Printed {
    for port in named(input)? {
        tools.close_port(port)?;
    }
    Ok(Vec::new())
}

/// The port of the argument, once for each endpoint; once for all without any.
fn named(input: &Input) -> Answer<Vec<Port>> {
    let Some(spec) = input.parsed.rest.first() else { return usage("no port or range specified") };
    let port = port(spec)?;
    input.at_most(1)?;
    let endpoints = input.parsed.text("endpoints").unwrap_or_default().split(',').map(str::trim);
    let mut names: Vec<&str> = endpoints.filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        names.push("");
    }
    Ok(names.into_iter().map(|name| Port { endpoint: name.to_owned(), ..port.clone() }).collect())
}

/// `opened-ports [--endpoints]`.
pub(crate) fn opened_ports(tools: &mut ToolCall, input: &Input) -> Printed {
    input.at_most(0)?;
    let ports = tools.opened_ports()?;
    let same = |a: &Port, b: &Port| a.number == b.number && a.protocol == b.protocol;
    let texts = ports.chunk_by(same).map(|group| {
        let endpoints: Vec<&str> = group.iter().map(|port| port.endpoint.as_str()).collect();
        let suffix = match endpoints.as_slice() {
            _ if !input.parsed.on("endpoints") => String::new(),
            [""] => " (*)".to_owned(),
            names => format!(" ({})", names.join(", ")),
        };
        group.first().map(text).unwrap_or_default() + &suffix
    });
    input.print(&list(&texts.collect::<Vec<_>>()))
}

fn text(port: &Port) -> String {
    if port.protocol == "icmp" {
        return port.protocol.clone();
    }
    format!("{}/{}", port.number, port.protocol)
}

/// Reads `80`, `80/udp` or `icmp`.
fn port(spec: &str) -> Answer<Port> {
    let lower = spec.to_ascii_lowercase();
    if lower == "icmp" {
        return Ok(Port { number: 0, protocol: lower, endpoint: String::new() });
    }
    let (range, protocol) = lower.split_once('/').unwrap_or((&lower, "tcp"));
    if protocol == "icmp" {
        return usage(format!("protocol \"icmp\" doesn't support any ports; got {range:?}"));
    }
    if !matches!(protocol, "tcp" | "udp") {
        number(range)?;
        return usage(format!(
            "invalid protocol {protocol:?}, expected \"tcp\", \"udp\", or \"icmp\""
        ));
    }
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (number(from)?, number(to)?),
        None => (number(range)?, number(range)?),
    };
    if from > to {
        return usage(format!("invalid port range {range}/{protocol}"));
    }
    if from != to {
        return refused(
            "port ranges are not supported for k8s applications, please specify a single port",
        );
    }
    Ok(Port { number: from, protocol: protocol.to_owned(), endpoint: String::new() })
}

fn number(digits: &str) -> Answer<u16> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return usage(format!(
            "invalid port {digits:?}: strconv.Atoi: parsing {digits:?}: invalid syntax"
        ));
    }
    match digits.parse() {
        Ok(number) => Ok(number),
        Err(_) => {
            usage(format!("port range bounds must be between 0 and 65535, got {digits}-{digits}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::stage::{At, Stage, check, check_left};

    /// The open ports after a call: those from before, without those that `want` takes away.
    #[track_caller]
    fn check_changed(args: &[&str], want: &[&str]) {
        let gone: Vec<&str> = want.iter().filter_map(|line| line.strip_prefix('-')).collect();
        let kept = ["icmp (*)", "5432/tcp (*)", "8008/tcp (a, b)"];
        let kept = kept.into_iter().filter(|line| !gone.contains(line));
        let fresh = want.iter().copied().filter(|line| !line.starts_with('-'));
        let mut stage = Stage::at(At::Leader);
        stage.calls(args, None);
        let listed = stage.next().calls(&["opened-ports", "--endpoints"], None);
        let listed: BTreeSet<&str> = listed.lines().collect();
        assert_eq!(listed, kept.chain(fresh).collect(), "{args:?}");
    }

    #[test]
    fn ports_open_and_close() {
        check_changed(&["open-port", "5433"], &["5433/tcp (*)"]);
        check_changed(&["open-port", "53/UDP", "--endpoints", "a,b"], &["53/udp (a, b)"]);
        check_changed(&["open-port", "icmp"], &[]);
        check_changed(&["open-port", "80-80/tcp"], &["80/tcp (*)"]);
        check_changed(&["close-port", "8008/tcp"], &["-8008/tcp (a, b)"]);
        check_changed(&["close-port", "icmp"], &["-icmp (*)"]);
    }

    #[test]
    fn odd_ports_are_refused() {
        let range =
            "port ranges are not supported for k8s applications, please specify a single port";
        check(&["open-port", "80-90"], 1, "", range);
        check(&["open-port"], 2, "", "no port or range specified");
        let most = "port range bounds must be between 0 and 65535, got 65536-65536";
        check(&["open-port", "65536"], 2, "", most);
        check_left(
            &["open-port", "0"],
            None,
            &["opened-ports"],
            "icmp\n0/tcp\n5432/tcp\n8008/tcp\n",
        );
        for (odd, part) in [("x", "x"), ("", ""), ("80-", ""), ("-80/tcp", ""), ("TCP/80", "tcp")] {
            let want =
                format!("invalid port {part:?}: strconv.Atoi: parsing {part:?}: invalid syntax");
            check(&["open-port", "--", odd], 2, "", &want);
        }
        check(&["open-port", "9-8"], 2, "", "invalid port range 9-8/tcp");
        let sctp = "invalid protocol \"sctp\", expected \"tcp\", \"udp\", or \"icmp\"";
        check(&["close-port", "1/sctp"], 2, "", sctp);
        let icmp = "protocol \"icmp\" doesn't support any ports; got \"1\"";
        check(&["close-port", "1/icmp"], 2, "", icmp);
    }

    #[test]
    fn open_ports_are_listed() {
        check(&["opened-ports", "--format=json"], 0, "[\"icmp\",\"5432/tcp\",\"8008/tcp\"]\n", "");
        check(&["opened-ports"], 0, "icmp\n5432/tcp\n8008/tcp\n", "");
        let endpoints = "icmp (*)\n5432/tcp (*)\n8008/tcp (a, b)\n";
        check(&["opened-ports", "--endpoints"], 0, endpoints, "");
    }
}
