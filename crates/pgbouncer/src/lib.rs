//! PgBouncer's files and figures: `pgbouncer.ini`, the user list, pool sizes, the settings table.
//!
//! Everything here is pure: text in, values out, and back.

mod connect;
mod ini;
mod keys;
mod name;
mod parse;
mod pools;
mod text;
mod userlist;
mod version;

pub use ini::{Database, Entry, Ini, Peer, Settings, Word, WordError};
pub use keys::{KEYS, Key, KeyError, Kind, Reload};
pub use name::{DatabaseName, NameError};
pub use parse::IniError;
pub use pools::{Demand, Overcommitted, PoolSizes, pool_sizes};
pub use userlist::Userlist;
pub use version::{Version, VersionError};
