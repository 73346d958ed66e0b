//! The tasks of units' agents: one for each unit, for as long as there is the unit.

use std::collections::BTreeMap;
use std::future::Future;

use juju_names::UnitName;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, Id, JoinHandle};

/// The tasks, by unit.
pub(crate) struct Agents {
    tasks: BTreeMap<UnitName, JoinHandle<()>>,
    ends: UnboundedSender<Id>,
    ended: UnboundedReceiver<Id>,
}

impl Agents {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (ends, ended) = unbounded_channel();
        Self { tasks: BTreeMap::new(), ends, ended }
    }

    /// Starts a task for each unit that has none.
    ///
    /// A unit may be made anew under the name of one whose task has not ended yet. That unit gets
    /// its task after [`Self::ended`].
    pub(crate) fn keep<F>(&mut self, units: &[UnitName], live: impl Fn(UnitName) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.retain(|_, task| !task.is_finished());
        for unit in units {
            if self.tasks.contains_key(unit) {
                continue;
            }
            let (life, ends) = (live(unit.clone()), self.ends.clone());
            let task = tokio::spawn(async move {
                life.await;
                // The receiver goes with the engine.
                ends.send(tokio::task::id()).ok();
            });
            self.tasks.insert(unit.clone(), task);
        }
    }

    /// Waits until a task has ended.
    pub(crate) async fn ended(&mut self) {
        let Some(id) = self.ended.recv().await else { return };
        // It has nothing left to do but to end.
        self.tasks.retain(|_, task| task.id() != id);
    }

    /// Waits for all tasks; the handles end those that take too long.
    pub(crate) fn join(self) -> (impl Future<Output = ()>, Vec<AbortHandle>) {
        let aborts = self.tasks.values().map(JoinHandle::abort_handle).collect();
        let all = futures_util::future::join_all(self.tasks.into_values());
        (async move { drop(all.await) }, aborts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_unit_that_is_made_anew_while_its_task_ends_gets_another() {
        let units = ["a/0".parse().unwrap()];
        let (started, may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let live = |_| {
            started.fetch_add(1, Ordering::Relaxed);
            let may_end = may_end.clone();
            async move { may_end.acquire().await.unwrap().forget() }
        };
        let mut agents = Agents::new();
        agents.keep(&units, live);
        agents.keep(&units, live);
        assert_eq!(started.load(Ordering::Relaxed), 1, "one at a time");
        may_end.add_permits(1);
        agents.ended().await;
        agents.keep(&units, live);
        assert_eq!(started.load(Ordering::Relaxed), 2);
        agents.keep(&units, live);
        assert_eq!(started.load(Ordering::Relaxed), 2, "what ended before ends nothing later");
        may_end.add_permits(1);
        let (all, _) = agents.join();
        all.await;
    }
}
