//! The charm's entry point: Juju starts it once per event, and Pebble as the agent.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args();
    if arguments.next().is_some_and(|program| pgbouncer_k8s::is_agent(&program)) {
        return pooler_agent::main(&arguments.collect::<Vec<_>>());
    }
    juju_charm::run(pgbouncer_k8s::PgBouncer::default())
}
