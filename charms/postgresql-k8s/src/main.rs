//! The charm's entry point: Juju starts it once per event.

fn main() -> std::process::ExitCode {
    charm::run(postgresql_k8s::Postgresql::default())
}
