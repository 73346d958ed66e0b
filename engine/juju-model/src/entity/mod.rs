//! What a model consists of.

pub(crate) mod action;
pub(crate) mod action_schema;
pub(crate) mod application;
pub(crate) mod charm_yaml;
pub(crate) mod hook;
pub(crate) mod meta;
pub(crate) mod relation;
pub(crate) mod secret;
pub(crate) mod storage;
pub(crate) mod unit;
pub(crate) mod uniter;
