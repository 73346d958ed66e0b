//! Charms as files: what a `.charm` file holds, and how one is made.

pub(crate) mod charm_file;
pub(crate) mod pack;
pub(crate) mod pack_python;
