//! The charm's entry point: Juju starts it once per event, Patroni before it stops PostgreSQL.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args();
    if arguments.next().is_some_and(|program| postgresql_k8s::is_before_stop(&program)) {
        return before_stop::main(&arguments.collect::<Vec<_>>());
    }
    juju_charm::run(postgresql_k8s::Postgresql::default())
}
