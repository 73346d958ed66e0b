//! Files and the plan of the container, from checked values.

pub(crate) mod agent;
pub(crate) mod databases;
pub(crate) mod ini;
pub(crate) mod layer;
