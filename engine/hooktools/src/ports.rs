//! `open-port`, `close-port` and `opened-ports`.

use model::tools::{Answer, Context, Port};

use crate::input::{Input, Printed, refused, usage};
use crate::output::list;

/// `open-port [--endpoints A,B] PORT[/PROTOCOL]`: buffered.
pub(crate) fn open(context: &mut dyn Context, input: &Input) -> Printed {
    for port in named(input)? {
        context.open_port(port)?;
    }
    Ok(Vec::new())
}

/// `close-port [--endpoints A,B] PORT[/PROTOCOL]`: buffered.
pub(crate) fn close(context: &mut dyn Context, input: &Input) -> Printed {
    for port in named(input)? {
        context.close_port(port)?;
    }
    Ok(Vec::new())
}

/// The port of the argument, once for each endpoint; once for all without any.
fn named(input: &Input) -> Answer<Vec<Port>> {
    let port = port(input.one("no port or range specified")?)?;
    let endpoints = input.parsed.text("endpoints").unwrap_or_default().split(',').map(str::trim);
    let mut names: Vec<&str> = endpoints.filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        names.push("");
    }
    Ok(names.into_iter().map(|name| Port { endpoint: name.to_owned(), ..port.clone() }).collect())
}

/// `opened-ports [--endpoints]`.
pub(crate) fn opened(context: &mut dyn Context, input: &Input) -> Printed {
    input.at_most(0)?;
    let ports = context.opened_ports()?;
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
        return usage(format!("protocol must be \"tcp\", \"udp\", or \"icmp\"; got {protocol:?}"));
    }
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (number(from, spec)?, number(to, spec)?),
        None => (number(range, spec)?, number(range, spec)?),
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

fn number(digits: &str, spec: &str) -> Answer<u16> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return usage(format!(
            "expected <port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp; got {spec:?}"
        ));
    }
    match digits.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => usage(format!("port must be in the range [1, 65535]; got {digits:?}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::fake::{check, check_effect};

    #[test]
    fn ports_open_and_close() {
        check_effect(&["open-port", "5432"], &["open 5432/tcp"]);
        check_effect(
            &["open-port", "53/UDP", "--endpoints", "a,b"],
            &["open 53/udp a", "open 53/udp b"],
        );
        check_effect(&["open-port", "icmp"], &["open 0/icmp"]);
        check_effect(&["open-port", "80-80/tcp"], &["open 80/tcp"]);
        check_effect(&["close-port", "8008/tcp"], &["close 8008/tcp"]);
    }

    #[test]
    fn odd_ports_are_refused() {
        let range =
            "port ranges are not supported for k8s applications, please specify a single port";
        check(&["open-port", "80-90"], 1, "", range);
        check(&["open-port"], 2, "", "no port or range specified");
        for zero in ["0", "65536", "99999999999"] {
            let want = format!("port must be in the range [1, 65535]; got {zero:?}");
            check(&["open-port", zero], 2, "", &want);
        }
        for odd in ["x", "", "80-", "-80/tcp", "/tcp"] {
            let want = format!(
                "expected <port>[/<protocol>] or <from>-<to>[/<protocol>] or icmp; got {odd:?}"
            );
            check(&["open-port", "--", odd], 2, "", &want);
        }
        check(&["open-port", "9-8"], 2, "", "invalid port range 9-8/tcp");
        let sctp = "protocol must be \"tcp\", \"udp\", or \"icmp\"; got \"sctp\"";
        check(&["close-port", "1/sctp"], 2, "", sctp);
        let icmp = "protocol \"icmp\" doesn't support any ports; got \"1\"";
        check(&["close-port", "1/icmp"], 2, "", icmp);
    }

    #[test]
    fn open_ports_are_listed() {
        check(&["opened-ports", "--format=json"], 0, "[\"5432/tcp\",\"8008/tcp\",\"icmp\"]\n", "");
        check(&["opened-ports"], 0, "5432/tcp\n8008/tcp\nicmp\n", "");
        let endpoints = "5432/tcp (*)\n8008/tcp (a, b)\nicmp (*)\n";
        check(&["opened-ports", "--endpoints"], 0, endpoints, "");
    }
}
