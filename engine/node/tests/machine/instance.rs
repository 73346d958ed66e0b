//! An instance of the node for one test, removed when the test ends, however it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::{
    ContainerSpec, HookCommand, ImageDefinition, Line, Node, NodeOptions, Pod, PodSpec, leftovers,
    preflight, sweep,
};

/// The server that every test pod runs: answers each client with its own name and the client's
/// address.
const SERVER: &str = r#"
use IO::Socket::INET;
$SIG{TERM} = sub { exit 0 };
my $name = `hostname`; chomp $name;
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 16, ReuseAddr => 1) or die $!;
while (1) {
    my $client = $server->accept or next;
    print $client "$name hears ", $client->peerhost, "\n";
    close $client;
}
"#;

/// An open node in folders of its own. The node goes first, then what it left is swept.
pub(crate) struct Instance {
    pub(crate) node: Node,
    pub(crate) options: NodeOptions,
    pub(crate) image: PathBuf,
    guard: Guard,
}

impl Instance {
    /// Opens a node; fails with the list of what this machine lacks.
    pub(crate) async fn open(test: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tlsm").tempdir().unwrap();
        let cache = std::env::var_os("TALISMAN_CACHE").map(PathBuf::from);
        let options = NodeOptions {
            instance: format!("t{}-{test}", std::process::id()),
            state_dir: folder.path().join("state"),
            run_dir: folder.path().join("run"),
            images_dir: cache.unwrap_or("/var/cache/talisman".into()),
            agent: env!("CARGO_BIN_EXE_containeragent").into(),
        };
        let problems = preflight(&options);
        assert!(problems.is_empty(), "this machine cannot run the test: {}", problems.join("; "));
        let node = Node::open(options.clone()).await.unwrap();
        let image = node.image(&definition(), |step| println!("{step}")).await.unwrap();
        let guard = Guard { options: options.clone(), _folder: folder };
        Self { node, options, image: image.root, guard }
    }

    /// Starts a pod with one container, `db`, that runs the server.
    pub(crate) async fn start(&self, name: &str) -> Pod {
        let spec = pod(name, vec![container("db", &self.image)]);
        let pod = self.node.start_pod(&spec).await.unwrap();
        self.listens(&pod).await;
        pod
    }

    /// Waits until the pod's server answers.
    pub(crate) async fn listens(&self, pod: &Pod) {
        let address = std::net::SocketAddrV4::new(pod.ip(), 8080);
        for _ in 0..500 {
            if self.node.connect(address, Duration::from_secs(1)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let log = std::fs::read_to_string(pod.log_file("db")).unwrap_or_default();
        panic!("{} does not answer: {log}", pod.name());
    }

    /// What a line of bash in the pod's container `db` prints.
    pub(crate) async fn lines(&self, pod: &Pod, script: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let running = pod.exec("db", &shell(script)).await.unwrap();
        let done = running.wait(|line| match line {
            Line::Out(text) => lines.push(text),
            Line::Err(text) => println!("{text}"),
            Line::Rest { bytes, .. } => lines.push(String::from_utf8_lossy(&bytes).into_owned()),
        });
        tokio::time::timeout(Duration::from_secs(20), done).await.unwrap().unwrap();
        lines
    }

    /// Checks what a line of bash prints.
    #[track_caller]
    pub(crate) fn answers(
        &self,
        pod: &Pod,
        script: &str,
        expected: &str,
    ) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let lines = self.lines(pod, script).await;
            assert_eq!(lines.join("\n"), expected, "{script}, at {place}");
        }
    }

    /// Lets the node go without removing anything, as a crash does, and opens it again.
    pub(crate) async fn reopen(self) -> Self {
        let Self { node, options, image, guard } = self;
        drop(node);
        let node = Node::open(options.clone()).await.unwrap();
        Self { node, options, image, guard }
    }

    /// Removes the instance and checks that nothing of it stays.
    pub(crate) async fn close(self) {
        self.node.teardown().await.unwrap();
        assert_eq!(leftovers(&self.options), Vec::<String>::new());
    }
}

/// Sweeps the instance when a test ends early.
struct Guard {
    options: NodeOptions,
    _folder: tempfile::TempDir,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let options = self.options.clone();
        let swept = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(sweep(&options)).is_ok())
        });
        let _ = swept.join();
    }
}

pub(crate) fn container(name: &str, image: &Path) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image.to_path_buf(),
        argv: ["/usr/bin/perl", "-e", SERVER].map(str::to_owned).into(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        mounts: vec![],
        limits: Default::default(),
    }
}

pub(crate) fn pod(name: &str, containers: Vec<ContainerSpec>) -> PodSpec {
    PodSpec {
        name: name.to_owned(),
        namespace: "demo".to_owned(),
        subdomain: Some("test-endpoints".to_owned()),
        containers,
    }
}

/// A line of bash, run from the root folder.
pub(crate) fn shell(script: &str) -> HookCommand {
    HookCommand {
        argv: ["/bin/bash", "-c", script].map(str::to_owned).into(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: "/".into(),
    }
}

/// The smallest image: bash, perl and the C library's tools.
pub(crate) fn definition() -> ImageDefinition {
    ImageDefinition {
        name: "test-base".to_owned(),
        suite: "trixie".to_owned(),
        packages: vec![],
        files: vec![],
        directories: vec![],
        steps: vec![],
        registrypath: None,
    }
}

/// Waits until `condition` holds, for ten seconds at most.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing happened within ten seconds, at {place}");
    }
}
