//! How many files the daemon may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is counted on where the system names no limit.
const USUAL: u64 = 1024;

/// Lets this process have as many files open as it may at most: a shell gives its children
/// fewer, and one daemon serves many pods.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot have more files open");
    }
}

/// As many files as this process may have open now.
pub(crate) fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(USUAL)
}

/// Whether an error says that this machine, not the far side, had nothing left to give: nothing is
/// known of the other side then.
pub(crate) fn is_own_shortage(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS];
    let mut next = Some(error);
    while let Some(error) = next {
        let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if own.iter().any(|own| Some(own.raw_os_error()) == code) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: rustix::io::Errno, own: bool) {
        let source = std::io::Error::from(code);
        let error = node::CommandError::Start { program: "a".to_owned(), source };
        assert_eq!(is_own_shortage(&error), own);
    }

    #[test]
    fn a_full_table_of_files_says_nothing_of_a_pod() {
        check(rustix::io::Errno::MFILE, true);
        check(rustix::io::Errno::NFILE, true);
        check(rustix::io::Errno::CONNREFUSED, false);
        check(rustix::io::Errno::NOENT, false);
    }
}
