//! One test for every edge of the two flowcharts.

/// The chart "Leader Elected Hook".
mod leader_elected {
    use super::super::{check_order, check_without, decide, deferred, list};
    use crate::facts::fixture::{joined, member, new_leader, steady};
    use juju_charm::{Decision, Event, SecretContent};
    use patroni::{Role, State};

    use crate::effect::Effect;
    use crate::facts::Facts;

    fn elected(facts: &Facts) -> Decision<Effect> {
        decide(&Event::LeaderElected, facts)
    }

    fn first() -> Facts {
        let mut facts = new_leader();
        facts.secret = SecretContent::new();
        facts.peer.as_mut().unwrap().app.clear();
        facts
    }

    /// A cluster whose third unit joined while the second is not well.
    fn unwell() -> Facts {
        let mut facts = joined();
        let starting = member("pg-9", Role::Replica, State::Starting);
        facts.cluster.as_mut().unwrap().members.push(starting);
        facts
    }

    #[test]
    fn leader_elected_is_peer_no_defer() {
        let mut facts = first();
        facts.peer = None;
        assert!(deferred(&elected(&facts)));
    }

    #[test]
    fn leader_elected_has_passwords_no_generate_passwords() {
        assert_eq!(list(&elected(&first()))[0], "put secret database-peers.pg.app");
    }

    #[test]
    fn leader_elected_has_passwords_yes_create_k8s_resources() {
        check_without(&elected(&new_leader()), "put secret");
        assert_eq!(list(&elected(&new_leader()))[0], "apply services");
    }

    #[test]
    fn leader_elected_generate_passwords_to_create_k8s_resources() {
        check_order(&elected(&first()), "put secret", "apply services");
    }

    #[test]
    fn leader_elected_create_k8s_resources_to_is_part_of_cluster() {
        check_order(&elected(&first()), "apply services", "set app 1: endpoints");
        assert_eq!(list(&elected(&new_leader())), ["apply services"]);
    }

    #[test]
    fn leader_elected_is_part_of_cluster_no_add_to_cluster() {
        let added = r#"set app 1: endpoints=["pg-0.pg-endpoints"]"#;
        assert!(list(&elected(&first())).contains(&added.to_owned()));
    }

    #[test]
    fn leader_elected_add_to_cluster_to_remove_departed_units() {
        let mut facts = first();
        let gone = r#"["pg-5.pg-endpoints"]"#.to_owned();
        facts.peer.as_mut().unwrap().app.insert("endpoints".to_owned(), gone);
        let changed = r#"set app 1: endpoints=["pg-0.pg-endpoints"]"#;
        assert!(list(&elected(&facts)).contains(&changed.to_owned()));
    }

    #[test]
    fn leader_elected_is_part_of_cluster_yes_remove_departed_units() {
        let mut facts = steady();
        let hosts = r#"["pg-0.pg-endpoints","pg-5.pg-endpoints"]"#.to_owned();
        facts.peer.as_mut().unwrap().app.insert("endpoints".to_owned(), hosts);
        let changed = r#"set app 1: endpoints=["pg-0.pg-endpoints"]"#;
        assert_eq!(list(&elected(&facts)), ["apply services", changed]);
    }

    #[test]
    fn leader_elected_remove_departed_units_to_has_cluster_initialised() {
        // A unit that joined stays out before the cluster is set up, and comes in after.
        let mut facts = joined();
        facts.peer.as_mut().unwrap().app.remove("cluster_initialised");
        check_without(&elected(&facts), "label");
        assert!(list(&elected(&joined())).contains(&"label pg-1".to_owned()));
    }

    #[test]
    fn leader_elected_has_cluster_initialised_no_return() {
        let mut facts = joined();
        facts.peer.as_mut().unwrap().app.remove("cluster_initialised");
        let decision = elected(&facts);
        assert_eq!(list(&decision), ["apply services"]);
        assert!(!deferred(&decision));
    }

    #[test]
    fn leader_elected_has_cluster_initialised_yes_all_units_on_cluster() {
        let decision = elected(&steady());
        assert_eq!(list(&decision), ["apply services"]);
        assert!(!deferred(&decision));
    }

    #[test]
    fn leader_elected_all_units_on_cluster_yes_update_config() {
        let mut facts = steady();
        facts.dynamic.as_mut().unwrap()["synchronous_node_count"] = 2.into();
        check_order(&elected(&facts), "apply services", "patch");
    }

    #[test]
    fn leader_elected_all_units_on_cluster_no_are_all_members_ready() {
        assert!(deferred(&elected(&unwell())));
        assert!(!deferred(&elected(&joined())));
    }

    #[test]
    fn leader_elected_are_all_members_ready_no_defer() {
        let decision = elected(&unwell());
        assert!(deferred(&decision));
        check_without(&decision, "label");
        check_without(&decision, "set app 1: endpoints");
        let mut silent = joined();
        silent.cluster = None;
        assert!(deferred(&elected(&silent)));
    }

    #[test]
    fn leader_elected_defer_to_update_config() {
        let decision = elected(&unwell());
        assert!(deferred(&decision));
        assert!(list(&decision).contains(&r#"patch {"synchronous_node_count":1}"#.to_owned()));
    }

    #[test]
    fn leader_elected_are_all_members_ready_yes_add_unit_to_cluster() {
        let added = r#"set app 1: endpoints=["pg-0.pg-endpoints","pg-1.pg-endpoints"]"#;
        assert!(list(&elected(&joined())).contains(&added.to_owned()));
    }

    #[test]
    fn leader_elected_add_unit_to_cluster_to_patch_pod_labels() {
        check_order(&elected(&joined()), "set app 1: endpoints", "label pg-1");
    }

    #[test]
    fn leader_elected_patch_pod_labels_to_all_units_on_cluster() {
        // Every unit that waits is added in one hook, and then nothing waits any more.
        let mut facts = joined();
        facts.peer.as_mut().unwrap().units.push("pg/2".parse().unwrap());
        let decision = elected(&facts);
        assert!(list(&decision).contains(&"label pg-1 pg-2".to_owned()));
        assert!(!deferred(&decision));
    }

    #[test]
    fn leader_elected_update_config_to_return() {
        let decision = elected(&joined());
        let slot = r#""slots":{"pg_1":{"type":"physical"}}"#;
        let patch = format!(r#"patch {{{slot},"synchronous_node_count":1}}"#);
        assert_eq!(list(&decision).last().unwrap(), &patch);
        assert_eq!(decision.status, None);
    }
}

/// The chart "PostgreSQL Pebble Ready Hook".
mod pebble_ready {
    use super::super::{check_order, check_without, decide, deferred, list, pebble_ready};
    use crate::apply::{after_member, after_push, after_set_up, refused};
    use crate::effect::Effect;
    use crate::facts::Facts;
    use crate::facts::fixture::{new_leader, running_health, second_unit, steady};
    use crate::wording::{member_waits, untrusted};
    use juju_charm::{Applied, Decision, Status};

    fn ready(facts: &Facts) -> Decision<Effect> {
        decide(&pebble_ready(), facts)
    }

    #[test]
    fn pebble_ready_is_container_no_defer() {
        let mut facts = new_leader();
        facts.container = None;
        assert!(deferred(&ready(&facts)));
    }

    #[test]
    fn pebble_ready_has_passwords_no_defer() {
        let mut facts = new_leader();
        facts.secret = juju_charm::SecretContent::new();
        assert!(deferred(&ready(&facts)));
        check_without(&ready(&facts), "start workload");
    }

    #[test]
    fn pebble_ready_is_valid_no_blocked() {
        let mut facts = new_leader();
        facts.settings = Err(vec!["x".to_owned()]);
        let blocked = "refuse: Configuration Error. Please check the logs: x";
        assert_eq!(list(&ready(&facts)), [blocked, "apply services"]);
    }

    #[test]
    fn pebble_ready_is_container_yes_create_pgdata() {
        assert_eq!(list(&ready(&new_leader()))[..2], ["apply services", "prepare storage"]);
        check_without(&ready(&steady()), "prepare storage");
    }

    #[test]
    fn pebble_ready_create_pgdata_to_is_leader_or_has_cluster_initialised() {
        let mut facts = second_unit();
        facts.peer.as_mut().unwrap().app.remove("cluster_initialised");
        assert_eq!(list(&ready(&facts)), ["prepare storage"]);
        check_order(&ready(&new_leader()), "prepare storage", "push config");
    }

    #[test]
    fn pebble_ready_is_leader_or_has_cluster_initialised_no_defer() {
        let mut facts = second_unit();
        facts.peer.as_mut().unwrap().app.remove("cluster_initialised");
        assert!(deferred(&ready(&facts)));
    }

    #[test]
    fn pebble_ready_is_leader_or_has_cluster_initialised_yes_has_pushed_tls_files() {
        // Without a certificate patroni.yml is the one file to push.
        for facts in [new_leader(), second_unit()] {
            assert!(list(&ready(&facts)).contains(&"push config".to_owned()));
        }
    }

    #[test]
    fn pebble_ready_has_pushed_tls_files_no_defer() {
        let away =
            pebble_client::Error::Timeout { doing: "push".to_owned(), after: Default::default() };
        assert!(matches!(after_push(Err(away)), Ok(Applied::Defer { .. })));
    }

    #[test]
    fn pebble_ready_has_pushed_tls_files_yes_has_services_changed() {
        assert!(matches!(after_push(Ok(())), Ok(Applied::Done)));
        check_order(&ready(&new_leader()), "push config", "start workload");
    }

    #[test]
    fn pebble_ready_has_services_changed_no_has_member_started() {
        let mut facts = steady();
        facts.container.as_mut().unwrap().health = None;
        check_without(&ready(&facts), "start workload");
        assert!(list(&ready(&facts)).contains(&"await member".to_owned()));
        check_without(&ready(&steady()), "await member");
    }

    #[test]
    fn pebble_ready_has_services_changed_yes_update_and_restart_service() {
        let mut facts = steady();
        let plan = &mut facts.container.as_mut().unwrap().plan;
        plan.services.get_mut("postgresql").unwrap().command = Some("old".to_owned());
        assert!(list(&ready(&facts)).contains(&"start workload".to_owned()));
    }

    #[test]
    fn pebble_ready_update_and_restart_service_to_has_member_started() {
        check_order(&ready(&new_leader()), "start workload", "await member");
    }

    #[test]
    fn pebble_ready_has_member_started_no_defer() {
        let status = Some(Status::waiting("awaiting for cluster to start"));
        let reason = "PostgreSQL has not started yet".to_owned();
        assert_eq!(after_member(None, &member_waits()), Applied::Defer { reason, status });
    }

    #[test]
    fn pebble_ready_has_member_started_yes_is_leader() {
        assert_eq!(after_member(Some(&running_health()), &member_waits()), Applied::Done);
        check_order(&ready(&new_leader()), "await member", "set up cluster");
        check_without(&ready(&second_unit()), "set up cluster");
    }

    #[test]
    fn pebble_ready_is_leader_yes_has_patched_pod_labels() {
        // Patroni looks for its own pod by the labels, so they come before it starts.
        check_order(&ready(&new_leader()), "label pg-0", "start workload");
    }

    #[test]
    fn pebble_ready_is_leader_no_update_config() {
        let decision = ready(&second_unit());
        assert_eq!(
            list(&decision),
            [
                "prepare storage",
                "push before_stop",
                "push config",
                "start workload",
                "await member",
                "set unit 1: member=started",
                "report version and ports",
                "show status"
            ]
        );
    }

    #[test]
    fn pebble_ready_has_patched_pod_labels_no_set_blocked() {
        let topology = new_leader().topology;
        let blocked = Status::blocked("failed to patch pod with error x");
        assert_eq!(
            refused(false, &topology, "failed to patch pod with error x"),
            Applied::Stop(blocked)
        );
        assert_eq!(
            untrusted(&topology),
            Status::blocked("Insufficient permissions, try: `juju trust pg --scope=cluster`")
        );
    }

    #[test]
    fn pebble_ready_set_blocked_to_return() {
        let topology = new_leader().topology;
        assert_eq!(refused(true, &topology, "x"), Applied::Stop(untrusted(&topology)));
    }

    #[test]
    fn pebble_ready_has_patched_pod_labels_yes_is_primary_ready() {
        check_order(&ready(&new_leader()), "label pg-0", "set up cluster");
    }

    #[test]
    fn pebble_ready_is_primary_ready_no_set_waiting() {
        let Applied::Defer { status, .. } = after_set_up(false) else { panic!("not deferred") };
        let waiting = Status::waiting("awaiting for primary endpoint to be ready");
        assert_eq!(status, Some(waiting));
    }

    #[test]
    fn pebble_ready_set_waiting_to_defer() {
        assert!(matches!(after_set_up(false), Applied::Defer { .. }));
    }

    #[test]
    fn pebble_ready_is_primary_ready_yes_mark_cluster_as_initialised() {
        assert_eq!(after_set_up(true), Applied::Done);
        let decision = ready(&new_leader());
        check_order(&decision, "await member", "set up cluster");
        check_order(&decision, "set up cluster", "set app 1: cluster_initialised=True");
    }

    #[test]
    fn pebble_ready_mark_cluster_as_initialised_to_update_config() {
        // The first configuration holds what commits wait for, so there is nothing to patch.
        let facts = new_leader();
        check_without(&ready(&facts), "patch");
        check_order(&ready(&facts), "push config", "set app 1: cluster_initialised=True");
    }

    #[test]
    fn pebble_ready_update_config_to_set_active() {
        assert_eq!(list(&ready(&new_leader())).last().unwrap(), "show status");
    }

    #[test]
    fn pebble_ready_set_active_to_return() {
        let facts = steady();
        let decision = ready(&facts);
        assert!(!deferred(&decision));
        let steady = decide(&juju_charm::Event::UpdateStatus, &facts).status;
        assert_eq!(steady, Some(Status::Active("Primary".to_owned())));
    }
}
