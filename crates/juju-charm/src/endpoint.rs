//! A charm's endpoints as an enum.

/// What [`endpoints!`](crate::endpoints!) makes.
pub trait EndpointSet: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The endpoint of this name.
    fn from_name(name: &str) -> Option<Self>;
}

/// Makes an enum of a charm's endpoints, by their names in `metadata.yaml`. Wherever the
/// framework takes an endpoint's name it takes one of these.
///
/// With `of "../metadata.yaml"` behind the enum's name, by the path from the source file, there
/// is a test with it: each endpoint stands in that file.
///
/// ```
/// use juju_charm::EndpointSet as _;
///
/// juju_charm::endpoints! {
///     /// The endpoints of this charm.
///     pub enum Endpoint {
///         /// The applications that it serves.
///         Database = "database",
///         /// The other units.
///         Peers = "database-peers",
///     }
/// }
///
/// assert_eq!(Endpoint::Peers.to_string(), "database-peers");
/// assert_eq!(Endpoint::from_name("database"), Some(Endpoint::Database));
/// assert_eq!(Endpoint::from_name("nonsense"), None);
/// ```
#[macro_export]
macro_rules! endpoints {
    ($(#[$meta:meta])* $vis:vis enum $name:ident of $metadata:literal $variants:tt) => {
        $crate::endpoints! { $(#[$meta])* $vis enum $name $variants }

        #[cfg(test)]
        #[test]
        fn the_metadata_declares_every_endpoint() {
            let declared: Vec<&str> = include_str!($metadata).lines().map(str::trim).collect();
            for endpoint in <$name as $crate::EndpointSet>::ALL {
                assert!(declared.contains(&format!("{endpoint}:").as_str()), "{endpoint}");
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $vis enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Its name in `metadata.yaml`.
            $vis const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl $crate::EndpointSet for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
