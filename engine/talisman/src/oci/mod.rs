//! A built image as an OCI archive: what registries, containerd and Kubernetes take.
//!
//! The archive is an OCI image layout in a tar file: one layer that is not compressed, its
//! configuration, a manifest and an index. The same build gives the same bytes.

mod layer;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use layer::{Digested, write_layer};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The search path of a process that sets none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OciError {
    /// The tree of the build cannot be read.
    #[error("cannot read the image {tree}: {source}", tree = tree.display())]
    Read { tree: PathBuf, source: io::Error },
    /// The archive cannot be written.
    #[error("cannot write the archive {file}: {source}; see whether there is room", file = file.display())]
    Write { file: PathBuf, source: io::Error },
    /// The tree is not what it was a moment ago.
    #[error("cannot write the archive of {tree}: the image changed meanwhile; try again", tree = tree.display())]
    Changed { tree: PathBuf },
}

/// An image to write, and what it is called.
pub(crate) struct Image<'a> {
    /// The root of its files.
    pub(crate) tree: &'a Path,
    /// Its name with a tag, as `localhost/db:1`.
    pub(crate) name: &'a str,
    /// When it was built, in seconds since 1970.
    pub(crate) built: u64,
    /// Debian's name of its architecture.
    pub(crate) architecture: &'a str,
}

/// Something in the archive that others name by its digest.
struct Blob {
    digest: String,
    size: u64,
}

impl Blob {
    fn of(bytes: &[u8]) -> Self {
        let digest = layer::hex(&Sha256::digest(bytes));
        Self { digest, size: bytes.len() as u64 }
    }

    fn descriptor(&self, kind: &str) -> Value {
        json!({
            "mediaType": kind,
            "digest": format!("sha256:{}", self.digest),
            "size": self.size,
        })
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }
}

/// Writes the archive; it is there as a whole or not at all.
///
/// The layer is walked twice, to know its digest before its place: so the disk needs room for
/// the archive once.
pub(crate) fn write(image: &Image<'_>, file: &Path) -> Result<(), OciError> {
    let read = |source| OciError::Read { tree: image.tree.to_owned(), source };
    let first = write_layer(image.tree, image.built, io::sink()).map_err(read)?;
    let layer = Blob { digest: first.digest, size: first.size };
    let part = file.with_extension("part");
    let result = archive(image, &layer, &part);
    let kept = result.and_then(|whole| match whole {
        true => std::fs::rename(&part, file)
            .map_err(|source| OciError::Write { file: file.to_owned(), source }),
        false => Err(OciError::Changed { tree: image.tree.to_owned() }),
    });
    if kept.is_err() {
        std::fs::remove_file(&part).ok();
    }
    kept
}

/// Writes all parts; `false` where the layer is not the same any more.
fn archive(image: &Image<'_>, layer: &Blob, part: &Path) -> Result<bool, OciError> {
    let failed = |source| OciError::Write { file: part.to_owned(), source };
    let config = bytes(&config(image, layer));
    let config_blob = Blob::of(&config);
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_blob.descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER)],
    }));
    let manifest_blob = Blob::of(&manifest);
    let index = bytes(&index(image, &manifest_blob));
    let mut out = tar::Builder::new(File::create(part).map_err(failed)?);
    let mut write = || {
        small(&mut out, &config_blob.path(), &config)?;
        small(&mut out, &manifest_blob.path(), &manifest)?;
        small(&mut out, "index.json", &index)?;
        small(&mut out, "oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}")?;
        let mut header = header(layer.size);
        header.set_path(layer.path())?;
        header.set_cksum();
        let raw = out.get_mut();
        raw.write_all(header.as_bytes())?;
        let written = write_layer(image.tree, image.built, io::BufWriter::new(&mut *raw))?;
        let padding = usize::try_from((512 - layer.size % 512) % 512).unwrap_or_default();
        raw.write_all(&vec![0; padding])?;
        Ok(written == Digested { digest: layer.digest.clone(), size: layer.size })
    };
    let same: io::Result<bool> = write();
    let same = same.map_err(failed)?;
    let done = out.into_inner().map_err(failed)?;
    done.sync_all().map_err(failed)?;
    Ok(same)
}

fn config(image: &Image<'_>, layer: &Blob) -> Value {
    let built = i64::try_from(image.built).ok();
    let created = built.and_then(|at| jiff::Timestamp::from_second(at).ok()).unwrap_or_default();
    json!({
        "created": created.to_string(),
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "User": "0:0",
            "Env": [PATH, "LANG=C.UTF-8"],
            // Juju starts Pebble in its place.
            "Entrypoint": ["/bin/sh"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
        "history": [{"created": created.to_string(), "created_by": "talisman images --oci"}],
    })
}

fn index(image: &Image<'_>, manifest: &Blob) -> Value {
    let mut one = manifest.descriptor(MANIFEST);
    one["platform"] = json!({"architecture": image.architecture, "os": "linux"});
    let tag = image.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    one["annotations"] = json!({
        // containerd takes the whole name from here, other tools the tag.
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": tag,
    });
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one]})
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The head of a file of the archive, without an owner or a time.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn small(out: &mut tar::Builder<File>, path: &str, content: &[u8]) -> io::Result<()> {
    out.append_data(&mut header(content.len() as u64), path, content)
}

#[cfg(test)]
mod tests;
