//! Who may try to log in, by `pg_hba.conf`.

use super::Member;

/// Who knocks, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    /// The database; none for replication.
    pub(crate) database: Option<&'a str>,
    pub(crate) encrypted: bool,
}

/// Whether the first line that fits lets a login from another pod prove who it is.
pub(crate) fn admits(member: &Member, login: Login<'_>) -> bool {
    let fits = |line: &&str| fit(line, login).unwrap_or(false);
    let method = member.hba().find(fits).and_then(|line| line.split_whitespace().nth(4));
    method.is_some_and(|method| method != "reject")
}

fn fit(line: &str, login: Login<'_>) -> Option<bool> {
    let mut words = line.split_whitespace();
    let (kind, databases, users, network) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = match kind {
        "host" => true,
        "hostssl" => login.encrypted,
        "hostnossl" => !login.encrypted,
        _ => false,
    };
    let database = databases.split(',').any(|name| match login.database {
        None => name == "replication",
        Some(database) => name == "all" || name == database,
    });
    let user = users.split(',').any(|name| match name.strip_prefix("/^") {
        Some(begin) => login.user.starts_with(begin),
        None => name == "all" || name == login.user,
    });
    Some(kind && database && user && network == "0.0.0.0/0")
}
