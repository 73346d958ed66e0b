//! The charm's entry point: Juju starts it once per event.

fn main() -> std::process::ExitCode {
    juju_charm::run(data_integrator::DataIntegrator)
}
