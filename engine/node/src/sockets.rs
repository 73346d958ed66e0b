//! Sockets in folders that containers write to.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

/// A socket that was found where it should be, and is held on to: a container that puts a link in
/// its place does not lead to the sockets of this machine.
#[derive(Debug)]
pub struct SocketFile(OwnedFd);

impl SocketFile {
    /// The socket called `name` right in `folder`, which no container can replace.
    ///
    /// # Errors
    /// When there is none, or something else in its place.
    pub fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags | OFlags::DIRECTORY, Mode::empty())?;
        let name = Path::new(name).file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let file = openat(&folder, name, flags, Mode::empty())?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::Socket => Ok(Self(file)),
            _ => Err(io::Error::other("it is not a socket")),
        }
    }

    /// A path to connect to for as long as this lives, short whatever the folder's length.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_link_in_the_place_of_a_socket_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (own, others) = (folder.path().join("own"), folder.path().join("others"));
        for folder in [&own, &others] {
            std::fs::create_dir(folder).unwrap();
        }
        let _listener = UnixListener::bind(own.join("real")).unwrap();
        let _machine = UnixListener::bind(others.join("api.sock")).unwrap();
        let found = SocketFile::open(&own, "real").unwrap();
        UnixStream::connect(found.path()).unwrap();
        std::os::unix::fs::symlink(others.join("api.sock"), own.join("link")).unwrap();
        std::fs::write(own.join("file"), "").unwrap();
        for name in ["link", "file", "none", ".."] {
            SocketFile::open(&own, name).unwrap_err();
        }
    }
}
