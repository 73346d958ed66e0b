//! Commands in the container, with their input and output over web sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::{ChangeId, Client, Error};

/// How much of a command's output is read at a time. The library's own 128 KiB are made and
/// cleared for each of a command's three sockets, most of which say one line.
const READ_BYTES: usize = 4 << 10;

/// How a command runs. It has no `Debug`: the environment and the input may be secret.
#[derive(Clone, Default)]
pub struct ExecOptions {
    /// Environment variables, laid over Pebble's own.
    pub environment: BTreeMap<String, String>,
    /// The folder to run in.
    pub working_dir: Option<String>,
    /// The user to run as.
    pub user: Option<String>,
    /// The group to run as.
    pub group: Option<String>,
    /// Run as this service would: its environment, user, group and folder.
    pub service_context: Option<String>,
    /// What the command reads.
    pub stdin: Vec<u8>,
    /// How long it may take, 30 s by default.
    pub timeout: Option<Duration>,
}

impl ExecOptions {
    /// Runs as this user and group.
    #[must_use]
    pub fn owner(mut self, user: &str, group: &str) -> Self {
        self.user = Some(user.to_owned());
        self.group = Some(group.to_owned());
        self
    }

    /// Gives the command something to read.
    #[must_use]
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

impl ExecOutput {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.code == 0
    }
}

/// How long a command may take unless [`ExecOptions::timeout`] says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much longer Pebble may take to say that a command ran out of time.
const GRACE: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<Box<dyn http1_client::Stream>>;

impl Client {
    /// Runs a command and waits for its end. A command that ends with another code than
    /// 0 is no error.
    ///
    /// # Errors
    /// When it cannot be started, takes too long, or the connection breaks.
    pub async fn exec(&self, command: &[&str], options: &ExecOptions) -> Result<ExecOutput, Error> {
        let program = command.first().copied().unwrap_or_default();
        let doing = format!("run {program}");
        let bound = options.timeout.unwrap_or(TIMEOUT);
        let run = self.exec_unbounded(&doing, command, options, bound);
        tokio::time::timeout(bound + GRACE, run)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout { doing, after: bound }))
    }

    async fn exec_unbounded(
        &self,
        doing: &str,
        command: &[&str],
        options: &ExecOptions,
        bound: Duration,
    ) -> Result<ExecOutput, Error> {
        let answer = self.post(doing, "/v1/exec", &request(command, options, bound)).await?;
        let missing = || Error::Answer { doing: doing.to_owned(), why: "it names no task".into() };
        let result: Value = answer.result(doing)?;
        let task = result.get("task-id").and_then(Value::as_str).ok_or_else(missing)?;
        let change = answer.change(doing)?;
        // Pebble waits for the sockets in this order. The control socket stays open
        // until the end: closing it would say nothing, but holds the session.
        let control = self.socket_of(doing, task, "control").await?;
        let stdio = self.socket_of(doing, task, "stdio").await?;
        let stderr = self.socket_of(doing, task, "stderr").await?;
        let (stdout, stderr) =
            tokio::join!(converse(stdio, Some(&options.stdin)), converse(stderr, None));
        let broke = |socket| move |source| broken(doing, socket, source);
        let stdout = stdout.map_err(broke("stdio"))?;
        let stderr = stderr.map_err(broke("stderr"))?;
        let code = self.exit_code(doing, &change, bound).await?;
        drop(control);
        Ok(ExecOutput { code, stdout: text(&stdout), stderr: text(&stderr) })
    }

    async fn exit_code(
        &self,
        doing: &str,
        change: &ChangeId,
        bound: Duration,
    ) -> Result<i32, Error> {
        let change =
            self.wait_change(change, bound + GRACE).await.map_err(|error| match error {
                Error::Change { message, .. } => Error::Change { doing: doing.to_owned(), message },
                other => other,
            })?;
        let data = change.tasks.first().and_then(|task| task.data.as_ref());
        let code = data.and_then(|data| data.get("exit-code")).and_then(Value::as_i64);
        code.and_then(|code| i32::try_from(code).ok()).ok_or_else(|| Error::Answer {
            doing: doing.to_owned(),
            why: "it names no exit code".to_owned(),
        })
    }

    async fn socket_of(
        &self,
        doing: &str,
        task: &str,
        name: &'static str,
    ) -> Result<Socket, Error> {
        let stream = self.connect().await?;
        let address = format!("ws://localhost/v1/tasks/{task}/websocket/{name}");
        let small = Some(WebSocketConfig::default().read_buffer_size(READ_BYTES));
        match tokio_tungstenite::client_async_with_config(address, stream, small).await {
            Ok((socket, _)) => Ok(socket),
            Err(source) => Err(broken(doing, name, source)),
        }
    }
}

fn broken(doing: &str, socket: &'static str, source: tungstenite::Error) -> Error {
    Error::WebSocket { doing: doing.to_owned(), socket, source: Box::new(source) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn request(command: &[&str], options: &ExecOptions, bound: Duration) -> Value {
    let mut body = json!({
        "command": command,
        "environment": options.environment,
        "timeout": format!("{}ms", bound.as_millis()),
        "split-stderr": true,
    });
    let optional = [
        ("working-dir", &options.working_dir),
        ("user", &options.user),
        ("group", &options.group),
        ("service-context", &options.service_context),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    body
}

/// Sends what there is to send and collects what comes, until the other side ends.
async fn converse(socket: Socket, input: Option<&[u8]>) -> Result<Vec<u8>, tungstenite::Error> {
    /// The size of one frame of input, in bytes.
    const CHUNK: usize = 32 << 10;
    let (mut sink, mut stream) = socket.split();
    let send = async {
        let Some(input) = input else { return Ok(()) };
        for chunk in input.chunks(CHUNK) {
            sink.send(Message::Binary(chunk.to_vec().into())).await?;
        }
        sink.send(Message::text(r#"{"command":"end"}"#)).await
    };
    let receive = async {
        let mut output = Vec::new();
        while let Some(message) = stream.next().await {
            match message {
                Ok(Message::Binary(bytes)) => output.extend_from_slice(&bytes),
                Ok(Message::Text(_) | Message::Close(_)) => break,
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::Protocol(_)) => {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(output)
    };
    // A command may end without reading its input; its exit code says why.
    let (_, output) = tokio::join!(send, receive);
    output
}
