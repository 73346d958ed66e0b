//! `host:port` pairs and comma lists of them.

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port, 5432 where the text names none.
    pub port: u16,
}

/// One or more addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not <host>:<port>")]
pub struct EndpointError(pub String);

impl Endpoints {
    /// The first address.
    pub fn first(&self) -> &Endpoint {
        &self.0[0]
    }

    /// All addresses, in the order given.
    pub fn all(&self) -> &[Endpoint] {
        &self.0
    }
}

impl From<Endpoint> for Endpoints {
    fn from(endpoint: Endpoint) -> Self {
        Self(vec![endpoint])
    }
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || EndpointError(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(bad)?;
                match after {
                    "" => (host, None),
                    _ => (host, Some(after.strip_prefix(':').ok_or_else(bad)?)),
                }
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => (text, None),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(bad());
        }
        let port = match port {
            None => 5432,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl std::str::FromStr for Endpoints {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl std::fmt::Display for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Endpoint::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, u16)>) {
        let expected = expected.map(|(host, port)| Endpoint { host: host.to_owned(), port });
        assert_eq!(text.parse().ok(), expected, "{text:?}");
    }

    #[test]
    fn addresses_are_read() {
        check(
            "pg-primary.m.svc.cluster.local:5432",
            Some(("pg-primary.m.svc.cluster.local", 5432)),
        );
        check("pg", Some(("pg", 5432)));
        check("10.0.0.1:6432", Some(("10.0.0.1", 6432)));
        check("[fd00::1]:5433", Some(("fd00::1", 5433)));
        check("[fd00::1]", Some(("fd00::1", 5432)));
        check("fd00::1", Some(("fd00::1", 5432)));
        for bad in ["", ":5432", "a:0", "a:-1", "a:65536", "a:b", "a b:1", "[a", "[a]b", "a\n"] {
            check(bad, None);
        }
    }

    #[test]
    fn lists_are_read() {
        let list: Endpoints = "a:1, b:2".parse().unwrap();
        assert_eq!(list.to_string(), "a:1,b:2");
        assert_eq!(list.first().host, "a");
        assert!("".parse::<Endpoints>().is_err());
        assert!("a:1,".parse::<Endpoints>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC*") {
            if let Ok(list) = text.parse::<Endpoints>() {
                prop_assert_eq!(list.to_string().parse(), Ok(list));
            }
        }
    }
}
