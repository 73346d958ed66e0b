//! The contract of Patroni, kept by the simulated one.

#[path = "../../crates/patroni/tests/contract/mod.rs"]
mod contract;

use contract::{Failure, Far, Members};
use sim::parts::Parts;

struct Simulated<'a>(&'a Parts);

impl Members for Simulated<'_> {
    fn rest(&self, pod: &str) -> patroni::Rest {
        self.0.patroni(pod).unwrap_or_else(|| panic!("{pod} is no pod"))
    }

    fn trusting(&self, pod: &str, authority: &str) -> patroni::Rest {
        let rest = self.0.patroni_trusting(pod, authority);
        rest.unwrap_or_else(|| panic!("{pod} is no pod"))
    }

    fn certificate(&self, pod: &str) -> Result<(String, String), Failure> {
        let made = rcgen::generate_simple_self_signed(vec![pod.to_owned()])?;
        Ok((made.cert.pem(), made.signing_key.serialize_pem()))
    }

    fn pebble(&self, pod: &str) -> pebble_client::Client {
        self.0.pebble_of(pod).unwrap_or_else(|| panic!("{pod} is no pod"))
    }
}

macro_rules! keeps {
    ($($promise:ident),* $(,)?) => {$(
        #[test]
        fn $promise() -> Result<(), Failure> {
            let parts = Parts::members().ok_or("cannot make a cluster")?;
            let far = Far {
                members: &Simulated(&parts),
                kubernetes: parts.kubernetes().ok_or("cannot reach Kubernetes")?,
                app: "postgresql-k8s".to_owned(),
                password: parts.password_of("patroni").ok_or("nobody has a password")?,
            };
            parts.run(contract::$promise(&far)).ok_or("cannot start the runtime")?
        }
    )*};
}

keeps!(
    the_cluster_is_shown,
    the_objects_are_marked,
    settings_are_merged,
    parameters_wait_for_a_restart,
    the_file_is_read_again,
    the_api_speaks_tls_by_its_file,
    the_lead_is_handed_over,
    impossible_orders_are_refused,
    members_that_stop_and_come_back,
);
