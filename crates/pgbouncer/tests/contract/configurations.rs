//! With which files PgBouncer starts.

use pebble_client::Ownership;

use super::{FOLDER, Failure, Far, LIST, LOGS, OWNER, PORT, ini, list, settings};

/// A file with which PgBouncer starts or does not.
pub(crate) async fn configurations_are_taken_or_not(far: &Far<'_>) -> Result<(), Failure> {
    let shop = far.entries(&["suite_shop"]);
    let plain = settings(PORT);
    let without = |key: &str| {
        let kept = plain.lines().filter(|line| !line.starts_with(key));
        kept.map(|line| format!("{line}\n")).collect::<String>()
    };
    let with = |more: &str| format!("{shop}{plain}{more}\n");
    let peers = format!("[peers]\n3 = host={FOLDER} port=6432\n{plain}peer_id = 4\n");
    let comments = format!("; a word\n# another\n\n{}", with("pool_mode=session"));
    for (text, starts, what) in [
        (with(""), true, "as most are"),
        (format!("[databases]\n{plain}"), true, "without databases"),
        (peers, true, "with peers"),
        (comments, true, "with comments"),
        (with("max_client_conn = 10000\ndns_max_ttl = 1"), true, "with numbers"),
        (with("server_reset_query = DISCARD ALL"), true, "with a query"),
        (with("no_such_setting = 1"), false, "with a setting that nobody knows"),
        (with("query_wait_notify = 5"), false, "with a setting of a later version"),
        (with("pool_mode = sometimes"), false, "with a word that is none of the choices"),
        (with("default_pool_size = many"), false, "with a word for a number"),
        (with("server_tls_sslmode = perhaps"), false, "with a mode of TLS that is none"),
        (with("some words"), false, "with a line that says nothing"),
        (format!("{shop}{}", without("logfile")), true, "without a log"),
        (format!("[databases]\na b = host=x\n{plain}"), false, "with a blank in a name"),
        (format!("[databases]\na = host='x\n{plain}"), false, "with an open quote"),
        (format!("[databases]\na = host=x nonsense=1\n{plain}"), false, "with an odd option"),
    ] {
        far.write(&text, &list()).await?;
        assert_eq!(tries(far, what, &ini()).await?, starts, "{what}:\n{text}");
    }
    far.write(&with(""), &list()).await?;
    files(far).await
}

/// Whether a process starts with this file. Each try is a service of its own: Pebble takes one
/// that failed for started if it is started again within a second.
async fn tries(far: &Far<'_>, what: &str, path: &str) -> Result<bool, Failure> {
    let service = format!("suite_{}", what.replace(|c: char| !c.is_alphanumeric(), "_"));
    let starts = far.starts(&service, path).await?;
    far.stop(&service).await?;
    Ok(starts)
}

/// What is there and may be read or written by the process' user.
async fn files(far: &Far<'_>) -> Result<(), Failure> {
    let text = format!("{}{}", far.entries(&["suite_shop"]), settings(PORT));
    let check = async |what: &str, path: &str, expected: bool| {
        assert_eq!(tries(far, what, path).await?, expected, "{what}");
        Ok::<_, Failure>(())
    };
    far.pebble.remove_path(LIST, false).await?;
    check("without a user list", &ini(), true).await?;
    far.pebble.push(&ini(), &text, &Ownership::default().mode(0o400)).await?;
    check("with a file that only root may read", &ini(), false).await?;
    far.pebble.push(&ini(), &text, &Ownership::default().mode(0o444)).await?;
    check("with a file that all may read", &ini(), true).await?;
    check("without a file", "/no/such/file.ini", false).await?;
    far.pebble.remove_path(LOGS, true).await?;
    check("without the folder of its log", &ini(), false).await?;
    let roots = Ownership::make_dirs().mode(0o755);
    far.pebble.make_dir(LOGS, &roots).await?;
    check("with a folder of the log that is root's", &ini(), false).await?;
    far.pebble.remove_path(LOGS, true).await?;
    let own = Ownership::make_dirs().mode(0o700).owner(OWNER, OWNER);
    far.pebble.make_dir(LOGS, &own).await?;
    check("with its own folders", &ini(), true).await?;
    let elsewhere = text.replace(&format!("unix_socket_dir = {FOLDER}"), "unix_socket_dir = /none");
    far.push(&ini(), &elsewhere).await?;
    check("without a folder for its socket", &ini(), false).await
}

/// Clients are served with TLS only with a key, a certificate and its CA, all there and readable; a
/// server without TLS is refused where TLS is required.
pub(crate) async fn tls_needs_its_files(far: &Far<'_>) -> Result<(), Failure> {
    far.populate("suite_shop", &["suite_app"]).await?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (key, certificate) = ("/dev/shm/suite.key.pem", "/dev/shm/suite.cert.pem");
    let shop = far.entries(&["suite_shop"]);
    far.write(&format!("{shop}{}", settings(PORT)), &list()).await?;
    far.push(key, &made.signing_key.serialize_pem()).await?;
    far.push(certificate, &made.cert.pem()).await?;
    far.push("/dev/shm/suite.none.pem", "no certificate").await?;
    let theirs = Ownership::default().mode(0o400);
    far.pebble.push("/dev/shm/suite.root.pem", made.signing_key.serialize_pem(), &theirs).await?;
    let all = "tls_key_file=suite.key tls_cert_file=suite.cert tls_ca_file=suite.cert";
    for (mode, files, starts) in [
        ("prefer", all, true),
        ("require", all, true),
        ("require", "", false),
        ("prefer", "tls_key_file=suite.key tls_cert_file=suite.cert", false),
        ("prefer", "tls_cert_file=suite.cert tls_ca_file=suite.cert", false),
        ("prefer", &all.replace("suite.key", "suite.root"), false),
        ("prefer", &all.replace("suite.key", "suite.missing"), false),
        ("prefer", &all.replace("cert_file=suite.cert", "cert_file=suite.none"), false),
        ("disable", &all.replace("suite.key", "suite.missing"), true),
    ] {
        let lines = files.split_whitespace().filter_map(|pair| pair.split_once('='));
        let lines = lines.map(|(name, file)| format!("client_{name} = /dev/shm/{file}.pem\n"));
        let lines: String = lines.collect();
        let text = format!("{shop}{}client_tls_sslmode = {mode}\n{lines}", settings(PORT));
        far.push(&ini(), &text).await?;
        let what = format!("tls {mode} {files}");
        assert_eq!(tries(far, &what, &ini()).await?, starts, "{what}");
    }
    for (mode, enters) in
        [("prefer", true), ("disable", true), ("require", false), ("verify-full", false)]
    {
        let more = format!("server_tls_sslmode = {mode}\nserver_tls_ca_file = {certificate}\n");
        far.begin(&shop, &more).await?;
        far.await_knocks(PORT, &[("suite_app", "suite_app", "suite_shop", enters)]).await?;
        far.stop("suite").await?;
    }
    Ok(())
}

/// Two processes share a port only if both say so.
pub(crate) async fn processes_share_a_port(far: &Far<'_>) -> Result<(), Failure> {
    let socket = format!("unix_socket_dir = {FOLDER}");
    let second = "/var/lib/pgbouncer/suite2";
    let own = Ownership::make_dirs().mode(0o700).owner(OWNER, OWNER);
    far.pebble.make_dir(second, &own).await?;
    far.begin(&far.entries(&[]), "").await?;
    let text = format!("{}{}", far.entries(&[]), settings(PORT));
    let text = text.replace(&socket, &format!("unix_socket_dir = {second}"));
    let text = text.replace(&format!("{PORT}.pid"), "second.pid");
    let path = format!("{second}/pgbouncer.ini");
    far.push(&path, &text.replace("so_reuseport = 1", "so_reuseport = 0")).await?;
    assert!(!far.starts("suite2", &path).await?, "the port is taken");
    far.push(&path, &text).await?;
    assert!(far.starts("suite2", &path).await?, "the port is shared");
    far.await_knocks(PORT, &[("console", "co\"nsole", "pgbouncer", true)]).await?;
    far.stop("suite").await?;
    far.await_knocks(PORT, &[("console", "co\"nsole", "pgbouncer", true)]).await?;
    far.stop("suite2").await?;
    far.await_knocks(PORT, &[("console", "co\"nsole", "pgbouncer", false)]).await
}
