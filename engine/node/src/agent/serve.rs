//! The side inside the container.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{HookCommand, LONGEST, STREAMS};

/// Exit codes of a shell for a program that is not there, and for one that cannot be started.
const NOT_FOUND: i32 = 127;
const NOT_STARTED: i32 = 126;

/// Starts the programs that are asked for through `control`, until the requester is gone; then ends
/// those that still run.
///
/// # Errors
/// When `control` is not what requests come through.
pub fn serve(control: &OwnedFd) -> io::Result<()> {
    std::thread::scope(|scope| {
        while let Some(streams) = receive(control)? {
            scope.spawn(move || answer(streams));
        }
        Ok(())
    })
}

/// The streams of the next request; `None` when the requester is gone.
fn receive(control: &OwnedFd) -> io::Result<Option<[OwnedFd; STREAMS]>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(STREAMS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let message = match recvmsg(control, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => continue,
            message => message?,
        };
        let streams: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(streams) => Some(streams),
                _ => None,
            })
            .flatten()
            .collect();
        if message.bytes == 0 {
            return Ok(None);
        }
        if let Ok(streams) = streams.try_into() {
            return Ok(Some(streams));
        }
    }
}

/// Runs one program and says how it ended, unless the requester has gone.
fn answer([stream, out, err]: [OwnedFd; STREAMS]) {
    let mut stream = UnixStream::from(stream);
    let Ok(command) = request(&mut stream) else { return };
    let status = match start(&command, out, err) {
        Ok(child) => follow(&stream, child).unwrap_or(NOT_STARTED << 8),
        Err(code) => code << 8,
    };
    // Who has hung up does not want the answer.
    let _ = stream.write_all(&status.to_be_bytes());
}

fn request(stream: &mut UnixStream) -> io::Result<HookCommand> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Starts the program as the leader of a process group; the exit code when that fails.
fn start(command: &HookCommand, out: OwnedFd, err: OwnedFd) -> Result<Child, i32> {
    let mut complaint = err.try_clone().map(File::from).map_err(|_| NOT_STARTED)?;
    let mut argv = command.argv.iter();
    let program = argv.next().ok_or(NOT_STARTED)?;
    let child = Command::new(program)
        .args(argv)
        .env_clear()
        .envs(&command.env)
        .current_dir(&command.cwd)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn();
    child.map_err(|error| {
        let _ = writeln!(complaint, "cannot run {program}: {error}");
        if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED }
    })
}

/// Waits for the program's end; ends it when the requester hangs up.
fn follow(stream: &UnixStream, mut child: Child) -> io::Result<i32> {
    let group = Pid::from_child(&child);
    if !ends_first(group, stream).unwrap_or(false) {
        // Not waited for yet, so that the number still stands for this program.
        let _ = kill_process_group(group, Signal::KILL);
    }
    Ok(child.wait()?.into_raw())
}

/// Waits until the program ends or the requester hangs up; whether the program ended first.
fn ends_first(program: Pid, stream: &UnixStream) -> io::Result<bool> {
    let program = pidfd_open(program, PidfdFlags::empty())?;
    loop {
        let mut ready = [PollFd::new(&program, PollFlags::IN), PollFd::new(stream, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(!ready[0].revents().is_empty()),
        }
    }
}
