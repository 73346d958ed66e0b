//! The charm's entry point: Juju starts it once per event.

fn main() -> std::process::ExitCode {
    charm::run(pgbouncer_k8s::PgBouncer::default())
}
