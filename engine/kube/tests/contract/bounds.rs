//! One client never takes what others need, and none holds anything for ever. All of it is on a
//! server of our own: the bounds are ours, or shorter than a real one's so that nobody waits.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use http1_client::Request;
use hyper::body::Bytes;
use kube_api::{Kind, Limits};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{Cluster, Tokens};

/// Long enough for anything here but what waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

fn short() -> Limits {
    let soon = Duration::from_millis(300);
    Limits { handshake: soon, headers: soon, body: soon, unread: soon, ..Limits::default() }
}

/// What the server says until it closes the connection.
async fn last_words(mut stream: impl AsyncReadExt + Unpin) -> String {
    let mut bytes = Vec::new();
    // A cut without a farewell is an end too.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let cluster = Cluster::bounded("idle", short()).await;
    let silent = TcpStream::connect(("127.0.0.1", cluster.port())).await.unwrap();
    assert_eq!(last_words(silent).await, "", "before the handshake");
    let shaken = cluster.connect().await;
    assert_eq!(last_words(shaken).await, "", "after the handshake");
    let mut kept = cluster.connect().await;
    kept.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(last_words(kept).await.ends_with("ok"), "after an answer");
}

#[tokio::test]
async fn headers_that_drip_come_to_an_end() {
    let cluster = Cluster::bounded("loris", short()).await;
    let (reader, mut writer) = tokio::io::split(cluster.connect().await);
    let drip = tokio::spawn(async move {
        writer.write_all(b"GET /healthz HTTP/1.1\r\n").await.ok();
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while writer.write_all(b"x: y\r\n").await.is_ok() {
            writer.flush().await.ok();
            pause.tick().await;
        }
    });
    last_words(reader).await;
    drip.abort();
}

#[tokio::test]
async fn headers_without_end_are_too_long() {
    let cluster = Cluster::bounded("headers", Limits::default()).await;
    let (reader, mut writer) = tokio::io::split(cluster.connect().await);
    let flood = tokio::spawn(async move {
        writer.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await.ok();
        while writer.write_all(&[b'y'; 4096]).await.is_ok() {}
    });
    let said = last_words(reader).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    flood.abort();
}

#[tokio::test]
async fn a_body_that_does_not_come_times_out() {
    let cluster = Cluster::bounded("body", short()).await;
    let path = cluster.path("endpoints");
    let head = |token: &str, length: u64| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let answer = async |head: String| {
        let mut stream = cluster.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        last_words(stream).await
    };
    let said = answer(head("trusted", 1000)).await;
    assert!(said.starts_with("HTTP/1.1 504") && said.contains("\"reason\":\"Timeout\""), "{said}");
    // Its length alone says that it is too long.
    let said = answer(head("trusted", (3 << 20) + 1)).await;
    assert!(said.starts_with("HTTP/1.1 413"), "{said}");
    assert!(said.contains("RequestEntityTooLarge"), "{said}");
}

#[tokio::test]
async fn a_stranger_is_refused_before_its_body_is_read() {
    // A server that waits for the body would wait for an hour.
    let limits = Limits { body: Duration::from_secs(3600), ..short() };
    let mut cluster = Cluster::bounded("stranger", limits).await;
    let path = cluster.path("endpoints");
    for (token, code) in [("nobody's", 401), ("untrusted", 403)] {
        let mut stream = cluster.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-length: 2000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = last_words(stream).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {code}")), "{said}");
        assert!(said.contains("\"kind\":\"Status\""), "{said}");
    }
    // One that sends its body all the same comes to read the refusal.
    cluster.token = "nobody's".to_owned();
    let body = cluster.body("stranger", json!({ "a": "x".repeat(100_000) }));
    assert_eq!(cluster.post(&path, &body).await.0, 401);
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may() {
    let limits = Limits { connections_each: 5, ..Limits::default() };
    let cluster = Cluster::bounded("each", limits).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(cluster.connect().await);
    }
    assert!(cluster.try_connect().await.is_err(), "a sixth connection was taken");
    held.pop();
    let again = async {
        while cluster.try_connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, again).await.is_ok(), "a place was never free again");
}

#[tokio::test]
async fn watches_of_an_address_are_counted() {
    let limits = Limits { watches_each: 2, ..Limits::default() };
    let cluster = Cluster::bounded("watches", limits).await;
    let version = cluster.version("pods").await;
    let first = cluster.watch("pods", "", &version).await;
    let _second = cluster.watch("pods", "", &version).await;
    let mut stream = cluster.connect().await;
    let head = format!(
        "GET {}?watch=1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer trusted\r\n\
         connection: close\r\n\r\n",
        cluster.path("pods")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = last_words(stream).await;
    assert!(said.starts_with("HTTP/1.1 429"), "{said}");
    assert!(said.contains("retry-after: 1") && said.contains("TooManyRequests"), "{said}");
    // Everything else goes on, and a watch that ends makes room.
    assert_eq!(cluster.get(&cluster.path("pods")).await.0, 200);
    first.cut();
    let path = format!("{}?watch=1&timeoutSeconds=1", cluster.path("pods"));
    let again = async {
        while cluster.get(&path).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, again).await.is_ok(),
        "a watch was never possible again"
    );
}

#[tokio::test]
async fn lists_that_are_not_read_are_counted() {
    let limits = Limits { lists_each: 1, ..Limits::default() };
    let cluster = Cluster::bounded("unread-lists", limits).await;
    let path = cluster.path("endpoints");
    // More than the buffers of a connection hold.
    for number in 0..28 {
        let mut body = cluster.body(&format!("unread-{number}"), json!({}));
        body["metadata"]["annotations"] = padding();
        cluster.api().put(Kind::Endpoints, "lab", &body).unwrap();
    }
    let mut unread = cluster.connect().await;
    let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer trusted\r\n\r\n");
    unread.write_all(head.as_bytes()).await.unwrap();
    unread.read_u8().await.unwrap();
    let (code, status) = cluster.get(&path).await;
    assert_eq!((code, &status["reason"]), (429, &json!("TooManyRequests")));
    drop(unread);
    let again = async {
        while cluster.get(&path).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, again).await.is_ok(), "no list was ever taken again");
}

#[tokio::test]
async fn a_watcher_that_never_reads_is_cut() {
    let limits = Limits { watches_each: 1, ..short() };
    let cluster = Cluster::bounded("unread", limits).await;
    let path = cluster.path("endpoints");
    let version = cluster.version("endpoints").await;
    let _unread = cluster.watch("endpoints", "", &version).await;
    cluster.post(&path, &cluster.body("unread", json!({}))).await;
    // More than the buffers of a connection hold.
    for round in 0..1000 {
        let patch = json!({ "metadata": { "annotations": {
            "round": round.to_string(), "padding": "x".repeat(20_000),
        }}});
        cluster.api().patch(Kind::Endpoints, "lab", "unread", &patch).unwrap();
    }
    // Its place is free again once it was cut.
    let another = format!("{path}?watch=1&timeoutSeconds=1&resourceVersion={version}");
    let again = async {
        while cluster.get(&another).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, again).await.is_ok(), "the watch goes on");
}

/// Annotations as large as they may be.
fn padding() -> serde_json::Value {
    json!({ "padding": "x".repeat(250 << 10) })
}

#[tokio::test]
async fn there_is_an_end_to_what_is_stored() {
    let cluster = Cluster::bounded("store", Limits::default()).await;
    let path = cluster.path("endpoints");
    let mut body = cluster.body("store", json!({}));
    body["metadata"]["annotations"] = padding();
    let mut stored = 0;
    let refusal = loop {
        body["metadata"]["name"] = json!(format!("store-{stored}"));
        let (code, answer) = cluster.post(&path, &body).await;
        if code != 201 {
            break (code, answer);
        }
        stored += 1;
        assert!(stored < 40, "there is no end");
    };
    assert_eq!(refusal.0, 500, "{}", refusal.1);
    assert!(refusal.1["message"].as_str().unwrap().contains("database space exceeded"));
    // What does not grow is written all the same, and what goes makes room.
    let mut first = body.clone();
    first["metadata"]["name"] = json!("store-0");
    first["metadata"]["annotations"]["padding"] = json!("y".repeat(250 << 10));
    assert_eq!(
        cluster.send("PUT", &format!("{path}/store-0"), "", Some(first.to_string())).await.0,
        200
    );
    assert_eq!(cluster.delete(&format!("{path}/store-0")).await.0, 200);
    assert_eq!(cluster.post(&path, &body).await.0, 201);
}

#[tokio::test]
async fn a_list_is_sent_piece_by_piece() {
    let cluster = Cluster::bounded("pieces", Limits::default()).await;
    let path = cluster.path("endpoints");
    for name in ["pieces-a", "pieces-b", "pieces-c"] {
        let mut body = cluster.body(name, json!({}));
        body["metadata"]["annotations"] = padding();
        cluster.api().put(Kind::Endpoints, "lab", &body).unwrap();
    }
    let request = Request::get(&path).header("authorization", "Bearer trusted");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let answer = kube_api::respond(cluster.api(), &Tokens, request).await;
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let (mut body, mut whole) = (answer.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        assert!(piece.len() < 300 << 10, "more than one object at once: {}", piece.len());
        whole.extend_from_slice(&piece);
    }
    assert_eq!(whole.len(), length);
    let list: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(list, cluster.get(&path).await.1);
    assert_eq!(
        (list["kind"].as_str(), list["items"].as_array().unwrap().len()),
        (Some("EndpointsList"), 3)
    );
    // A list without items is one too.
    let none = cluster.get(&cluster.path("pods")).await;
    assert_eq!((none.0, &none.1["items"]), (200, &json!([])));
}
