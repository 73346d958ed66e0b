//! Work that waits for a disk, kept off the threads that answer.
//!
//! The daemon has few threads for its tasks, and a disk may take seconds for a write. Whatever
//! reads or writes files, or waits for a lock that is held during such a write, goes through here:
//! meanwhile another thread takes over the tasks.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does work that may wait, at once, while another thread takes over this one's tasks.
///
/// Outside a runtime of several threads it is a plain call.
pub fn run<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Does work that may take long on a thread of its own; the task goes on waiting, and others run.
///
/// # Panics
/// When the work does.
pub async fn long<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Takes a lock that others may hold while they wait for a disk. What a panic left is taken as
/// it is.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    match mutex.try_lock() {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            run(|| mutex.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    /// The only thread of the runtime waits; another task ends the wait.
    #[test]
    fn others_run_while_one_waits() {
        let (done, wait) = mpsc::channel();
        runtime().block_on(async {
            let waiting = tokio::spawn(async move { super::run(|| wait.recv()) });
            tokio::spawn(async move { done.send(7) }).await.unwrap().unwrap();
            assert_eq!(waiting.await.unwrap(), Ok(7));
        });
    }

    #[test]
    fn others_run_while_one_waits_for_a_lock() {
        let mutex = Arc::new(Mutex::new(1));
        let (done, wait) = mpsc::channel();
        let holder = std::thread::spawn({
            let mutex = mutex.clone();
            let (held, holds) = mpsc::channel();
            let thread = std::thread::spawn(move || {
                let _guard = mutex.lock().unwrap();
                held.send(()).unwrap();
                wait.recv().unwrap();
            });
            holds.recv().unwrap();
            move || thread.join().unwrap()
        });
        runtime().block_on(async {
            let waiting = tokio::spawn(async move { *super::lock(&mutex) });
            tokio::spawn(async move { done.send(()) }).await.unwrap().unwrap();
            assert_eq!(waiting.await.unwrap(), 1);
        });
        holder.join().unwrap();
    }

    #[test]
    fn a_runtime_of_one_thread_is_no_place_to_step_aside() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { super::run(|| 3) }), 3);
        assert_eq!(super::run(|| 4), 4);
    }
}
