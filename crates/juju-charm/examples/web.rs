//! A web server that needs a database: `docs/how-to/write-a-charm.md` walks through it.

use juju_charm::{Decision, Error, Event, Layer, Reader, Service, SimpleCharm, Status, Write};

struct Web;

#[derive(serde::Deserialize)]
struct Options {
    port: u16,
}

impl SimpleCharm for Web {
    type Options = Options;
    type Facts = Option<String>; // Where the database is.

    async fn gather(&mut self, juju: &mut Reader, _: &Event) -> Result<Option<String>, Error> {
        let Some(&id) = juju.live_relations("database")?.first() else { return Ok(None) };
        Ok(juju.remote_app_bag(id)?.remove("endpoints"))
    }

    fn decide(_: &Event, options: &Options, database: &Option<String>) -> Decision<Write> {
        let Some(database) = database else {
            return Decision::new().status(Status::blocked("Relate a database"));
        };
        let run = format!("web --port {} --database {database}", options.port);
        Decision::new()
            .effect(Write::layer("web", Layer::default().service("web", Service::command(run))))
            .effect(Write::ports([options.port]))
            .status(Status::active())
    }
}

fn main() -> std::process::ExitCode {
    juju_charm::run(Web)
}

#[cfg(test)]
#[path = "web/tests.rs"]
mod tests;
