//! A `.charm` archive unpacked: each member is checked before it is written.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::tree::{self, Budget, FILES_MAX, Fault};
use super::{CharmFileError, content};
use crate::files;

/// The largest archive.
const ARCHIVE_MAX: u64 = tree::BYTES_MAX;
/// The longest target of a symbolic link.
const LINK_MAX: u64 = 4096;

/// Opens an archive whose size and number of members are within bounds.
pub(super) fn open(path: &Path) -> Result<zip::ZipArchive<fs::File>, CharmFileError> {
    let read = |source| CharmFileError::Read { path: path.to_owned(), source };
    let mut file = files::open(path, false).map_err(read)?;
    if file.metadata().map_err(read)?.len() > ARCHIVE_MAX {
        return Err(content(path)(Fault::TooLarge));
    }
    // The index would be read whole before it could be counted.
    if members(&mut file).map_err(read)?.is_some_and(|members| members > FILES_MAX) {
        return Err(content(path)(Fault::TooMany));
    }
    zip::ZipArchive::new(file)
        .map_err(|source| CharmFileError::Archive { path: path.to_owned(), source })
}

/// How many members an archive says that it has, `None` where it does not say; an archive in
/// the form for more than 65,534 counts as one with too many.
fn members(file: &mut fs::File) -> io::Result<Option<u64>> {
    const END: usize = 22;
    const COMMENT_MAX: usize = 65_535;
    let length = file.metadata()?.len();
    let tail = length.min((END + COMMENT_MAX + 20) as u64);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let end = bytes.windows(END).rposition(|part| part.starts_with(b"PK\x05\x06"));
    let Some(end) = end else { return Ok(None) };
    let large = end.checked_sub(20).and_then(|at| bytes.get(at..at + 4));
    if large == Some(b"PK\x06\x07") {
        return Ok(Some(u64::MAX));
    }
    let count = bytes.get(end + 10..end + 12).and_then(|two| two.try_into().ok());
    Ok(count.map(|two| u64::from(u16::from_le_bytes(two))))
}

/// Unpacks an archive to a folder that does not exist yet. A member that comes twice is as it
/// came last, as with Juju.
pub(super) fn unpack(from: &Path, to: &Path) -> Result<(), CharmFileError> {
    let mut archive = open(from)?;
    let mut budget = Budget::of_a_charm();
    let announced = archive.decompressed_size().unwrap_or(0);
    let announced = u64::try_from(announced).unwrap_or(u64::MAX);
    budget.announced(announced).map_err(content(from))?;
    fs::create_dir_all(to).map_err(write(to))?;
    for index in 0..archive.len() {
        let mut member = archive
            .by_index(index)
            .map_err(|source| CharmFileError::Archive { path: from.to_owned(), source })?;
        let called = member.name().unwrap_or_default().into_owned();
        let name = member.enclosed_name().ok_or_else(|| CharmFileError::Escapes {
            path: from.to_owned(),
            member: called.clone(),
        })?;
        if name.as_os_str().is_empty() {
            continue;
        }
        if through_link(to, &name) {
            let path = from.to_owned();
            return Err(CharmFileError::ThroughLink { path, member: called });
        }
        budget.one_more(&name).map_err(content(from))?;
        member_to(&mut member, &name, to, &mut budget).map_err(content(from))?;
    }
    Ok(())
}

fn write(path: &Path) -> impl Fn(io::Error) -> CharmFileError {
    move |source| CharmFileError::Write { path: path.to_owned(), source }
}

/// Whether a part of `name` below `folder` is a symbolic link already.
fn through_link(folder: &Path, name: &Path) -> bool {
    let mut at = folder.to_owned();
    name.components().any(|part| {
        at.push(part);
        at.is_symlink()
    })
}

/// What a member is, by its mode, that no charm can hold.
fn oddity(mode: u32) -> Option<&'static str> {
    match mode & 0o170_000 {
        0 | 0o040_000 | 0o100_000 | 0o120_000 => None,
        0o010_000 => Some("a named pipe"),
        0o140_000 => Some("a socket"),
        0o020_000 | 0o060_000 => Some("a device"),
        _ => Some("of an unknown type"),
    }
}

fn member_to<R: Read>(
    member: &mut zip::read::ZipFile<'_, R>,
    name: &Path,
    folder: &Path,
    budget: &mut Budget,
) -> Result<(), Fault> {
    let fail = |source| Fault::File { member: name.to_owned(), source };
    let mode = member.unix_mode().unwrap_or(0o644);
    if let Some(oddity) = oddity(mode) {
        return Err(Fault::Odd { member: name.to_owned(), oddity });
    }
    let target = folder.join(name);
    if member.is_dir() {
        return fs::create_dir_all(&target).map_err(fail);
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    match target.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(&target).map_err(fail)?,
        Ok(_) => fs::remove_file(&target).map_err(fail)?,
        Err(_) => {}
    }
    if member.is_symlink() {
        let mut link = String::new();
        member.take(LINK_MAX).read_to_string(&mut link).map_err(fail)?;
        let link = PathBuf::from(link);
        tree::check_link(name, &link)?;
        return std::os::unix::fs::symlink(link, &target).map_err(fail);
    }
    budget.write(member, &target, mode, name)
}
