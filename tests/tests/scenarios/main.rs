//! Scenarios on real parts, one engine each, in one binary, which is linked once.
//!
//! `cargo test -p end-to-end --test scenarios -- pooler::` runs those of a file.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod acceptance;
mod bounds;
mod clients;
mod cluster;
mod contract;
mod crash;
mod disks;
mod disorder;
mod drain;
mod example;
mod exposed;
mod failover;
mod faults;
mod grace;
mod images;
mod jubilant;
mod main_job;
mod mend;
mod page;
mod parts;
mod planned;
mod pooler;
mod privileges;
mod probes;
mod python_charm;
mod refusals;
mod rest;
mod run_folder;
mod security;
mod setup;
mod single;
mod tls;
mod upgrade;
mod watch;
