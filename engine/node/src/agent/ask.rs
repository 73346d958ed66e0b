//! The side of this machine.

use std::collections::HashMap;
use std::io::{self, IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    sendmsg, socketpair,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use super::{AGENT, HookCommand, STREAMS};
use crate::container::Runtime;
use crate::process::Process;

/// How long a container may take to start an agent, and its agent to take a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agents of containers that were asked for something, by the runtime's name.
#[derive(Debug, Default)]
pub(crate) struct Agents(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Agent>>>>>);

#[derive(Debug)]
struct Agent {
    /// First process of the container that it is in.
    container: Process,
    /// The socket of its requests; the agent ends when this is closed.
    control: OwnedFd,
    /// Whether it has let go of a program that had not ended.
    gone: Arc<AtomicBool>,
}

/// A program that was asked for, and what it prints.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) program: Program,
    pub(crate) out: pipe::Receiver,
    pub(crate) err: pipe::Receiver,
}

/// The request's own stream: the program ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    stream: UnixStream,
    agent_gone: Arc<AtomicBool>,
}

/// This side of a request, and what the agent gets.
struct Ends {
    own: Asked,
    given: [OwnedFd; STREAMS],
}

impl Agents {
    /// Starts a program in the container `id`, whose first process is `container`.
    pub(crate) async fn start(
        &self,
        runtime: &Runtime,
        id: &str,
        container: Process,
        command: &HookCommand,
    ) -> io::Result<Asked> {
        let request = serde_json::to_vec(command)?;
        let length = u32::try_from(request.len()).map_err(io::Error::other)?;
        let Ends { mut own, given } = ends()?;
        own.program.agent_gone = self.send(runtime, id, container, &given).await?;
        drop(given);
        // An agent that has ended already is noticed when the answer is read.
        let request = [&length.to_be_bytes(), request.as_slice()].concat();
        match timeout(PATIENCE, own.program.stream.write_all(&request)).await {
            Ok(_) => Ok(own),
            Err(_) => Err(late("the container's agent does not take a request")),
        }
    }

    /// Forgets the agent of a container that goes.
    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Hands the streams to the container's agent; one that does not take them, or is known to
    /// be ending, is replaced.
    async fn send(
        &self,
        runtime: &Runtime,
        id: &str,
        container: Process,
        streams: &[OwnedFd; STREAMS],
    ) -> io::Result<Arc<AtomicBool>> {
        let slot = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(id.to_owned()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        let serves =
            |agent: &&Agent| agent.container == container && !agent.gone.load(Ordering::Acquire);
        if let Some(agent) = slot.as_ref().filter(serves)
            && hand_over(&agent.control, streams).is_ok()
        {
            return Ok(agent.gone.clone());
        }
        *slot = None;
        // A process in the container may stop the runtime there, and others wait for the slot.
        let entered = timeout(PATIENCE, enter(runtime, id)).await;
        let control =
            entered.map_err(|_| late("the runtime does not get into the container"))??;
        hand_over(&control, streams)?;
        let gone = Arc::<AtomicBool>::default();
        *slot = Some(Agent { container, control, gone: gone.clone() });
        Ok(gone)
    }
}

impl Program {
    /// How the program ended.
    pub(crate) async fn status(&mut self) -> io::Result<ExitStatus> {
        let mut status = [0; 4];
        let read = self.stream.read_exact(&mut status).await;
        // A process that is killed closes one stream after the other, so the next request must not
        // take an open stream for a live agent.
        read.inspect_err(|_| self.agent_gone.store(true, Ordering::Release))?;
        Ok(ExitStatus::from_raw(i32::from_be_bytes(status)))
    }
}

fn ends() -> io::Result<Ends> {
    let (stream, theirs) = std::os::unix::net::UnixStream::pair()?;
    stream.set_nonblocking(true)?;
    let (out, their_out) = io::pipe()?;
    let (err, their_err) = io::pipe()?;
    Ok(Ends {
        own: Asked {
            program: Program { stream: UnixStream::from_std(stream)?, agent_gone: Arc::default() },
            out: pipe::Receiver::from_owned_fd(out.into())?,
            err: pipe::Receiver::from_owned_fd(err.into())?,
        },
        given: [theirs.into(), their_out.into(), their_err.into()],
    })
}

/// Never waits: an agent that lets requests lie is as good as none.
fn hand_over(control: &OwnedFd, streams: &[OwnedFd; STREAMS]) -> io::Result<()> {
    let streams = streams.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&streams));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(control, &[IoSlice::new(b"x")], &mut ancillary, flags)?;
    Ok(())
}

fn late(what: &str) -> io::Error {
    let words = format!("{what} within {} s", PATIENCE.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, words)
}

/// Has the runtime start an agent in the container, and returns the socket of its requests.
async fn enter(runtime: &Runtime, id: &str) -> io::Result<OwnedFd> {
    let (own, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let (mut complaint, err) = io::pipe()?;
    let mut command = runtime.command();
    command.args(["exec", "--detach", id, AGENT]);
    command.stdin(theirs).stdout(Stdio::null()).stderr(err).kill_on_drop(true);
    let status = command.status().await?;
    // The agent has the other ends now, so this side must not keep them open.
    drop(command);
    if status.success() {
        return Ok(own);
    }
    rustix::io::ioctl_fionbio(&complaint, true)?;
    let mut words = vec![0; 4096];
    let length = complaint.read(&mut words).unwrap_or(0);
    let words = String::from_utf8_lossy(&words[..length]).trim().to_owned();
    Err(io::Error::other(format!("the runtime refused to enter the container: {words}")))
}
