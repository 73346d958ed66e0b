//! Kubernetes' rules for texts: names, labels, ports; each answer is what is wrong, in its words.
//! And how it writes a time.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::Kind;

const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

fn too_long(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

/// What is wrong with a label of a DNS name (RFC 1123).
pub(crate) fn dns_label(text: &str) -> Option<String> {
    if text.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    (!is_label(text)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
         and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc')"
            .to_owned()
    })
}

/// What is wrong with a DNS name (RFC 1123).
pub(crate) fn dns_subdomain(text: &str) -> Option<String> {
    if text.len() > SUBDOMAIN_MAX {
        return Some(too_long(SUBDOMAIN_MAX));
    }
    (!text.split('.').all(is_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
         or '.', and must start and end with an alphanumeric character (e.g. 'example.com')"
            .to_owned()
    })
}

/// What is wrong with a label that begins with a letter (RFC 1035).
pub(crate) fn dns_1035_label(text: &str) -> Option<String> {
    if text.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    (!begins || !is_label(text)).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with \
         an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
         'abc-123')"
            .to_owned()
    })
}

/// What is wrong with the name of an object of that kind.
pub(crate) fn object_name(kind: Kind, name: &str) -> Option<String> {
    match kind {
        Kind::Service => dns_1035_label(name),
        _ => dns_subdomain(name),
    }
}

/// What is wrong with the beginning of a name; a hyphen may be its last sign.
pub(crate) fn name_prefix(kind: Kind, prefix: &str) -> Option<String> {
    let masked = match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{rest}a"),
        _ => prefix.to_owned(),
    };
    object_name(kind, &masked)
}

fn is_label_text(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    end(text.bytes().next())
        && end(text.bytes().next_back())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What is wrong with the value of a label.
pub(crate) fn label_value(text: &str) -> Option<String> {
    if text.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    (!text.is_empty() && !is_label_text(text)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' \
         or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345')"
            .to_owned()
    })
}

/// What is wrong with a key of a label, an annotation or a finalizer: `[<DNS name>/]<name>`.
pub(crate) fn qualified_name(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        None => (None, key),
        Some((prefix, name)) => (Some(prefix), name),
    };
    if name.contains('/') {
        return Some(
            "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and \
             must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  \
             or '123-abc') with an optional DNS subdomain prefix and '/' (e.g. \
             'example.com/MyName')"
                .to_owned(),
        );
    }
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(wrong) = dns_subdomain(prefix) {
            return Some(format!("prefix part {wrong}"));
        }
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > LABEL_MAX {
        return Some(format!("name part {}", too_long(LABEL_MAX)));
    }
    (!is_label_text(name)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
         end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc')"
            .to_owned()
    })
}

/// What is wrong with the name of a port of a container.
pub(crate) fn port_name(name: &str) -> Option<String> {
    let rule = if name.len() > 15 {
        "must be no more than 15 characters"
    } else if !name.bytes().all(|byte| plain(byte) || byte == b'-') {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    } else if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        "must contain at least one letter (a-z)"
    } else if name.contains("--") {
        "must not contain consecutive hyphens"
    } else if name.starts_with('-') || name.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return None;
    };
    Some(rule.to_owned())
}

/// What is wrong with a port's number.
pub(crate) fn port_number(number: i64) -> Option<String> {
    let fits = (1..=65535).contains(&number);
    (!fits).then(|| "must be between 1 and 65535, inclusive".to_owned())
}

/// The message for an invalid address.
pub(crate) const NO_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// What is wrong with the address of an endpoint: it may not be one that means something else
/// to each machine.
pub(crate) fn endpoint_address(text: &str) -> Option<String> {
    let Ok(address) = text.parse::<IpAddr>() else { return Some(NO_ADDRESS.to_owned()) };
    // A mapped address is the address that it stands for.
    let (unicast, multicast) = match address.to_canonical() {
        IpAddr::V4(address) => {
            (address.is_link_local(), matches!(address.octets(), [224, 0, 0, _]))
        }
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            (address.is_unicast_link_local(), first & 0xff0f == 0xff02)
        }
    };
    let address = address.to_canonical();
    if address.is_unspecified() {
        Some(format!("may not be unspecified ({text})"))
    } else if address.is_loopback() {
        Some("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned())
    } else if unicast {
        Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned())
    } else if multicast {
        Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned())
    } else {
        None
    }
}

/// A time as Kubernetes writes it: UTC, whole seconds.
pub fn instant(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: impl Fn(&str) -> Option<String>, text: &str, wrong: Option<&str>) {
        let found = rule(text);
        let fits = match (&found, wrong) {
            (None, None) => true,
            (Some(found), Some(wrong)) => found.contains(wrong),
            _ => false,
        };
        assert!(fits, "{text:?}: {found:?} instead of {wrong:?}");
    }

    #[test]
    fn names_of_objects() {
        let pod = |name: &str| object_name(Kind::Pod, name);
        let service = |name: &str| object_name(Kind::Service, name);
        check(pod, "pg-0.a", None);
        check(pod, "0pg", None);
        check(pod, "Pg", Some("RFC 1123 subdomain"));
        check(pod, "a..b", Some("RFC 1123 subdomain"));
        check(pod, "../b", Some("RFC 1123 subdomain"));
        check(pod, &"a".repeat(254), Some("no more than 253"));
        check(service, "pg", None);
        check(service, "0pg", Some("DNS-1035"));
        check(service, "p.g", Some("DNS-1035"));
        check(service, "pg-", Some("DNS-1035"));
        check(service, &"a".repeat(64), Some("no more than 63"));
        let prefix = |name: &str| name_prefix(Kind::Service, name);
        check(prefix, "pg-", None);
        check(prefix, "-", Some("DNS-1035"));
        check(prefix, "Pg-", Some("DNS-1035"));
    }

    #[test]
    fn keys_and_values_of_labels() {
        check(qualified_name, "app", None);
        check(qualified_name, "app.kubernetes.io/name", None);
        check(qualified_name, "a/b/c", Some("optional DNS subdomain prefix"));
        check(qualified_name, "/b", Some("prefix part must be non-empty"));
        check(qualified_name, "A/b", Some("prefix part a lowercase"));
        check(qualified_name, "a/", Some("name part must be non-empty"));
        check(qualified_name, "-a", Some("name part must consist"));
        check(qualified_name, &"a".repeat(64), Some("name part must be no more than 63"));
        check(label_value, "", None);
        check(label_value, "My_value.1", None);
        check(label_value, "a b", Some("a valid label must be"));
        check(label_value, "a-", Some("a valid label must be"));
        check(label_value, &"a".repeat(64), Some("no more than 63"));
    }

    #[test]
    fn ports_have_names_with_a_letter() {
        check(port_name, "http-2", None);
        check(port_name, "5432", Some("at least one letter"));
        check(port_name, "a--b", Some("consecutive"));
        check(port_name, "-a", Some("begin or end"));
        check(port_name, "A", Some("only alpha-numeric"));
        check(port_name, "a-name-of-16-sig", Some("no more than 15"));
    }

    #[test]
    fn endpoints_are_somewhere_else() {
        check(endpoint_address, "10.1.0.9", None);
        check(endpoint_address, "2001:db8::1", None);
        check(endpoint_address, "", Some("valid IP address"));
        check(endpoint_address, "10.1.0.300", Some("valid IP address"));
        check(endpoint_address, "010.1.0.3", Some("valid IP address"));
        check(endpoint_address, "0.0.0.0", Some("unspecified"));
        check(endpoint_address, "127.9.0.1", Some("loopback"));
        check(endpoint_address, "::ffff:127.0.0.1", Some("loopback"));
        check(endpoint_address, "169.254.169.254", Some("link-local range"));
        check(endpoint_address, "fe80::1", Some("link-local range"));
        check(endpoint_address, "224.0.0.5", Some("multicast"));
        check(endpoint_address, "ff02::1", Some("multicast"));
    }
}
