//! Bad input on the real engine: a clear message, and nothing is lost.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::Result;
use end_to_end::{Talisman, root};

#[track_caller]
fn check(engine: &Talisman, args: &[&str], words: &[&str]) {
    let said = engine.refusal(args).unwrap();
    for word in words {
        assert!(said.contains(word), "{args:?} said: {said}");
    }
}

fn hello() -> String {
    root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string()
}

#[test]
fn nothing_runs_yet() -> Result<()> {
    let engine = Talisman::new("e2enone");
    check(&engine, &["status"], &["not running", "talisman up"]);
    check(&engine, &["frobnicate"], &["unrecognized subcommand", "frobnicate"]);
    Ok(())
}

/// A user other than root gets an error with what to do, and nothing is made.
#[test]
fn another_user_is_told_to_be_root() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let program = folder.path().join("talisman");
    std::fs::copy(end_to_end::program(), &program)?;
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--instance", "e2euser", "up"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("as this user: run it as root"), "{said}");
    assert!(!std::path::Path::new("/run/talisman/e2euser").exists());
    Ok(())
}

#[test]
fn what_is_wrong_is_named_and_nothing_changes() -> Result<()> {
    let engine = Talisman::new("e2ebad");
    engine.call(&["up"])?;
    let charm = hello();
    engine.call(&["deploy", &charm])?;
    let before = engine.wait_active(60)?;

    check(&engine, &["deploy", "./no-such.charm"], &["cannot read the charm", "no-such.charm"]);
    check(&engine, &["deploy", &charm], &["hello", "exists", "another name"]);
    check(&engine, &["deploy", &charm, "other", "--resource", "x=/etc/hostname"], &["cannot"]);
    check(&engine, &["integrate", "hello", "nobody"], &["cannot integrate", "nobody"]);
    check(&engine, &["integrate", "hello:nothing", "hello"], &["cannot integrate", "nothing"]);
    check(&engine, &["config", "hello", "colour=red"], &["colour"]);
    check(&engine, &["config", "nobody", "a=b"], &["nobody"]);
    // As with Juju, that is no failure of the command.
    for (run, named) in [
        (["run", "hello/0", "no-such-action"], "no-such-action"),
        (["run", "hello/7", "greet"], "hello/7"),
    ] {
        let said = String::from_utf8(engine.output(&run)?.stderr)?;
        assert!(said.contains("failed to schedule any tasks") && said.contains(named), "{said}");
    }
    check(&engine, &["scale-application", "nobody", "3"], &["nobody"]);
    check(&engine, &["show-unit", "hello/9"], &["hello/9", "hello/0"]);
    check(&engine, &["remove-application", "nobody"], &["nobody"]);
    check(&engine, &["up", "/etc/hostname"], &["cannot use the bundle"]);

    let after = engine.status()?;
    assert_eq!(
        before["applications"]["hello"]["units"]["hello/0"]["address"],
        after["applications"]["hello"]["units"]["hello/0"]["address"]
    );
    assert!(end_to_end::all_active(&after));
    Ok(())
}

#[test]
fn a_bundle_with_a_typo_deploys_nothing() -> Result<()> {
    let engine = Talisman::new("e2etypo");
    let folder = tempfile::tempdir()?;
    let bundle = folder.path().join("bundle.yaml");
    std::fs::write(&bundle, format!("applications: {{hello: {{charm: {}, scael: 1}}}}", hello()))?;
    check(&engine, &["up", &bundle.display().to_string()], &["scael"]);
    check(&engine, &["status"], &["not running"]);
    Ok(())
}

#[test]
fn a_taken_port_is_named() -> Result<()> {
    let engine = Talisman::new("e2eport");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    engine.call(&["up"])?;
    engine.call(&["deploy", &hello()])?;
    engine.wait_active(60)?;
    check(&engine, &["forward", &port, "hello:80"], &["port", &port]);
    check(&engine, &["forward", "1024", "nobody:80"], &["nobody"]);
    Ok(())
}

/// A model whose charms are gone, or lie where another program kept them, is refused at once.
#[test]
fn a_model_without_its_charm_is_refused() -> Result<()> {
    let engine = Talisman::new("e2egone");
    engine.call(&["up"])?;
    engine.call(&["deploy", &hello()])?;
    engine.wait_active(60)?;
    engine.call(&["down"])?;
    std::fs::rename(
        "/var/lib/talisman/e2egone/charms/hello",
        "/var/lib/talisman/e2egone/charms/.hello",
    )?;
    check(&engine, &["up"], &["cannot run hello", "charms/hello", "down --destroy-storage"]);
    check(&engine, &["status"], &["not running"]);
    engine.call(&["down", "--destroy-storage"])?;
    engine.call(&["up"])?;
    Ok(())
}
