//! A connection to a simulated PgBouncer, which stays open until it is dropped.

use std::sync::Arc;
use std::time::Duration;

use juju_names::UnitName;
use tokio::time::{Instant, sleep};

use crate::World;
use crate::far::pebble::Container;
use crate::far::pgbouncer::{Answer, CONSOLE, Id, Process, Request};
use crate::world::State;

/// The pause between two looks for an answer.
const LOOK: Duration = Duration::from_millis(5);

/// Where a process is.
type Place = (UnitName, String);

/// A client's connection, or a console.
pub struct Session {
    world: Arc<World>,
    begun: Instant,
    place: Place,
    id: Id,
    is_console: bool,
}

/// The process at a place.
fn process<'a>(state: &'a mut State, (unit, service): &Place) -> Option<&'a mut Process> {
    let container = state.far.pods.get_mut(unit)?.container.as_mut()?;
    container.pooler_mut(service)
}

/// The process that listens on a port and takes clients.
fn listening(state: &State, port: u16) -> Option<Place> {
    state.far.pods.iter().find_map(|(unit, pod)| {
        let mut all = pod.container.iter().flat_map(Container::poolers);
        let here = |process: &Process| process.port() == Some(port) && !process.traffic.ends();
        let (service, _) = all.find(|(_, process)| here(process))?;
        Some((unit.clone(), service.clone()))
    })
}

impl Session {
    /// Opens one, and waits while the process holds its clients.
    pub(super) async fn open(
        world: Arc<World>,
        begun: Instant,
        port: u16,
        (user, password, database): (&str, &str, &str),
    ) -> Result<Self, String> {
        let is_console = database == CONSOLE;
        let refused = || "connection refused".to_owned();
        let (place, id) = loop {
            let entered = world.change(|state| -> Result<_, String> {
                let place = listening(state, port).ok_or_else(refused)?;
                let found = state.far.processes().find(|(unit, service, _)| {
                    (*unit, service.as_str()) == (&place.0, place.1.as_str())
                });
                let (.., found) = found.ok_or_else(refused)?;
                // Without a server nobody's password is looked up.
                if found.traffic.is_paused() && !is_console {
                    return Ok(None);
                }
                state.far.login(found, user, password, database)?;
                let process = process(state, &place).ok_or_else(refused)?;
                let pool = (database.to_owned(), user.to_owned());
                let id = match is_console {
                    true => process.traffic.open_console(process.administers(user)),
                    false => process.traffic.connect(pool, begun.elapsed()),
                };
                Ok(Some((place, id.ok_or_else(refused)?)))
            })?;
            match entered {
                Some(entered) => break entered,
                None => sleep(LOOK).await,
            }
        };
        let session = Self { world, begun, place, id, is_console };
        if !is_console {
            session.answer().await?;
        }
        Ok(session)
    }

    /// Asks for one thing and waits for the answer.
    pub async fn asks(&self, text: &str) -> Answer {
        let request = match text {
            "BEGIN" => Request::Begin,
            "COMMIT" => Request::Commit,
            _ => Request::Query,
        };
        let asked = self.world.change(|state| {
            let traffic = &mut process(state, &self.place)?.traffic;
            match self.is_console {
                true => traffic.command(self.id, text),
                false => traffic.ask(self.id, request, self.begun.elapsed()),
            }
            Some(())
        });
        match asked {
            Some(()) => self.answer().await,
            None => Err("connection closed".to_owned()),
        }
    }

    async fn answer(&self) -> Answer {
        loop {
            let answer = self.world.change(|state| {
                state.far.turn(self.begun.elapsed());
                match process(state, &self.place) {
                    Some(process) => process.traffic.answer(self.id),
                    None => Some(Err("connection closed".to_owned())),
                }
            });
            match answer {
                Some(answer) => return answer,
                None => sleep(LOOK).await,
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let now = self.begun.elapsed();
        self.world.change(|state| {
            if let Some(process) = process(state, &self.place) {
                process.traffic.leave(self.id);
            }
            state.far.turn(now);
        });
    }
}
