//! What a client says of a list or a watch.

use std::time::Duration;

use crate::ApiError;
use crate::cause::Cause;
use crate::request::Query;

/// From where a list or a watch is wanted, and what comes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListOptions {
    /// The version asked for; none, and 0, mean any.
    pub(crate) version: Option<u64>,
    /// Whether it must be just that version.
    pub(crate) exact: bool,
    /// How long a watch lasts.
    pub(crate) timeout: Option<Duration>,
    /// Whether a watch says now and then how far it is.
    pub(crate) bookmarks: bool,
    /// Whether a watch begins with what there is, or does not; nothing: as the version says.
    pub(crate) initial: Option<bool>,
}

const NOT_OLDER: &str = "NotOlderThan";
const EXACT: &str = "Exact";

/// Reads the options of a list, or of a watch.
pub(crate) fn parse(query: &Query, watches: bool) -> Result<ListOptions, ApiError> {
    let number = |name: &str| Ok(query.number(name)?.filter(|number| *number > 0));
    let wanted = query.get("resourceVersionMatch");
    let initial = query.get("sendInitialEvents").map(|_| query.is_true("sendInitialEvents"));
    let causes = if watches {
        of_watch(wanted, initial.is_some())
    } else {
        of_list(wanted, query.get("resourceVersion"), initial.is_some())
    };
    if !causes.is_empty() {
        return Err(ApiError::Options { name: "ListOptions", causes });
    }
    Ok(ListOptions {
        version: number("resourceVersion")?,
        exact: wanted == Some(EXACT),
        timeout: number("timeoutSeconds")?.map(Duration::from_secs),
        bookmarks: query.is_true("allowWatchBookmarks"),
        initial,
    })
}

fn of_watch(wanted: Option<&str>, initial: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    if initial && wanted != Some(NOT_OLDER) {
        let rule = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        causes.push(Cause::forbidden(field, rule));
    }
    let Some(wanted) = wanted else { return causes };
    if !initial {
        let rule =
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(Cause::forbidden(field, rule));
    }
    if wanted != NOT_OLDER {
        causes.push(Cause::unsupported(field, wanted, &[NOT_OLDER]));
    }
    causes
}

fn of_list(wanted: Option<&str>, version: Option<&str>, initial: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = "resourceVersionMatch";
    if let Some(wanted) = wanted {
        if version.is_none() {
            let rule = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(Cause::forbidden(field, rule));
        }
        if ![EXACT, NOT_OLDER].contains(&wanted) {
            causes.push(Cause::unsupported(field, wanted, &[EXACT, NOT_OLDER, ""]));
        }
        if wanted == EXACT && version == Some("0") {
            let rule = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(field, rule));
        }
    }
    if initial {
        causes
            .push(Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, watches: bool, expected: Result<ListOptions, u16>) {
        let found = parse(&Query::parse(query), watches).map_err(|error| error.code());
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn options_that_do_not_go_together_are_refused() {
        let any = ListOptions::default();
        check("", false, Ok(any.clone()));
        check("resourceVersion=0", true, Ok(any.clone()));
        let exact = ListOptions { version: Some(7), exact: true, ..any.clone() };
        check("resourceVersion=7&resourceVersionMatch=Exact", false, Ok(exact));
        let streamed = ListOptions { bookmarks: true, initial: Some(true), ..any };
        let query = "sendInitialEvents=true&allowWatchBookmarks=true";
        check(&format!("{query}&resourceVersionMatch=NotOlderThan"), true, Ok(streamed));
        check(query, true, Err(422));
        check(query, false, Err(422));
        check("resourceVersionMatch=Exact", false, Err(422));
        check("resourceVersion=0&resourceVersionMatch=Exact", false, Err(422));
        check("resourceVersion=1&resourceVersionMatch=Near", false, Err(422));
        check("resourceVersionMatch=NotOlderThan", true, Err(422));
        check("resourceVersion=x", false, Err(400));
    }
}
