//! The page for people, in a real browser without a screen.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use end_to_end::{Talisman, root};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// How long anything on the page may take.
const BOUND: Duration = Duration::from_secs(20);

/// A browser with one page, driven over its debugging port.
struct Browser {
    process: Child,
    socket: WebSocketStream<TcpStream>,
    calls: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn open(url: &str) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let process = Command::new("chromium-headless-shell")
            .args(["--no-sandbox", "--remote-debugging-port=0", "--window-size=1280,800"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot run chromium-headless-shell; `make unit` installs it")?;
        let port = port(profile.path()).await?;
        let pages = http_get(port, "/json/list").await?;
        let target = pages[0]["webSocketDebuggerUrl"].as_str().context("no page")?.to_owned();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let (socket, _) = tokio_tungstenite::client_async(target, stream).await?;
        Ok(Self { process, socket, calls: 0, _profile: profile })
    }

    async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.calls += 1;
        let call = json!({"id": self.calls, "method": method, "params": params});
        self.socket.send(Message::text(call.to_string())).await?;
        loop {
            let message = tokio::time::timeout(BOUND, self.socket.next()).await;
            let Some(message) = message.context("the browser does not answer")? else { break };
            let answer: Value = serde_json::from_str(message?.to_text()?)?;
            if answer["id"] == self.calls {
                return Ok(answer["result"].clone());
            }
        }
        bail!("the browser hung up")
    }

    /// The value of a JavaScript expression.
    async fn value(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true});
        Ok(self.call("Runtime.evaluate", params).await?["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    async fn wait(&mut self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        while self.value(expression).await? != json!(true) {
            if Instant::now() > deadline {
                let text = self.value("document.body.innerText").await?;
                bail!("waited for {expression}\n{text}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The debugging port that the browser chose.
async fn port(profile: &Path) -> Result<u16> {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Ok(text) = std::fs::read_to_string(profile.join("DevToolsActivePort"))
            && let Some(port) = text.lines().next().and_then(|line| line.parse().ok())
        {
            return Ok(port);
        }
        if Instant::now() > deadline {
            bail!("the browser did not start");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The answer to a request, as far as it comes: some servers keep the connection.
async fn answer(port: u16, path: &str, whole: impl Fn(&str) -> bool) -> Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !whole(&text) {
        let read = tokio::time::timeout(BOUND, stream.read(&mut buffer)).await;
        match read.context("no answer in time")?? {
            0 => break,
            count => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    Ok(text)
}

fn body(text: &str) -> Option<Value> {
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}

async fn http_get(port: u16, path: &str) -> Result<Value> {
    body(&answer(port, path, |text| body(text).is_some()).await?).context("no answer")
}

/// The status line of a request to the engine's page.
async fn status_line(port: u16, path: &str) -> Result<String> {
    let text = answer(port, path, |text| text.contains("\r\n")).await?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_page_shows_the_model_live() -> Result<()> {
    let engine = Talisman::new("e2epage");
    engine.call(&["up"])?;
    let charm = root().join("dist/hello_ubuntu@22.04-amd64.charm").display().to_string();
    let client = root().join("dist/data-integrator_ubuntu@22.04-amd64.charm");
    engine.call(&["deploy", &charm, "-n", "2"])?;
    engine.call(&["deploy", &client.display().to_string(), "client"])?;
    engine.call(&["config", "client", "database-name=hush-on-the-page"])?;
    let url = engine.call(&["page"])?.trim().to_owned();
    assert_eq!(engine.call(&["page"])?.trim(), url, "one page however often it is asked for");

    let mut browser = Browser::open(&url).await?;
    browser.wait("document.getElementById('link').textContent === 'live'").await?;
    browser.wait("document.querySelectorAll('#graph circle.active').length === 2").await?;
    browser.wait("document.getElementById('units').innerText.includes('hello/1')").await?;
    browser.wait("document.getElementById('hooks').innerText.includes('install')").await?;
    browser.wait("document.getElementById('log').childElementCount > 5").await?;
    // A change comes without a reload.
    engine.call(&["config", "hello", "name=<b>browser</b>"])?;
    browser
        .wait("document.getElementById('units').innerText.includes('Hello, <b>browser</b>')")
        .await?;
    let text = browser.value("document.documentElement.outerHTML").await?.to_string();
    assert!(!text.contains("hush-on-the-page"), "an option's value is on the page");

    let picture = browser.call("Page.captureScreenshot", json!({"format": "png"})).await?;
    let encoded = picture["data"].as_str().context("no picture")?;
    assert!(encoded.len() > 10_000, "the picture is empty");
    let target = root().join("target/page.png.base64");
    std::fs::write(target, encoded)?;

    let (address, _) = url.trim_start_matches("http://").split_once('/').unwrap();
    let port = address.rsplit(':').next().unwrap().parse()?;
    assert_eq!(address, format!("127.0.0.1:{port}"));
    for path in ["/", "/events", "/0123456789abcdef0123456789abcdef/events"] {
        assert!(status_line(port, path).await?.contains("404"), "{path} is served without the key");
    }
    Ok(())
}
