//! The archive is written and read back.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

/// A capability as the kernel keeps it: `cap_net_raw=ep`, version 2.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A tree with what is easily lost.
fn tree(root: &Path) {
    let file = |path: &str, mode: u32| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file("bin/su", 0o4755);
    file("bin/ping", 0o755);
    file("var/lib/db/data", 0o600);
    chown(root.join("var/lib/db"), Some(105), Some(107)).unwrap();
    std::fs::set_permissions(root.join("var/lib/db"), std::fs::Permissions::from_mode(0o2750))
        .unwrap();
    let capability = root.join("bin/ping");
    rustix::fs::lsetxattr(
        &capability,
        "security.capability",
        &NET_RAW,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    std::fs::hard_link(root.join("bin/ping"), root.join("bin/ping6")).unwrap();
    symlink("../bin/su", root.join("var/link")).unwrap();
    file(&format!("usr/{}/{}", "long".repeat(20), "name".repeat(20)), 0o644);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("var/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
}

/// The files of an archive by name.
fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        found.insert(name, content);
    }
    found
}

fn written(root: &Path, file: &Path) -> Vec<u8> {
    let (name, built) = ("localhost/db:1", 1_790_000_000);
    write(&Image { tree: root, name, built, architecture: "amd64" }, file).unwrap();
    std::fs::read(file).unwrap()
}

/// What a descriptor names, if its digest and size are right.
fn named(members: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let content = members[&format!("blobs/sha256/{digest}")].clone();
    assert_eq!(Blob::of(&content).digest, digest);
    assert_eq!(descriptor["size"], content.len());
    content
}

#[test]
fn an_archive_is_read_back_with_owners_modes_links_and_attributes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    tree(&root);
    let archive = written(&root, &folder.path().join("db.tar"));
    let members = members(&archive);
    assert_eq!(members["oci-layout"], b"{\"imageLayoutVersion\":\"1.0.0\"}");
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let index = json(&members["index.json"]);
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/db:1");
    let manifest = json(&named(&members, &index["manifests"][0]));
    let config = json(&named(&members, &manifest["config"]));
    let layer = named(&members, &manifest["layers"][0]);
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    assert_eq!((&config["os"], &config["architecture"]), (&json!("linux"), &json!("amd64")));
    assert_eq!(config["created"], "2026-09-21T14:13:20Z");
    let mut found = Vec::new();
    for entry in tar::Archive::new(layer.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let capable = entry.pax_extensions().unwrap().is_some_and(|mut all| {
            all.any(|one| {
                let one = one.unwrap();
                one.key().unwrap() == "SCHILY.xattr.security.capability"
                    && one.value_bytes() == NET_RAW
            })
        });
        let header = entry.header();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let name = entry.path().unwrap().display().to_string();
        if name.starts_with("usr") {
            continue;
        }
        let mode = header.mode().unwrap();
        found.push(format!(
            "{name} {mode:o} {uid}:{gid} {}{}",
            link.unwrap_or_default(),
            if capable { "+cap" } else { "" }
        ));
    }
    assert_eq!(
        found,
        [
            "bin/ 755 0:0 ",
            "bin/ping 755 0:0 +cap",
            "bin/ping6 755 0:0 bin/ping",
            "bin/su 4755 0:0 ",
            "var/ 755 0:0 ",
            "var/lib/ 755 0:0 ",
            "var/lib/db/ 2750 105:107 ",
            "var/lib/db/data 600 0:0 ",
            "var/link 777 0:0 ../bin/su",
        ]
    );
    let long = format!("usr/{}/{}", "long".repeat(20), "name".repeat(20));
    assert_eq!(self::members(&layer)[&long], "name".repeat(20).as_bytes());
}

#[test]
fn the_same_build_gives_the_same_bytes_and_a_failure_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    tree(&root);
    let first = written(&root, &folder.path().join("a.tar"));
    assert!(first == written(&root, &folder.path().join("b.tar")));
    let image = |tree| Image { tree, name: "x:1", built: 0, architecture: "amd64" };
    let nowhere = folder.path().join("none/c.tar");
    let words = write(&image(&root), &nowhere).unwrap_err().to_string();
    assert!(words.starts_with("cannot write the archive"), "{words}");
    let words = write(&image(&folder.path().join("gone")), &folder.path().join("c.tar"));
    assert!(words.unwrap_err().to_string().starts_with("cannot read the image"));
    assert!(!folder.path().join("c.tar").exists() && !folder.path().join("c.part").exists());
}
