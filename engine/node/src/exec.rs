//! Runs a program inside a container: hooks, actions, commands in a hook context.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::agent::ask::{Asked, Program};

/// Longest piece of a line that is passed on whole.
const LONGEST: u64 = 64 * 1024;

/// How long after the program's end its last lines may still arrive. Children that it left
/// behind may hold the streams open for ever.
const LAST_LINES: Duration = Duration::from_millis(200);
/// How long its last lines may take in all: what it left behind may print for ever, too.
const LAST_LINES_IN_ALL: Duration = Duration::from_secs(5);

/// A line that the program wrote, without its end; bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// From standard output.
    Out(String),
    /// From standard error.
    Err(String),
    /// What came after the end of the last line, as it is.
    Rest {
        /// Whether it is from standard output.
        out: bool,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// A program running inside a container. Dropping it ends the program.
#[derive(Debug)]
pub struct Running {
    program: Program,
    lines: mpsc::Receiver<Line>,
}

impl Running {
    pub(crate) fn new(asked: Asked) -> Self {
        let (sender, lines) = mpsc::channel(256);
        tokio::spawn(read(asked.out, sender.clone(), true));
        tokio::spawn(read(asked.err, sender, false));
        Self { program: asked.program, lines }
    }

    /// Waits for the program's end, handing over each line as it comes. The exit code is the
    /// program's; 127 and 126 mean that it was not found or could not be started.
    ///
    /// # Errors
    /// When the container or its agent ended first; the program may be left behind.
    pub async fn wait(mut self, on_line: impl FnMut(Line)) -> io::Result<ExitStatus> {
        follow(self.program.status(), &mut self.lines, on_line).await
    }
}

async fn follow<T>(
    ended: impl Future<Output = io::Result<T>>,
    lines: &mut mpsc::Receiver<Line>,
    mut on_line: impl FnMut(Line),
) -> io::Result<T> {
    tokio::pin!(ended);
    let status = loop {
        // Neither comes first: lines may come without end.
        tokio::select! {
            Some(line) = lines.recv() => on_line(line),
            status = &mut ended => break status?,
        }
    };
    let end = Instant::now() + LAST_LINES_IN_ALL;
    while Instant::now() < end
        && let Ok(Some(line)) = timeout(LAST_LINES, lines.recv()).await
    {
        on_line(line);
    }
    Ok(status)
}

async fn read(stream: impl AsyncRead + Unpin, lines: mpsc::Sender<Line>, out: bool) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut bytes = Vec::new();
        match (&mut stream).take(LONGEST).read_until(b'\n', &mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let whole = bytes.pop_if(|last| *last == b'\n').is_some();
        let line = if whole || bytes.len() as u64 == LONGEST {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if out { Line::Out(text) } else { Line::Err(text) }
        } else {
            Line::Rest { out, bytes }
        };
        // The reader is gone; the program must not block on a full pipe all the same.
        let _ = lines.send(line).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program left behind prints for ever; the program has ended.
    #[tokio::test]
    async fn a_program_ends_whoever_goes_on_printing() {
        let (sender, mut lines) = mpsc::channel(256);
        let noise = tokio::spawn(async move {
            while sender.send(Line::Out("noise".to_owned())).await.is_ok() {}
        });
        let ended = follow(std::future::ready(Ok(7)), &mut lines, |_| {});
        let ended = timeout(LAST_LINES_IN_ALL * 6, ended).await;
        assert_eq!(ended.expect("it ends").unwrap(), 7);
        drop(lines);
        noise.await.unwrap();
    }

    #[tokio::test]
    async fn what_follows_the_last_line_is_told_apart() {
        let (sender, mut lines) = mpsc::channel(256);
        read(&b"a\nb\xff\n\xff\xfe"[..], sender, true).await;
        assert_eq!(lines.recv().await, Some(Line::Out("a".to_owned())));
        assert_eq!(lines.recv().await, Some(Line::Out("b\u{fffd}".to_owned())));
        assert_eq!(lines.recv().await, Some(Line::Rest { out: true, bytes: vec![0xff, 0xfe] }));
        assert_eq!(lines.recv().await, None);
    }

    #[tokio::test]
    async fn the_last_lines_are_heard() {
        let (sender, mut lines) = mpsc::channel(256);
        for number in 0..100 {
            sender.try_send(Line::Err(number.to_string())).unwrap();
        }
        let mut heard = 0;
        // A process that prints nothing may keep the stream open.
        follow(std::future::ready(Ok(())), &mut lines, |_| heard += 1).await.unwrap();
        assert_eq!(heard, 100);
        drop(sender);
    }
}
