//! Files that others name: read with a bound, and never waited for.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The most bytes of a text that a person wrote: metadata, a bundle, options, an image definition.
pub(crate) const TEXT_MAX: u64 = 4 << 20;

/// The most bytes of a charm's program.
const PROGRAM_MAX: u64 = 512 << 20;

/// What a file is that cannot be copied, in words; `None` for files, folders and links.
pub(crate) fn oddity(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() || kind.is_dir() || kind.is_symlink() => None,
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        kind if kind.is_block_device() || kind.is_char_device() => Some("a device"),
        _ => Some("of an unknown type"),
    }
}

fn refused(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}

fn regular(kind: FileType) -> io::Result<()> {
    match oddity(kind) {
        Some(oddity) => Err(refused(format!("it is {oddity}"))),
        None if kind.is_dir() => Err(refused("it is a folder".to_owned())),
        None => Ok(()),
    }
}

/// Opens a file that must be a plain one; a link that leads to one will do unless `itself` is
/// asked for. A named pipe or a device is not even opened.
pub(crate) fn open(path: &Path, itself: bool) -> io::Result<File> {
    let found = if itself { path.symlink_metadata()? } else { path.metadata()? };
    regular(found.file_type())?;
    // What takes its place meanwhile blocks no thread either.
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, itself);
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// The text of a plain file of at most [`TEXT_MAX`] bytes.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    text(open(path, false)?)
}

/// A charm's program: a plain file of at most [`PROGRAM_MAX`] bytes.
pub(crate) fn read_program(path: &Path) -> io::Result<Vec<u8>> {
    let mut program = Vec::new();
    let read = open(path, false)?.take(PROGRAM_MAX + 1).read_to_end(&mut program)?;
    if read as u64 > PROGRAM_MAX {
        return Err(refused(format!("it has more than {PROGRAM_MAX} bytes")));
    }
    Ok(program)
}

/// The text of whatever a person names on the command line, a pipe included: the same bound.
pub(crate) fn read_given(path: &Path) -> io::Result<String> {
    text(File::open(path)?)
}

/// Reads a text to its end, or says that it is too long.
pub(crate) fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let read = from.take(TEXT_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > TEXT_MAX {
        return Err(refused(format!("it has more than {TEXT_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &Path, want: &str) {
        let said = read_text(path).unwrap_err().to_string();
        assert_eq!(said, want, "{}", path.display());
    }

    #[test]
    fn only_plain_files_are_read_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        check(&at("pipe"), "it is a named pipe");
        check(&at("socket"), "it is a socket");
        check(Path::new("/dev/zero"), "it is a device");
        check(folder.path(), "it is a folder");
        std::os::unix::fs::symlink("pipe", at("link")).unwrap();
        check(&at("link"), "it is a named pipe");
        std::fs::write(at("file"), "text").unwrap();
        assert_eq!(read_text(&at("file")).unwrap(), "text");
        std::os::unix::fs::symlink("file", at("good")).unwrap();
        assert_eq!(read_text(&at("good")).unwrap(), "text");
        assert!(open(&at("good"), true).is_err());
    }

    #[test]
    fn a_text_has_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        File::create(&path).unwrap().set_len(TEXT_MAX + 1).unwrap();
        check(&path, "it has more than 4194304 bytes");
        assert!(read_given(Path::new("/dev/zero")).is_err());
    }
}
