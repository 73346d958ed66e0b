//! What a session is asked, as values; they become text at the wire and nowhere before.

use std::borrow::Cow;

use super::{databases, extensions, lookup, server, users};
use crate::quote_ident;

/// A question whose answer is rows of texts.
///
/// Those whose words begin with what is to be done answer with [`super::Statement::Found`]: the server
/// puts the statements together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    /// The value of a setting in this session.
    Setting(&'static str),
    /// The settings that any role may change, with the values that they have in this session and
    /// those that PostgreSQL is made with.
    Settings,
    /// The parameters as the server runs with them.
    Parameters,
    /// What a pooler has to know of a server.
    Facts {
        /// The role that may be there.
        role: &'a str,
        /// The comment on roles that the one that asks holds.
        held: &'a str,
    },
    /// The name of the oldest segment of the log, less its timeline.
    OldestSegment,
    /// What all databases take on the disk, in bytes.
    DatabasesSize,
    /// The slots of standbys that are away, with what each keeps of the log and since when.
    IdleSlots,
    /// The transactions that clients have open: how many, and the age of the oldest in seconds.
    OpenTransactions,
    /// Drops the slots of standbys whose log the server has given up.
    LostSlots,
    /// How a role is.
    RoleState(&'a str),
    /// The roles of which a role is a direct member.
    Groups(&'a str),
    /// The roles that a member of this one is by it, where one logs in or is a superuser.
    ReachedUsers(&'a str),
    /// The roles with this comment, but for the connected user.
    HeldRoles(&'a str),
    /// The names of all roles.
    Roles,
    /// The databases in which a role has subscriptions.
    Subscribed(&'a str),
    /// The databases in which a role has anything.
    Stands(&'a str),
    /// The transactions that a role has prepared in the connected database.
    Prepared(&'a str),
    /// Ends the memberships in a role.
    Members(&'a str),
    /// Ends the memberships with which clients' users could become another user.
    UserMemberships,
    /// Hands the tables of a role to one that may do nothing else.
    HandOver(&'a str),
    /// The databases that clients can have.
    Databases,
    /// The databases that can be entered.
    AllDatabases,
    /// The database of this name.
    Database(&'a str),
    /// The databases that are no client's and that every role may connect to.
    Open,
    /// Makes a database a superuser's.
    Owned(&'a str),
    /// Takes the connected database from all but those who look passwords up in it.
    LetIn,
    /// Makes a user the owner of what superusers own in the connected database.
    TakeOwnership(&'a str),
    /// Lets a user use everything in the connected database.
    GrantOnObjects {
        /// The user.
        user: &'a str,
        /// The owners in whose schemas nothing is granted; none where it is empty.
        but_of: &'a str,
    },
    /// Puts the event triggers of clients to rest.
    EventsOfClients,
    /// Takes from a user, and from clients' users, what they have on members of extensions.
    HeldOnExtensions(&'a str),
    /// The schemas of lookups in the connected database.
    Lookups,
    /// The lookup in a schema of the connected database.
    Lookup(&'a str),
    /// What a lookup returns for a user, as a pooler queries it.
    LookUp {
        /// The schema of the lookup.
        schema: &'a str,
        /// Who is looked up.
        wanted: &'a str,
    },
    /// The extensions of the connected database.
    Extensions,
    /// The extensions that the server could make.
    AvailableExtensions,
    /// Whether an extension is there, and where it would go.
    Extension(&'a str),
    /// Something in these schemas that a client made.
    MadeByClients(&'a [String]),
}

impl<'a> Query<'a> {
    /// The question for the wire.
    pub fn sql(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Setting(name) => return format!("SHOW {name}").into(),
            Self::Settings => server::SETTINGS,
            Self::Parameters => server::PARAMETERS,
            Self::Facts { .. } => server::FACTS,
            Self::OldestSegment => server::OLDEST_SEGMENT,
            Self::DatabasesSize => server::DATABASES_SIZE,
            Self::IdleSlots => server::IDLE_SLOTS,
            Self::OpenTransactions => server::OPEN_TRANSACTIONS,
            Self::LostSlots => server::LOST_SLOTS,
            Self::RoleState(_) => users::ROLE_STATE,
            Self::Groups(_) => users::GROUPS,
            Self::ReachedUsers(_) => users::REACHED_USERS,
            Self::HeldRoles(_) => users::HELD_ROLES,
            Self::Roles => users::ROLES,
            Self::Subscribed(_) => users::SUBSCRIBED,
            Self::Stands(_) => users::STANDS,
            Self::Prepared(_) => users::PREPARED,
            Self::Members(_) => users::MEMBERS,
            Self::UserMemberships => users::USER_MEMBERSHIPS,
            Self::HandOver(_) => users::HAND_OVER,
            Self::Databases => databases::FOR_CLIENTS,
            Self::AllDatabases => databases::ENTERABLE,
            Self::Database(_) => databases::DATABASE,
            Self::Open => databases::OPEN,
            Self::Owned(_) => databases::OWNED,
            Self::LetIn => databases::LET_IN,
            Self::TakeOwnership(_) => databases::TAKE_OWNERSHIP,
            Self::GrantOnObjects { .. } => databases::GRANT_ON_OBJECTS,
            Self::EventsOfClients => databases::EVENTS_OF_CLIENTS,
            Self::HeldOnExtensions(_) => extensions::HELD_ON_EXTENSIONS,
            Self::Lookups => lookup::LOOKUPS,
            Self::Lookup(_) => lookup::LOOKUP,
            Self::LookUp { schema, .. } => {
                let function = format!("{}.{}", quote_ident(schema), lookup::LOOKUP_FUNCTION);
                return format!("SELECT username, password FROM {function}($1)").into();
            }
            Self::Extensions => extensions::THERE,
            Self::AvailableExtensions => extensions::AVAILABLE,
            Self::Extension(_) => extensions::EXTENSION,
            Self::MadeByClients(schemas) => return extensions::made_by_clients(schemas).into(),
        })
    }

    /// What stands for `$1` and so on in it.
    pub fn parameters(&self) -> Vec<&'a str> {
        match *self {
            Self::Facts { role, held } => vec![role, held],
            Self::RoleState(name)
            | Self::Groups(name)
            | Self::ReachedUsers(name)
            | Self::HeldRoles(name)
            | Self::Subscribed(name)
            | Self::Stands(name)
            | Self::Prepared(name)
            | Self::Members(name)
            | Self::HandOver(name)
            | Self::Database(name)
            | Self::Owned(name)
            | Self::TakeOwnership(name)
            | Self::HeldOnExtensions(name)
            | Self::Extension(name) => vec![name],
            Self::GrantOnObjects { user, but_of } => vec![user, but_of],
            Self::Lookups => vec![lookup::LOOKUP_FUNCTION],
            Self::Lookup(schema) => vec![schema, lookup::LOOKUP_FUNCTION],
            Self::LookUp { wanted, .. } => vec![wanted],
            Self::Setting(_)
            | Self::Settings
            | Self::Parameters
            | Self::OldestSegment
            | Self::DatabasesSize
            | Self::IdleSlots
            | Self::OpenTransactions
            | Self::LostSlots
            | Self::Roles
            | Self::UserMemberships
            | Self::Databases
            | Self::AllDatabases
            | Self::Open
            | Self::LetIn
            | Self::EventsOfClients
            | Self::Extensions
            | Self::AvailableExtensions
            | Self::MadeByClients(_) => Vec::new(),
        }
    }
}
