//! A tree of files as a layer: a tar file with numeric owners, in one order.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digested {
    pub(super) digest: String,
    pub(super) size: u64,
}

/// Passes on what is written, and digests it.
struct Digesting<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the layer of a tree. No file is younger than the build.
pub(super) fn write_layer(tree: &Path, built: u64, out: impl Write) -> io::Result<Digested> {
    let writer = Digesting { inner: out, hasher: Sha256::new(), size: 0 };
    let mut layer = Layer { tree, built, out: tar::Builder::new(writer), links: HashMap::new() };
    layer.folder(Path::new(""))?;
    let mut writer = layer.out.into_inner()?;
    writer.flush()?;
    Ok(Digested { digest: hex(&writer.hasher.finalize()), size: writer.size })
}

struct Layer<'a, W: Write> {
    tree: &'a Path,
    built: u64,
    out: tar::Builder<W>,
    /// Where a file with several names was first.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Layer<'_, W> {
    /// What is in a folder, by name; `path` is inside of the tree.
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let entries = std::fs::read_dir(self.tree.join(path))?;
        let mut names =
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        names.into_iter().try_for_each(|name| self.entry(&path.join(name)))
    }

    fn entry(&mut self, path: &Path) -> io::Result<()> {
        let whole = self.tree.join(path);
        let found = std::fs::symlink_metadata(&whole)?;
        let kind = found.file_type();
        // The runtime gives a container its devices; a socket or pipe is nothing without a process.
        if kind.is_char_device() || kind.is_block_device() || kind.is_fifo() || kind.is_socket() {
            return Ok(());
        }
        let mut header = self.header(&found);
        if kind.is_dir() {
            self.attributes(&whole)?;
            header.set_entry_type(tar::EntryType::Directory);
            let mut name = path.as_os_str().to_owned();
            name.push("/");
            self.out.append_data(&mut header, Path::new(&name), io::empty())?;
            return self.folder(path);
        }
        if kind.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            return self.out.append_link(&mut header, path, std::fs::read_link(&whole)?);
        }
        if found.nlink() > 1
            && let Some(first) = self.links.get(&(found.dev(), found.ino())).cloned()
        {
            header.set_entry_type(tar::EntryType::Link);
            return self.out.append_link(&mut header, path, first);
        }
        self.links.insert((found.dev(), found.ino()), path.to_owned());
        self.attributes(&whole)?;
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(found.len());
        self.out.append_data(&mut header, path, File::open(&whole)?)
    }

    fn header(&self, found: &Metadata) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_mode(found.mode() & 0o7777);
        header.set_uid(found.uid().into());
        header.set_gid(found.gid().into());
        header.set_mtime(u64::try_from(found.mtime()).unwrap_or_default().min(self.built));
        header.set_size(0);
        header
    }

    /// The attributes that are a part of the image: what a program may do, and what its maker
    /// noted.
    fn attributes(&mut self, path: &Path) -> io::Result<()> {
        let mut found = Vec::new();
        for name in attribute_names(path)? {
            let is_part =
                name.as_bytes() == b"security.capability" || name.as_bytes().starts_with(b"user.");
            let Some(text) = name.to_str().ok().filter(|_| is_part) else { continue };
            found.push((format!("SCHILY.xattr.{text}"), attribute(path, &name)?));
        }
        found.sort();
        match found.is_empty() {
            true => Ok(()),
            false => self.out.append_pax_extensions(
                found.iter().map(|(name, value)| (name.as_str(), value.as_slice())),
            ),
        }
    }
}

/// The most bytes of an attribute, and of all names of a file's: Linux has no more.
const ATTRIBUTE_MAX: usize = 64 << 10;

fn attribute_names(path: &Path) -> io::Result<Vec<CString>> {
    let mut names = vec![0u8; ATTRIBUTE_MAX];
    match rustix::fs::llistxattr(path, names.as_mut_slice()) {
        Ok(length) => {
            let all = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
            all.map(|name| CString::new(name).map_err(io::Error::other)).collect()
        }
        // A file system without attributes has none.
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn attribute(path: &Path, name: &CString) -> io::Result<Vec<u8>> {
    let mut value = vec![0u8; ATTRIBUTE_MAX];
    let name = OsStr::from_bytes(name.as_bytes());
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
    value.truncate(length);
    Ok(value)
}
