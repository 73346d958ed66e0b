//! The Kubernetes objects that stand for the model, and the network that they describe.

pub(crate) mod container_status;
pub(crate) mod created_by;
pub(crate) mod forwards;
pub(crate) mod network;
pub(crate) mod objects;
pub(crate) mod pod_objects;
pub(crate) mod template;
