//! A tree as an image that containerd takes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::{program, tool};

/// Imports the tree at `tree` into the node's containerd as `talisman.local/<name>:1`, which pods
/// may then name. The tree becomes one layer with its owners.
///
/// # Errors
/// When the tree cannot be read, or containerd refuses the image.
pub fn import(folder: &Path, name: &str, tree: &Path, entry: &[&str]) -> Result<()> {
    let work = folder.join("image");
    let blobs = work.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).with_context(|| format!("cannot write {}", work.display()))?;
    let text = |path: &Path| path.display().to_string();
    let layer = work.join("layer");
    tool("tar", &["--numeric-owner", "--xattrs", "-C", &text(tree), "-cf", &text(&layer), "."])?;
    let layer = blob(&blobs, &layer)?;
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": { "Entrypoint": entry, "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = document(&work, &blobs, &config)?;
    let kind = |part: &str| format!("application/vnd.oci.image.{part}");
    let of = |mut blob: serde_json::Value, part: &str| {
        blob["mediaType"] = json!(kind(part));
        blob
    };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind("manifest.v1+json"),
        "config": of(config, "config.v1+json"), "layers": [of(layer, "layer.v1.tar")],
    });
    let mut manifest = of(document(&work, &blobs, &manifest)?, "manifest.v1+json");
    let full = format!("talisman.local/{name}:1");
    manifest["annotations"] = json!({ "io.containerd.image.name": full });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    std::fs::write(work.join("index.json"), index.to_string())?;
    std::fs::write(work.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    let archive = folder.join("image.tar");
    let parts = ["-cf", &text(&archive), "oci-layout", "index.json", "blobs"];
    tool("tar", &[&["-C", &text(&work)][..], &parts].concat())?;
    containerd(folder, &["images", "import", &text(&archive)])?;
    std::fs::remove_dir_all(&work)?;
    Ok(std::fs::remove_file(&archive)?)
}

/// Runs containerd's client in the namespace that pods' images are in.
pub(super) fn containerd(folder: &Path, arguments: &[&str]) -> Result<String> {
    let socket = folder.join("containerd.sock").display().to_string();
    let client = program::path("ctr").display().to_string();
    tool(&client, &[&["--address", &socket, "--namespace", "k8s.io"][..], arguments].concat())
}

/// Moves a file to its place among the blobs; gives its size and digest.
fn blob(blobs: &Path, file: &Path) -> Result<serde_json::Value> {
    let sum = tool("sha256sum", &[&file.display().to_string()])?;
    let digest = sum.split(' ').next().context("no digest")?;
    let size = file.metadata()?.len();
    std::fs::rename(file, blobs.join(digest))?;
    Ok(json!({ "digest": format!("sha256:{digest}"), "size": size }))
}

fn document(work: &Path, blobs: &Path, document: &serde_json::Value) -> Result<serde_json::Value> {
    let file = work.join("document");
    std::fs::write(&file, document.to_string())?;
    blob(blobs, &file)
}

/// This machine's kind, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
