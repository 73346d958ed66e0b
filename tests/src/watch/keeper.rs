//! One who keeps logs, as far as Pebble sees it: Loki's address for pushing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Talisman;
use crate::failover::network;

/// A line that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// The labels in JSON, in order.
    pub labels: String,
    /// When it was written, in nanoseconds.
    pub time: String,
    /// What it says.
    pub text: String,
}

/// All lines so far. What came before with the same labels and time is dropped, as Loki does.
#[derive(Default, Clone)]
pub struct Keeper(Arc<Mutex<Vec<Line>>>);

impl Keeper {
    /// Listens in the network of a pod, on the port that its charm has said.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(engine: &Talisman, pod: &str) -> Result<Self> {
        let keeper = Self::default();
        let kept = keeper.clone();
        let bind = || Ok(TcpListener::bind("0.0.0.0:3100")?);
        let listener =
            network::joined(network::inside(&network::of_pod(engine.instance(), pod), bind)?)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || while kept.keep(&stream).is_ok() {});
            }
        });
        Ok(keeper)
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes one request, and answers as Loki does.
    fn keep(&self, mut stream: &TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        anyhow::ensure!(length > 0, "the connection ended");
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body)?;
        let mut lines = Vec::new();
        for part in body["streams"].as_array().context("no streams")? {
            let labels = part["stream"].to_string();
            for value in part["values"].as_array().context("no values")? {
                let text = |index: usize| value[index].as_str().unwrap_or_default().to_owned();
                lines.push(Line { labels: labels.clone(), time: text(0), text: text(1) });
            }
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines {
            // Whenever its plan changes Pebble sends again what it still has.
            if !kept.contains(&line) {
                kept.push(line);
            }
        }
        drop(kept);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        Ok(())
    }
}
