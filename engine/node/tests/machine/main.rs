//! The contract of the node on a real machine: pods, addresses, names, services, volumes.
//!
//! Needs root and the programs that `preflight` names. Every test has an instance of its own
//! and removes it; the image is built once, in `TALISMAN_CACHE` (default /var/cache/talisman).

#![cfg(test)]

mod confined;
mod instance;

use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use instance::{Instance, container, pod, shell};
use node::{
    ENGINE, HookCommand, Line, Mount, PodAddress, ServiceAddress, ServiceRoute, Storage, UnitPod,
    Workload, Zone, leftovers,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SERVICE: &str = "10.152.183.9";

fn route(endpoints: &[std::net::Ipv4Addr]) -> ServiceRoute {
    ServiceRoute {
        cluster_ip: ServiceAddress::new(SERVICE.parse().unwrap()).unwrap(),
        port: 80,
        target_port: 8080,
        node_port: Some(30080),
        ingress: None,
        endpoints: endpoints.iter().map(|pod| PodAddress::new(*pod).unwrap()).collect(),
    }
}

/// A line of bash that prints what a server says, or `refused`.
fn ask(address: &str, port: u16) -> String {
    format!("(exec 3<>/dev/tcp/{address}/{port} && cat <&3) 2>/dev/null || echo refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_leads_to_its_endpoints_and_they_see_who_asks() {
    let own = Instance::open("services").await;
    let (one, two) = (own.start("one-0").await, own.start("two-0").await);
    own.node.sync_services(&[route(&[two.ip()])]).await.unwrap();
    own.answers(&one, &ask(SERVICE, 80), &format!("two-0 hears {}", one.ip())).await;
    own.answers(&one, &ask(&ENGINE.to_string(), 30080), &format!("two-0 hears {}", one.ip())).await;
    // A pod that reaches itself through its own service is seen as the engine.
    own.answers(&two, &ask(SERVICE, 80), &format!("two-0 hears {ENGINE}")).await;

    let mut stream = own
        .node
        .connect(SocketAddrV4::new(SERVICE.parse().unwrap(), 80), Duration::from_secs(5))
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.trim(), format!("two-0 hears {ENGINE}"));

    own.node.sync_services(&[route(&[one.ip(), two.ip()])]).await.unwrap();
    let both = format!(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do {}; done",
        ask(SERVICE, 80)
    );
    let heard = own.lines(&one, &both).await.join("\n");
    assert!(heard.contains("one-0 hears") && heard.contains("two-0 hears"), "{heard}");

    own.node.sync_services(&[route(&[])]).await.unwrap();
    let began = Instant::now();
    own.answers(&one, &ask(SERVICE, 80), "refused").await;
    assert!(began.elapsed() < Duration::from_secs(1), "a refusal took {:?}", began.elapsed());
    let address = SocketAddrV4::new(SERVICE.parse().unwrap(), 80);
    own.node.connect(address, Duration::from_secs(5)).await.unwrap_err();
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_outlives_its_service() {
    let own = Instance::open("flows").await;
    let one = own.start("one-0").await;
    let mut spec = pod("two-0", vec![container("db", &own.image)]);
    // This one answers only who says something first.
    let patient = spec.containers[0].argv[2].replace("print $client", "<$client>; print $client");
    spec.containers[0].argv[2] = patient;
    let two = own.node.start_pod(&spec).await.unwrap();
    own.listens(&two).await;
    own.node.sync_services(&[route(&[two.ip()])]).await.unwrap();
    let script = format!(
        "exec 3<>/dev/tcp/{SERVICE}/80; echo open; until [ -e /go ]; do sleep 0.01; done; \
         echo >&3; cat <&3"
    );
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let running = one.exec("db", &shell(&script)).await.unwrap();
    let heard = running.wait(|line| match line {
        Line::Out(text) => sender.send(text).unwrap(),
        Line::Err(text) => println!("{text}"),
        Line::Rest { .. } => {}
    });
    let told = async {
        assert_eq!(lines.recv().await.unwrap(), "open");
        own.node.sync_services(&[]).await.unwrap();
        let go = one.exec("db", &shell("touch /go")).await.unwrap();
        go.wait(|_| {}).await.unwrap();
        assert_eq!(lines.recv().await.unwrap(), format!("two-0 hears {}", one.ip()));
    };
    let both = async { tokio::join!(heard, told) };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap().0.unwrap();
    own.answers(&one, &ask(SERVICE, 80), "refused").await;
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_stops_half_way_leaves_no_image() {
    let own = Instance::open("build").await;
    let mut options = own.options.clone();
    options.images_dir = own.options.state_dir.join("images");
    options.instance.push('b');
    options.run_dir.push("b");
    let node = node::Node::open(options.clone()).await.unwrap();
    let mut definition = instance::definition();
    let steps = std::sync::Mutex::new(0);
    let building = node.image(&definition, |_| *steps.lock().unwrap() += 1);
    tokio::select! {
        built = building => panic!("built too soon: {built:?}"),
        () = instance::until(|| *steps.lock().unwrap() > 4) => {}
    }
    definition.packages.push("no-such-package".to_owned());
    let error = node.image(&definition, |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("no-such-package"), "{error}");
    let found: Vec<_> = std::fs::read_dir(&options.images_dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, [".test-base.lock"]);
    node.teardown().await.unwrap();
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_resolve_in_pods() {
    let own = Instance::open("names").await;
    let one = own.start("one-0").await;
    let full = "db.demo.svc.cluster.local";
    let zone = Zone {
        names: [(full.to_owned(), vec![SERVICE.parse().unwrap()])].into(),
        pointers: [(SERVICE.parse().unwrap(), full.to_owned())].into(),
    };
    assert!(own.node.sync_names(zone.clone()));
    assert!(!own.node.sync_names(zone));
    own.answers(&one, "getent hosts db | tr -s ' '", &format!("{SERVICE} {full}")).await;
    own.answers(&one, &format!("getent hosts {full} | tr -s ' '"), &format!("{SERVICE} {full}"))
        .await;
    own.answers(&one, &format!("getent hosts {SERVICE} | tr -s ' '"), &format!("{SERVICE} {full}"))
        .await;
    own.answers(&one, "getent hosts nowhere.example.org || echo none", "none").await;
    let name = "one-0.test-endpoints.demo.svc.cluster.local";
    own.answers(&one, "hostname", "one-0").await;
    own.answers(&one, "[ $(ulimit -n) = $(ulimit -Hn) ] && echo same", "same").await;
    own.answers(&one, "hostname -f", name).await;
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_this_machine_leads_to_a_pod() {
    let own = Instance::open("forward").await;
    let one = own.start("one-0").await;
    let target = SocketAddrV4::new(one.ip(), 8080);
    let forward = own.node.forward(0, target).await.unwrap();
    own.listens(&one).await;
    let address = ("127.0.0.1", forward.port());
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text.trim(), format!("one-0 hears {ENGINE}"));
    let error = own.node.forward(forward.port(), target).await.unwrap_err().to_string();
    assert!(error.contains(&forward.port().to_string()), "{error}");

    let listener = own.node.listen_tcp(6443).await.unwrap();
    let script = ask(&ENGINE.to_string(), 6443);
    let client = own.lines(&one, &script);
    let server = async {
        let (mut stream, peer) = listener.accept().await.unwrap();
        stream.write_all(peer.ip().to_string().as_bytes()).await.unwrap();
    };
    let (heard, ()) = tokio::join!(client, server);
    assert_eq!(heard, [one.ip().to_string()]);
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_outlives_the_pod_and_its_own_changes_do_not() {
    let own = Instance::open("volumes").await;
    let data = own.node.volume("one-0", "data").unwrap();
    let mut spec = pod("one-0", vec![container("db", &own.image)]);
    spec.containers[0].mounts.push(Mount::writable(&data, "/var/lib/data"));
    let first = own.node.start_pod(&spec).await.unwrap();
    own.answers(&first, "echo kept > /var/lib/data/x; echo lost > /root/x; cat /root/x", "lost")
        .await;
    let again = own.node.start_pod(&spec).await.unwrap();
    assert_eq!(again.pid("db").unwrap(), first.pid("db").unwrap());
    own.node.stop_pod("one-0", Duration::ZERO).await.unwrap();
    assert!(!first.running().unwrap());
    let second = own.node.start_pod(&spec).await.unwrap();
    assert_ne!(second.ip(), first.ip());
    own.answers(&second, "cat /var/lib/data/x /root/x 2>/dev/null", "kept").await;
    own.node.remove_volume("one-0", "data").unwrap();
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_a_container_has_only_its_own_environment() {
    let own = Instance::open("exec").await;
    let one = own.start("one-0").await;
    let command = HookCommand {
        argv: [
            "/bin/sh",
            "-c",
            "pwd; echo $A; env | grep -c -v -e ^A= -e ^PWD= -e ^_=; echo bad >&2; exit 7",
        ]
        .map(str::to_owned)
        .into(),
        env: [("A".to_owned(), "b".to_owned())].into(),
        cwd: "/var/lib".into(),
    };
    let mut lines = Vec::new();
    let status =
        one.exec("db", &command).await.unwrap().wait(|line| lines.push(line)).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(lines.contains(&Line::Err("bad".to_owned())), "{lines:?}");
    lines.retain(|line| matches!(line, Line::Out(_)));
    assert_eq!(lines, ["/var/lib", "b", "0"].map(|text| Line::Out(text.to_owned())));
    one.exec("none", &shell("true")).await.unwrap_err();

    let command = HookCommand { argv: vec!["/bin/true".to_owned()], ..command };
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        one.exec("db", &command).await.unwrap().wait(|_| {}).await.unwrap();
        quickest = quickest.min(began.elapsed());
    }
    println!("a program without work: {quickest:?}");
    assert!(quickest < Duration::from_millis(10), "starting a program took {quickest:?}");
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_share_folders_and_a_dead_one_is_started_again() {
    let own = Instance::open("restart").await;
    let mut spec = pod("one-0", vec![container("charm", &own.image), container("db", &own.image)]);
    spec.containers[0].argv = vec!["/bin/sleep".to_owned(), "1000".to_owned()];
    spec.containers[0].mounts.push(Mount::shared("db", "/charm/containers/db"));
    spec.containers[1].mounts.push(Mount::shared("db", "/charm/container"));
    spec.containers[1].limits.memory = Some(64 << 20);
    let began = Instant::now();
    let first = own.node.start_pod(&spec).await.unwrap();
    println!("a pod of two containers: {:?}", began.elapsed());
    own.answers(&first, "echo hello > /charm/container/x; cat /charm/container/x", "hello").await;
    assert_eq!(std::fs::read_to_string(first.shared_dir("db").join("x")).unwrap(), "hello\n");
    let running = first.exec("charm", &shell("cat /charm/containers/db/x")).await.unwrap();
    let mut lines = Vec::new();
    running.wait(|line| lines.push(line)).await.unwrap();
    assert_eq!(lines, [Line::Out("hello".to_owned())]);

    own.listens(&first).await;
    let _ = first.exec("db", &shell("kill -TERM 1")).await.unwrap().wait(|_| {}).await;
    tokio::time::timeout(Duration::from_secs(10), first.ended("db")).await.unwrap();
    assert!(!first.running().unwrap());
    let second = own.node.start_pod(&spec).await.unwrap();
    assert!(second.running().unwrap());
    assert_eq!(second.ip(), first.ip());
    assert_eq!(second.pid("charm").unwrap(), first.pid("charm").unwrap());
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_start_says_why_and_leaves_nothing() {
    let own = Instance::open("failure").await;
    let mut spec = pod("one-0", vec![container("db", &own.image)]);
    spec.containers[0].argv = vec!["/bin/nothing".to_owned()];
    let error = own.node.start_pod(&spec).await.unwrap_err().to_string();
    assert!(error.contains("/bin/nothing"), "{error}");
    assert!(own.node.pod("one-0").is_none());
    own.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_takes_the_pods_over_and_a_sweep_removes_them() {
    let own = Instance::open("adopt").await;
    let first = own.start("one-0").await;
    let error = node::Node::open(own.options.clone()).await.unwrap_err().to_string();
    assert!(error.contains("runs already"), "{error}");

    let own = own.reopen().await;
    let again = own.node.pod("one-0").unwrap();
    assert!(again.running().unwrap());
    assert_eq!(again.ip(), first.ip());
    let two = own.start("two-0").await;
    assert_ne!(two.ip(), again.ip());
    own.node.sync_services(&[route(&[again.ip()])]).await.unwrap();
    own.answers(&two, &ask(SERVICE, 80), &format!("one-0 hears {}", two.ip())).await;

    let options = own.options.clone();
    assert!(!leftovers(&options).is_empty());
    node::sweep(&options).await.unwrap_err();
    drop(own);
    assert_eq!(leftovers(&options), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_runs_under_pebble_and_the_charm_reaches_its_workload() {
    let own = Instance::open("unit").await;
    let pebble = std::env::var_os("TALISMAN_PEBBLE");
    let pebble = PathBuf::from(pebble.unwrap_or("/usr/local/lib/talisman/pebble".into()));
    assert!(pebble.is_file(), "no Pebble at {}: set TALISMAN_PEBBLE", pebble.display());
    let agent = own.options.state_dir.join("agents/db-0");
    let tools = own.options.state_dir.join("tools/db-0");
    let hook = "#!/bin/sh\necho $0 in $PWD with $(config-get x)\n\
                /charm/bin/pebble services 2>&1; ls /var/lib/juju/storage/data/0\n";
    std::fs::create_dir_all(agent.join("charm")).unwrap();
    std::fs::write(agent.join("charm/dispatch"), hook).unwrap();
    let hooktool = own.options.state_dir.join("hooktool");
    std::fs::write(&hooktool, "#!/bin/sh\necho $(basename $0)\n").unwrap();
    for file in [agent.join("charm/dispatch"), hooktool.clone()] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    node::link_tools(&tools, &["config-get"]).unwrap();
    let data = own.node.volume("db-0", "data").unwrap();
    std::fs::write(data.join("kept"), "").unwrap();
    let unit = UnitPod {
        unit: "db/0".parse().unwrap(),
        model: "demo".parse().unwrap(),
        charm_image: own.image.clone(),
        agent_dir: agent.clone(),
        tools_dir: tools,
        hooktool,
        pebble,
        service_account: Some(agent.clone()),
        kubernetes: Some(SocketAddrV4::new(ENGINE, 6443)),
        storage: vec![Storage {
            name: "data".to_owned(),
            location: "/var/lib/juju/storage/data/0".into(),
            source: data,
        }],
        workloads: vec![Workload {
            name: "db".to_owned(),
            image: own.image.clone(),
            storage: vec![("data".to_owned(), "/var/lib/db".into())],
            limits: Default::default(),
        }],
    };
    let pod = own.node.start_pod(&unit.spec()).await.unwrap();
    let socket = pod.shared_dir("db").join("pebble.socket");
    instance::until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok()).await;
    let tools = unit.seen_tools_dir();
    let command = HookCommand {
        argv: vec![unit.charm_dir().join("dispatch").display().to_string()],
        env: [
            ("PATH", format!("{}:/usr/bin:/bin", tools.display())),
            ("PEBBLE_SOCKET", "/charm/containers/db/pebble.socket".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into(),
        cwd: unit.charm_dir(),
    };
    let mut lines = Vec::new();
    let running = pod.exec(UnitPod::CHARM, &command).await.unwrap();
    running.wait(|line| lines.push(line)).await.unwrap();
    let charm = "/var/lib/juju/agents/unit-db-0/charm";
    let expected = [
        format!("{charm}/dispatch in {charm} with config-get"),
        "Plan has no services.".to_owned(),
        "kept".to_owned(),
    ];
    assert_eq!(lines, expected.map(Line::Out));
    let began = Instant::now();
    own.node.stop_pod("db-0", Duration::from_secs(10)).await.unwrap();
    println!("stopping a unit: {:?}", began.elapsed());
    own.close().await;
}
