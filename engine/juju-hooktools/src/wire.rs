//! The frames between a hook tool's process and the engine, over a unix socket.
//!
//! A frame is a length (u32, little endian) and that many bytes: at most 16 MiB of a request, and
//! of an answer what the largest databag may need when each of its signs is escaped.
//! Inside, texts and byte strings are again a length and bytes, in the order of the fields.
//! A blocking client uses `encode` and `decode`; an async server reads four bytes, asks
//! `frame_length`, reads so many more, calls `Request::parse` and writes
//! `Response::to_bytes`.

use std::io::{self, Read, Write};

/// The largest request, without its length.
pub const MAX_FRAME: usize = 16 << 20;

/// The largest answer: no sign of a databag takes more than six when it is printed.
pub const MAX_ANSWER: usize = 6 * juju_model::DOCUMENT_MAX + (1 << 20);

/// The tool name of a request that runs a command in a fresh hook tools.
pub const EXEC: &str = "juju-exec";

/// A frame that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Longer than `MAX_FRAME` or `MAX_ANSWER`.
    #[error("cannot send or take a frame of {0} bytes: the most is {1}")]
    TooLong(usize, usize),
    /// The bytes end early, go on too long, or are not UTF-8 where they must be.
    #[error("cannot read the frame: {0}")]
    Malformed(&'static str),
    /// The socket failed.
    #[error("cannot talk over the agent's socket: {0}")]
    Socket(#[from] io::Error),
}

/// One call of a hook tool, or of `juju-exec`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `JUJU_CONTEXT_ID` of the caller; empty for `juju-exec`.
    pub context_id: String,
    /// The caller's working directory.
    pub dir: String,
    /// The tool's name.
    pub tool: String,
    /// Arguments, without the name.
    pub args: Vec<String>,
    /// Standard input or the `--file`, where the tool asked for it.
    pub stdin: Option<Vec<u8>>,
}

/// What the tool's process prints and exits with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// Exit code.
    pub code: u8,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// The length of the frame that these four bytes announce.
///
/// # Errors
/// `WireError::TooLong` above `MAX_FRAME`.
pub fn frame_length(prefix: [u8; 4]) -> Result<usize, WireError> {
    let length = u32::from_le_bytes(prefix) as usize;
    within(length, MAX_FRAME)
}

fn within(length: usize, most: usize) -> Result<usize, WireError> {
    if length > most { Err(WireError::TooLong(length, most)) } else { Ok(length) }
}

impl Request {
    /// A request to run a shell command in a fresh hook context of a unit.
    pub fn exec(unit: String, command: String, dir: String) -> Self {
        Self { dir, tool: EXEC.to_owned(), args: vec![unit, command], ..Self::default() }
    }

    /// The unit and the command of a `juju-exec` request.
    pub fn as_exec(&self) -> Option<(&str, &str)> {
        match self.args.as_slice() {
            [unit, command] if self.tool == EXEC => Some((unit, command)),
            _ => None,
        }
    }

    /// A whole frame, its length included.
    ///
    /// # Errors
    /// `WireError::TooLong`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut frame = Frame::new();
        frame.bytes(self.context_id.as_bytes());
        frame.bytes(self.dir.as_bytes());
        frame.bytes(self.tool.as_bytes());
        frame.length(self.args.len());
        for arg in &self.args {
            frame.bytes(arg.as_bytes());
        }
        frame.0.push(u8::from(self.stdin.is_some()));
        if let Some(stdin) = &self.stdin {
            frame.bytes(stdin);
        }
        frame.finish(MAX_FRAME)
    }

    /// Reads a frame's content, without its length.
    ///
    /// # Errors
    /// `WireError::Malformed`.
    pub fn parse(content: &[u8]) -> Result<Self, WireError> {
        let mut left = Content(content);
        let context_id = left.text()?;
        let dir = left.text()?;
        let tool = left.text()?;
        // The count is not trusted: the vector grows only as arguments are met.
        let count = left.length()?;
        let mut args = Vec::new();
        for _ in 0..count {
            args.push(left.text()?);
        }
        let stdin = match left.byte()? {
            0 => None,
            1 => Some(left.bytes()?.to_vec()),
            _ => return Err(WireError::Malformed("neither with nor without standard input")),
        };
        left.finish()?;
        Ok(Self { context_id, dir, tool, args, stdin })
    }

    /// Writes a whole frame.
    ///
    /// # Errors
    /// `WireError::TooLong`, or whatever the socket says.
    pub fn encode(&self, to: &mut impl Write) -> Result<(), WireError> {
        Ok(to.write_all(&self.to_bytes()?)?)
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// `WireError`, all kinds.
    pub fn decode(from: &mut impl Read) -> Result<Self, WireError> {
        Self::parse(&read_frame(from, MAX_FRAME)?)
    }
}

impl Response {
    /// A whole frame, its length included.
    ///
    /// # Errors
    /// `WireError::TooLong`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut frame = Frame::new();
        frame.0.push(self.code);
        frame.bytes(&self.stdout);
        frame.bytes(&self.stderr);
        frame.finish(MAX_ANSWER)
    }

    /// Reads a frame's content, without its length.
    ///
    /// # Errors
    /// `WireError::Malformed`.
    pub fn parse(content: &[u8]) -> Result<Self, WireError> {
        let mut left = Content(content);
        let code = left.byte()?;
        let stdout = left.bytes()?.to_vec();
        let stderr = left.bytes()?.to_vec();
        left.finish()?;
        Ok(Self { code, stdout, stderr })
    }

    /// Writes a whole frame.
    ///
    /// # Errors
    /// `WireError::TooLong`, or whatever the socket says.
    pub fn encode(&self, to: &mut impl Write) -> Result<(), WireError> {
        Ok(to.write_all(&self.to_bytes()?)?)
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// `WireError`, all kinds.
    pub fn decode(from: &mut impl Read) -> Result<Self, WireError> {
        Self::parse(&read_frame(from, MAX_ANSWER)?)
    }
}

fn read_frame(from: &mut impl Read, most: usize) -> Result<Vec<u8>, WireError> {
    let mut prefix = [0; 4];
    from.read_exact(&mut prefix)?;
    let length = within(u32::from_le_bytes(prefix) as usize, most)?;
    // Memory follows the bytes that arrive, not the length that was announced.
    let mut content = Vec::new();
    from.take(length as u64).read_to_end(&mut content)?;
    if content.len() < length {
        return Err(WireError::Malformed("it ends early"));
    }
    Ok(content)
}

/// A frame being written; four bytes are kept free for its length.
struct Frame(Vec<u8>);

impl Frame {
    fn new() -> Self {
        Self(vec![0; 4])
    }

    /// A length that does not fit makes the frame too long anyway, which `finish` says.
    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn finish(mut self, most: usize) -> Result<Vec<u8>, WireError> {
        let length = within(self.0.len() - 4, most)?;
        let short = u32::try_from(length).map_err(|_| WireError::TooLong(length, most))?;
        self.0[..4].copy_from_slice(&short.to_le_bytes());
        Ok(self.0)
    }
}

/// What is left of a frame being read.
struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) =
            self.0.split_at_checked(count).ok_or(WireError::Malformed("it ends early"))?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, WireError> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn length(&mut self) -> Result<usize, WireError> {
        let mut prefix = [0; 4];
        prefix.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(prefix) as usize)
    }

    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, WireError> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned).map_err(|_| WireError::Malformed("a text is not UTF-8"))
    }

    fn finish(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Malformed("it goes on too long")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn requests_come_back(
            context_id: String, dir: String, tool: String, args: Vec<String>,
            stdin: Option<Vec<u8>>,
        ) {
            let request = Request { context_id, dir, tool, args, stdin };
            let bytes = request.to_bytes().unwrap();
            prop_assert_eq!(&Request::parse(&bytes[4..]).unwrap(), &request);
            prop_assert_eq!(&Request::decode(&mut bytes.as_slice()).unwrap(), &request);
            let mut written = Vec::new();
            request.encode(&mut written).unwrap();
            prop_assert_eq!(&written, &bytes);
            for cut in 0..bytes.len() {
                prop_assert!(Request::decode(&mut &bytes[..cut]).is_err());
            }
        }

        #[test]
        fn responses_come_back(code: u8, stdout: Vec<u8>, stderr: Vec<u8>) {
            let response = Response { code, stdout, stderr };
            let bytes = response.to_bytes().unwrap();
            prop_assert_eq!(&Response::parse(&bytes[4..]).unwrap(), &response);
            prop_assert_eq!(&Response::decode(&mut bytes.as_slice()).unwrap(), &response);
        }

        #[test]
        fn hostile_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes);
            let _ = Response::parse(&bytes);
            let _ = Request::decode(&mut bytes.as_slice());
            let _ = Response::decode(&mut bytes.as_slice());
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert!(frame_length((MAX_FRAME as u32).to_le_bytes()).is_ok());
        assert!(frame_length((MAX_FRAME as u32 + 1).to_le_bytes()).is_err());
        assert!(Request::decode(&mut [255u8; 64].as_slice()).is_err());
        let long = Request { stdin: Some(vec![0; MAX_FRAME]), ..Request::default() };
        assert!(matches!(long.to_bytes(), Err(WireError::TooLong(_, MAX_FRAME))));
        let long = Response { stdout: vec![0; MAX_ANSWER], ..Response::default() };
        assert!(matches!(long.to_bytes(), Err(WireError::TooLong(_, MAX_ANSWER))));
        // A huge count of arguments with no bytes behind it.
        let mut content = vec![0; 12];
        content.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(Request::parse(&content).is_err());
    }

    #[test]
    fn exec_requests_are_told_apart() {
        let exec = Request::exec("pg/0".into(), "true".into(), "/".into());
        assert_eq!(exec.as_exec(), Some(("pg/0", "true")));
        let tool = Request { tool: "is-leader".into(), args: exec.args, ..Request::default() };
        assert_eq!(tool.as_exec(), None);
    }
}
