//! Pebble's API: client and plan types.
//!
//! [`Client`] speaks to one Pebble over its unix socket, one connection per request.
//! [`Layer`] says what should run; [`Layer::differs_from`] tells whether a [`Plan`]
//! already says so, so that a charm adds a layer only when something changes.

mod changes;
mod client;
mod envelope;
mod error;
mod exec;
mod files;
mod health;
mod logs;
mod multipart;
mod plan;
mod services;

pub use changes::Change;
pub use client::{Client, SystemInfo};
pub use envelope::ChangeId;
pub use error::Error;
pub use exec::{ExecOptions, ExecOutput};
pub use files::{FileInfo, FileKind, NewFile, Ownership};
pub use health::{CheckInfo, CheckStatus, Happened, Notice, OfChange};
pub use plan::{
    Check, ExecCheck, HttpCheck, Layer, LogTarget, Override, Plan, Service, Startup, TcpCheck,
};
pub use services::{ServiceInfo, ServiceStatus};
