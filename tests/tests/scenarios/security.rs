//! Tries of a charm, and of this machine's other users, to reach what is not theirs.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use end_to_end::kubernetes::quoted;
use end_to_end::{Talisman, packed_probe, root};

const INSTANCE: &str = "e2esafe";

fn deploy(engine: &Talisman, name: &str, units: &str) -> Result<()> {
    let charm = packed_probe(engine)?.display().to_string();
    let image = format!("workload-image={}", root().join("images/charm-base.yaml").display());
    let notes = format!("notes={}", root().join("clippy.toml").display());
    let resources = ["--resource", &image, "--resource", &notes];
    engine.call(&[["deploy", &charm, name, "-n", units].as_slice(), &resources].concat())?;
    Ok(())
}

/// What a shell command in a hook context of a unit says on both streams.
fn in_hook(engine: &Talisman, unit: &str, command: &str) -> Result<String> {
    let output = engine.output(&["exec", "--unit", unit, "--", command])?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

#[track_caller]
fn check(engine: &Talisman, unit: &str, command: &str, want: &str) {
    let said = in_hook(engine, unit, command).unwrap();
    assert!(said.contains(want), "{unit}: {command}: {said}");
}

fn modes() -> Result<()> {
    let mode =
        |path: &str| -> Result<u32> { Ok(std::fs::metadata(path)?.permissions().mode() & 0o777) };
    assert_eq!(mode(&format!("/run/talisman/{INSTANCE}"))?, 0o700);
    assert_eq!(mode(&format!("/var/lib/talisman/{INSTANCE}"))?, 0o700);
    assert_eq!(mode(&format!("/run/talisman/{INSTANCE}/api.sock"))?, 0o600);
    // Images hold setuid programs.
    assert_eq!(mode("/var/cache/talisman")?, 0o700);
    // Another user of this machine sees neither the store nor any socket below.
    for path in ["/var/lib/talisman/e2esafe/model.redb", "/run/talisman/e2esafe/api.sock"] {
        assert!(Path::new(path).exists(), "{path}");
        let read = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat", path])
            .output()?;
        assert!(!read.status.success(), "nobody reads {path}");
        assert!(String::from_utf8_lossy(&read.stderr).contains("Permission denied"));
    }
    Ok(())
}

/// Hook tools with the context id of another unit's hook, or with none.
fn contexts(engine: &Talisman) -> Result<()> {
    check(engine, "probe/0", "JUJU_CONTEXT_ID=x is-leader", "bad request");
    check(engine, "probe/0", "JUJU_CONTEXT_ID= is-leader", "ERROR");
    let other = std::thread::scope(|scope| {
        // A hook of another unit that lasts while its context id is tried from here.
        let long = scope.spawn(|| in_hook(engine, "other/0", "echo $JUJU_CONTEXT_ID; sleep 4"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(3);
        let mut found = None;
        while found.is_none() && std::time::Instant::now() < deadline {
            found = context_of("other/0-run-commands-");
        }
        let context = found.unwrap();
        let said = in_hook(engine, "probe/0", &format!("JUJU_CONTEXT_ID={context} secret-ids"));
        long.join().unwrap().unwrap();
        said
    })?;
    assert!(other.contains("bad request"), "{other}");
    check(engine, "probe/0", "/usr/bin/juju-exec -u other/0 is-leader", "ERROR");
    Ok(())
}

/// The context id of a process of this machine, by what it begins with.
fn context_of(prefix: &str) -> Option<String> {
    let mark = format!("JUJU_CONTEXT_ID={prefix}");
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    all.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok()).find_map(|bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let one = text.split('\0').find(|one| one.starts_with(&mark))?;
        Some(one.strip_prefix("JUJU_CONTEXT_ID=")?.to_owned())
    })
}

fn bags_and_secrets(engine: &Talisman) -> Result<()> {
    let uri = in_hook(engine, "other/0", "secret-add --owner unit password=hush-from-other")?;
    check(engine, "probe/0", &format!("secret-get {uri}"), "permission denied");
    check(engine, "probe/0", &format!("secret-set {uri} password=mine"), "permission denied");
    check(engine, "probe/0", "relation-get -r 99 - other/0", "relation not found");
    let own = in_hook(engine, "probe/0", "relation-ids cluster")?;
    check(engine, "probe/0", &format!("relation-get -r {own} - other/0"), "permission denied");
    assert_eq!(
        in_hook(engine, "other/0", &format!("secret-get {uri} password"))?,
        "hush-from-other"
    );
    let log = engine.call(&["debug-log", "--no-tail", "--replay", "--level", "TRACE"])?;
    assert!(!log.contains("hush-from-other"), "a secret's content is in the log");
    Ok(())
}

/// Files and processes of other pods and of the machine.
fn files(engine: &Talisman) -> Result<()> {
    let shadow = std::fs::read_to_string("/etc/hostname")?;
    let said = in_hook(engine, "probe/0", "cat /etc/hostname")?;
    assert_ne!(said, shadow.trim(), "the machine's own files");
    let own = root().display().to_string();
    for path in ["/run/talisman", "/var/lib/talisman", &own, "/proc/1/root/var/lib/talisman"] {
        check(engine, "probe/0", &format!("ls {path}"), "No such file");
    }
    check(engine, "probe/0", "ls /var/lib/juju/agents", "unit-probe-0");
    let agents = in_hook(engine, "probe/0", "ls /var/lib/juju/agents")?;
    assert!(!agents.contains("other"), "{agents}");
    let processes = in_hook(engine, "probe/0", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")?;
    assert!(!processes.contains("talisman"), "{processes}");
    Ok(())
}

/// A process in a container has the container's rights, whichever way it was started.
fn confined(engine: &Talisman) -> Result<()> {
    let bash = format!("bash -c {}", quoted(include_str!("../../escapes.sh")));
    let pebble = format!("/charm/bin/pebble exec -- {bash}");
    let ways = [
        ("a hook", in_hook(engine, "probe/0", &bash)?),
        ("ssh", engine.call(&["ssh", "probe/0", &bash])?),
        ("ssh", engine.call(&["ssh", "--container", "workload", "probe/0", &bash])?),
        ("workload", engine.call(&["ssh", "--container", "workload", "probe/0", &pebble])?),
    ];
    for (way, said) in ways {
        let want = ["CapEff: 00000000a80425fb", "CapBnd: 00000000a80425fb", "Seccomp: 2", "done"];
        assert!(want.iter().all(|line| said.contains(line)), "{way}: {said}");
        assert!(!said.contains("escaped"), "{way}: {said}");
    }
    Ok(())
}

/// Copies out of and into a container touch nothing of this machine but what was named.
fn copies(engine: &Talisman) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    engine.call(&["scp", "probe/0:/proc/self/status", &at("status")])?;
    let status = std::fs::read_to_string(at("status"))?;
    assert!(status.contains("CapEff:\t00000000a80425fb"), "{status}");

    // A link in the container leads to a place in the container.
    std::fs::write(at("mine"), "of this machine")?;
    let link = format!("ln -s {} /tmp/link; mkdir -p {}", at("mine"), folder.path().display());
    engine.call(&["ssh", "probe/0", &link])?;
    assert!(engine.refusal(&["scp", "probe/0:/tmp/link", &at("out")])?.contains("cannot read"));
    std::fs::write(at("theirs"), "for the container")?;
    engine.call(&["scp", &at("theirs"), "probe/0:/tmp/link"])?;
    assert_eq!(std::fs::read_to_string(at("mine"))?, "of this machine");

    // Neither does a folder bring links, devices or programs with another's rights.
    let hostile = format!(
        "mkdir -p /tmp/f/in && cd /tmp/f && echo x >in/x && cp /bin/true set && chmod 4755 set && \
         ln -s {} link && mknod disk b 7 0 && mkfifo pipe",
        at("mine")
    );
    engine.call(&["ssh", "probe/0", &hostile])?;
    engine.call(&["scp", "-r", "probe/0:/tmp/f", &at("all")])?;
    let mut found: Vec<_> = std::fs::read_dir(at("all/f"))?
        .map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap()))
        .collect::<Result<_, _>>()?;
    found.sort();
    assert_eq!(found, ["in", "set"]);
    assert_eq!(std::fs::metadata(at("all/f/set"))?.permissions().mode() & 0o7000, 0);
    assert_eq!(std::fs::read_to_string(at("all/f/in/x"))?, "x\n");
    engine.call(&["scp", "-r", &at("all"), "probe/0:/tmp"])?;
    assert_eq!(engine.call(&["ssh", "probe/0", "cat /tmp/all/f/in/x"])?, "x\n");
    Ok(())
}

/// A shell line that asks the Kubernetes API and prints the answer's code.
fn asked(token: &str, path: &str) -> String {
    format!(
        "python3 -c \"import os,ssl,urllib.request as r,urllib.error as e\n\
         c=ssl._create_unverified_context()\n\
         h=os.environ['KUBERNETES_SERVICE_HOST']+':'+os.environ['KUBERNETES_SERVICE_PORT']\n\
         q=r.Request('https://'+h+'{path}',headers={{'Authorization':'Bearer '+{token}}})\n\
         try: print(r.urlopen(q,context=c).status)\n\
         except e.HTTPError as x: print(x.code)\""
    )
}

/// The Kubernetes API without a token, with a wrong one, and without trust.
fn kubernetes(engine: &Talisman) -> Result<()> {
    let own = "open('/var/run/secrets/kubernetes.io/serviceaccount/token').read()";
    let of = |kind: &str| format!("/api/v1/namespaces/talisman/{kind}");
    // A request without a token has no rights, one with a wrong token no user.
    check(engine, "probe/0", &asked("''", &of("services")), "403");
    check(engine, "probe/0", &asked("'wrong'", &of("services")), "401");
    // The roles that Juju makes: without trust a model's pods and services are seen, with it all.
    check(engine, "probe/0", &asked(own, &of("services")), "200");
    check(engine, "probe/0", &asked(own, &of("endpoints")), "403");
    check(engine, "probe/0", &asked(own, "/api/v1/namespaces/elsewhere/services"), "403");
    engine.call(&["trust", "probe", "--scope=cluster"])?;
    check(engine, "probe/0", &asked(own, &of("endpoints")), "200");
    check(engine, "probe/0", &asked(own, "/api/v1/namespaces/elsewhere/services"), "200");
    Ok(())
}

/// Opens 3,000 connections, waits until most are closed again, and holds the rest.
const FLOOD: &str = "python3 -c \"import os,select,socket,time\n\
    h=os.environ['KUBERNETES_SERVICE_HOST']\n\
    p=int(os.environ['KUBERNETES_SERVICE_PORT'])\n\
    held=[socket.create_connection((h,q)) for q in (p,53) for i in range(1500)]\n\
    open_now=select.poll()\n\
    for s in held: open_now.register(s,select.POLLIN)\n\
    closed=0\n\
    end=time.time()+20\n\
    while time.time()<end and closed<2700:\n\
    \x20for f,_ in open_now.poll(500):\n\
    \x20 open_now.unregister(f)\n\
    \x20 closed+=1\n\
    print('closed',closed>=2700)\n\
    end=time.time()+20\n\
    while time.time()<end and not os.path.exists('/tmp/enough'): time.sleep(0.05)\"";

/// A pod without trust that opens every connection it can get takes none from the others: no
/// hook fails and no pod is taken for dead.
fn connections(engine: &Talisman) -> Result<()> {
    let address = || -> Result<serde_json::Value> {
        Ok(engine.status()?["applications"]["probe"]["units"]["probe/0"]["address"].clone())
    };
    let before = address()?;
    std::thread::scope(|scope| -> Result<()> {
        let flooding = scope.spawn(|| in_hook(engine, "other/0", FLOOD));
        for _ in 0..20 {
            assert_eq!(in_hook(engine, "probe/0", "is-leader")?, "True");
        }
        let own = "open('/var/run/secrets/kubernetes.io/serviceaccount/token').read()";
        check(engine, "probe/0", &asked(own, "/api/v1/namespaces/talisman/pods"), "200");
        check(engine, "probe/0", "getent hosts probe-endpoints", "10.1.");
        engine.call(&["ssh", "other/0", "touch /tmp/enough"])?;
        let said = flooding.join().unwrap()?;
        assert!(said.contains("closed True"), "{said}");
        Ok(())
    })?;
    assert_eq!(address()?, before, "the pod was replaced");
    let log = engine.call(&["debug-log", "--no-tail", "--replay"])?;
    assert!(!log.contains("has ended"), "a container was taken for dead: {log}");
    Ok(())
}

#[test]
fn nobody_reaches_what_is_not_theirs() -> Result<()> {
    let engine = Talisman::new(INSTANCE);
    engine.call(&["up"])?;
    deploy(&engine, "probe", "1")?;
    deploy(&engine, "other", "1")?;
    engine.wait_active(90)?;
    modes()?;
    contexts(&engine)?;
    bags_and_secrets(&engine)?;
    files(&engine)?;
    confined(&engine)?;
    copies(&engine)?;
    kubernetes(&engine)?;
    connections(&engine)
}
