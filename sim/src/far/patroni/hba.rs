//! Who may try to log in, by `pg_hba.conf`.

use crate::far::member::Member;

/// Who knocks, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    /// The database; none for replication.
    pub(crate) database: Option<&'a str>,
    pub(crate) encrypted: bool,
}

/// How a login from another pod has to prove who it is, by the first line that fits; none where
/// it is not let in.
pub(crate) fn method<'a>(member: &'a Member, login: Login<'_>) -> Option<&'a str> {
    let fits = |line: &&str| fit(line, login).unwrap_or(false);
    let method = member.hba().find(fits).and_then(|line| line.split_whitespace().nth(4));
    method.filter(|method| *method != "reject")
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
