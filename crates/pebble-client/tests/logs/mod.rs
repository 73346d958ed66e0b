//! What the real Pebble sends to who keeps logs, byte for byte.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::daemon::{Failure, daemon};
use pebble_client::{Client, Layer, LogTarget, Service};
use serde_json::{Value, json};

/// Far above the second that Pebble gathers lines for.
const BOUND: Duration = Duration::from_secs(20);

/// One who keeps logs: its address, and what it is sent.
fn keeper() -> Result<(String, Receiver<(String, Value)>), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/loki/api/v1/push", listener.local_addr()?);
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                while let Some(request) = request(&stream) {
                    if sender.send(request).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok((address, receiver))
}

/// A request's head and its body, which is answered as Loki does.
fn request(mut stream: &TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("juju_unit".to_owned(), "a/0".to_owned())])
}

async fn send(client: &Client, name: &str, location: &str) -> Result<(), Failure> {
    let targets = BTreeMap::from([(name.to_owned(), LogTarget::loki(location, labels()))]);
    let layer = Layer::sending_logs_to(&targets, &client.plan().await?);
    Ok(client.add_layer("logs", &layer, true).await?)
}

async fn say(client: &Client, word: &str) -> Result<(), Failure> {
    let command = format!("sh -c 'echo {word}; echo {word} too >&2; exec sleep 100'");
    let service = Service { kill_delay: Some("1s".to_owned()), ..Service::command(command) };
    client.add_layer("web", &Layer::default().service("web", service), true).await?;
    let change = client.replan().await?;
    client.wait_change(&change, BOUND).await?;
    Ok(())
}

/// Waits until two lines with this word have come, and gives all that came, without what came again with the
/// same time: whenever the plan changes Pebble sends again what it still has, and Loki drops it.
fn lines(receiver: &Receiver<(String, Value)>, word: &str) -> Result<Vec<String>, Failure> {
    let (mut found, end) = (Vec::<(String, String)>::new(), Instant::now() + BOUND);
    while found.iter().filter(|(_, line)| line.starts_with(word)).count() < 2 {
        let (head, body) = receiver.recv_timeout(end.saturating_duration_since(Instant::now()))?;
        assert!(head.starts_with("POST /loki/api/v1/push HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Content-Type: application/json; charset=utf-8\r\n"), "{head}");
        for stream in body["streams"].as_array().ok_or("no streams")? {
            assert_eq!(stream["stream"], json!({"juju_unit": "a/0", "pebble_service": "web"}));
            for value in stream["values"].as_array().ok_or("no values")? {
                let nanoseconds = value[0].as_str().ok_or("no time")?;
                assert!(nanoseconds.len() == 19 && nanoseconds.parse::<u64>().is_ok(), "{value}");
                let line = value[1].as_str().ok_or("no line")?;
                let line = (nanoseconds.to_owned(), line.to_owned());
                if !found.contains(&line) {
                    found.push(line);
                }
            }
        }
    }
    Ok(found.into_iter().map(|(_, line)| line).collect())
}

#[tokio::test]
async fn every_line_is_sent_once_with_its_labels() -> Result<(), Failure> {
    let (_daemon, client) = daemon().await?;
    let (address, received) = keeper()?;
    send(&client, "loki/0", &address).await?;
    say(&client, "hello").await?;
    assert_eq!(lines(&received, "hello")?, ["hello", "hello too"]);
    assert!(received.recv_timeout(Duration::from_secs(2)).is_err(), "a line came twice");
    let none = Layer::sending_logs_to(&BTreeMap::new(), &client.plan().await?);
    client.add_layer("logs", &none, true).await?;
    say(&client, "unheard").await?;
    assert!(received.recv_timeout(Duration::from_secs(3)).is_err(), "it is still sent");
    Ok(())
}

/// The reason for a target's name to follow from its location.
#[tokio::test]
async fn a_target_keeps_its_first_location() -> Result<(), Failure> {
    let (_daemon, client) = daemon().await?;
    let ((first, at_first), (second, at_second)) = (keeper()?, keeper()?);
    send(&client, "loki/0", &first).await?;
    send(&client, "loki/0", &second).await?;
    say(&client, "one").await?;
    assert_eq!(lines(&at_first, "one")?, ["one", "one too"]);
    send(&client, "loki/0-second", &second).await?;
    say(&client, "two").await?;
    // It begins with what Pebble still has of what was said before.
    assert_eq!(lines(&at_second, "two")?, ["one", "one too", "two", "two too"]);
    assert!(at_first.recv_timeout(Duration::from_secs(3)).is_err(), "both get them");
    Ok(())
}
