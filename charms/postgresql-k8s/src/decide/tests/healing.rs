//! What the charm does about parameters that wait for a restart and about a lost primary.

use juju_charm::{Event, Status};
use patroni::{Member, Role, State};
use serde_json::json;

use super::{check_without, decide, list};
use crate::effect::Effect;
use crate::facts::fixture::{joined, member, new_leader, second_unit, steady};
use crate::facts::{Away, Facts, NotStreaming, Objects, Unlike};
use crate::resources::Volume;

/// `pg/0`, Juju's leader, in a cluster of these members.
fn cluster_of(members: Vec<Member>) -> Facts {
    let mut facts = joined();
    facts.cluster.as_mut().unwrap().members = members;
    let hosts = r#"["pg-0.pg-endpoints","pg-1.pg-endpoints"]"#.to_owned();
    facts.peer.as_mut().unwrap().app.insert("endpoints".to_owned(), hosts);
    facts
}

fn pair(pending: bool) -> Facts {
    let mut replica = member("pg-1", Role::SyncStandby, State::Streaming);
    replica.pending_restart = pending;
    cluster_of(vec![member("pg-0", Role::Leader, State::Running), replica])
}

#[test]
fn converge_is_restart_due_yes_restarts_them_one_by_one() {
    assert!(list(&decide(&Event::UpdateStatus, &pair(true))).contains(&"restart members".into()));
}

#[test]
fn converge_is_restart_due_no_leaves_them_alone() {
    check_without(&decide(&Event::UpdateStatus, &pair(false)), "restart members");
    let mut follower = pair(true);
    (follower.unit, follower.leader) = ("pg/1".parse().unwrap(), false);
    check_without(&decide(&Event::UpdateStatus, &follower), "restart members");
    let mut unwell = pair(true);
    unwell.cluster.as_mut().unwrap().members[1].state = State::Starting;
    check_without(&decide(&Event::UpdateStatus, &unwell), "restart members");
    let mut missing = pair(true);
    missing.peer.as_mut().unwrap().units.push("pg/2".parse().unwrap());
    check_without(&decide(&Event::UpdateStatus, &missing), "restart members");
}

#[test]
fn a_unit_tells_when_a_restart_is_due_and_when_it_no_longer_is() {
    let reported = "report pending restart".to_owned();
    assert!(!list(&decide(&Event::UpdateStatus, &steady())).contains(&reported));
    let mut due = steady();
    due.container.as_mut().unwrap().health.as_mut().unwrap().pending_restart = true;
    assert!(list(&decide(&Event::UpdateStatus, &due)).contains(&reported));
    due.peer.as_mut().unwrap().own.insert("pending-restart".to_owned(), "True".to_owned());
    assert!(!list(&decide(&Event::UpdateStatus, &due)).contains(&reported));
    let mut over = steady();
    over.peer.as_mut().unwrap().own.insert("pending-restart".to_owned(), "True".to_owned());
    assert!(list(&decide(&Event::UpdateStatus, &over)).contains(&reported));
}

fn state(text: &str) -> State {
    State::Other(text.to_owned())
}

#[track_caller]
fn check_status(members: Vec<Member>, expected: &Status) {
    let status = decide(&Event::UpdateStatus, &cluster_of(members)).status;
    assert_eq!(status.as_ref(), Some(expected));
}

#[test]
fn converge_may_a_member_lead_no_blocks_with_the_command() {
    let blocked = Status::blocked(
        "no primary, and no member has all it acknowledged. To do without: \
         `juju run pg/0 promote-to-primary scope=unit force=true`",
    );
    let survivor = || member("pg-0", Role::Replica, State::Running);
    // The primary's pod or unit is gone, or its volume came back empty.
    check_status(vec![survivor()], &blocked);
    check_status(vec![survivor(), member("pg-1", Role::Replica, state("stopped"))], &blocked);
    // Of two the one that is further.
    let behind =
        |timeline, lag| Member { timeline, lag, ..member("pg-1", Role::Replica, State::Running) };
    check_status(vec![behind(None, None), survivor()], &blocked);
    let further = Member { lag: Some(0), ..survivor() };
    check_status(vec![behind(Some(1), Some(104)), further], &blocked);
}

#[test]
fn converge_may_a_member_lead_yes_decides_nothing() {
    let replica = || member("pg-0", Role::Replica, State::Running);
    for other in [
        member("pg-1", Role::SyncStandby, State::Running),
        member("pg-1", Role::Replica, State::Starting),
        member("pg-1", Role::Replica, state("crashed")),
    ] {
        check_status(vec![replica(), other], &Status::active());
    }
}

#[test]
fn a_standby_learns_a_new_password_and_a_primary_needs_not() {
    let knows = |text: &str, mut facts: Facts| {
        facts.container.as_mut().unwrap().passfile = Some(text.to_owned().into());
        list(&decide(&Event::UpdateStatus, &facts)).contains(&"refresh passfile".to_owned())
    };
    let standby = || {
        let mut facts = pair(false);
        facts.cluster.as_mut().unwrap().members[0].role = Role::SyncStandby;
        facts
    };
    assert!(knows("h:5432:*:replication:old", standby()));
    assert!(!knows("h:5432:*:replication:replication-secret\n", standby()));
    assert!(!knows("h:5432:*:replication:old", pair(false)));
}

#[test]
fn patronis_objects_are_owned_from_the_first_start_to_the_last_stop() {
    let adopt = "adopt objects".to_owned();
    assert!(list(&decide(&Event::Stop, &steady())).contains(&adopt));
    assert!(list(&decide(&super::pebble_ready(), &new_leader())).contains(&adopt));
}

#[test]
fn a_volume_that_is_nearly_full_blocks_until_it_is_not() {
    let volume = Volume { used: 2000 << 20, free: 48 << 20 };
    let status = |wal: Option<u64>| {
        let wal = wal.map(|mebibytes| mebibytes << 20);
        decide(&Event::UpdateStatus, &Facts { volume: Some(volume), wal, ..steady() })
            .status
            .unwrap()
    };
    let full = "<10% free space on pgdata volume.";
    assert_eq!(status(None), Status::blocked(full));
    assert_eq!(status(Some(300)), Status::blocked(full));
    let wal = format!("{full} pg_wal holds 1600 of 2048 MiB");
    assert_eq!(status(Some(1600)), Status::blocked(wal));
    let room = decide(&Event::UpdateStatus, &steady()).status;
    assert_eq!(room, Some(Status::Active("Primary".to_owned())));
}

#[test]
fn a_unit_leads_by_force_only_without_a_leader() {
    let forced = |facts: Facts| {
        let parameters = json!({"scope": "unit", "force": true}).as_object().unwrap().clone();
        let event = Event::Action { name: "promote-to-primary".to_owned(), id: "1".to_owned() };
        list(&decide(&event, &Facts { parameters, ..facts }))
    };
    assert_eq!(forced(steady()), ["fail: Suprerfluous force flag with unit scope"]);
    let lost = || cluster_of(vec![member("pg-0", Role::Replica, State::Running)]);
    assert_eq!(forced(lost()), ["fail over"]);
    let mut other = lost();
    other.unit = "pg/1".parse().unwrap();
    assert_eq!(forced(other), ["fail: PostgreSQL does not serve on this unit"]);
}

#[test]
fn what_is_missing_around_the_pods_is_made_again() {
    let looked = |services, adopted| {
        list(&decide(
            &Event::UpdateStatus,
            &Facts { objects: Some(Objects { services, adopted }), ..steady() },
        ))
    };
    assert_eq!(looked(true, true), list(&decide(&Event::UpdateStatus, &steady())));
    assert!(looked(false, true).contains(&"apply services".to_owned()));
    assert!(looked(true, false).contains(&"adopt objects".to_owned()));
}

/// The first unit with data of this identifier, and with this text of `patroni.yml`, if any.
fn with_data(facts: Facts, config: Option<&str>) -> Facts {
    let mut facts = facts;
    let container = facts.container.as_mut().unwrap();
    (container.prepared, container.running, container.health) = (true, false, None);
    container.system = Some(7);
    container.config = config.map(|text| text.to_owned().into());
    facts
}

#[track_caller]
fn check_aside(facts: &Facts) {
    let blocked = Status::blocked(
        "the volume has the data of another cluster. To set them aside: \
         `juju ssh --container postgresql pg/0 mv /var/lib/postgresql/data/pgdata \
         /var/lib/postgresql/data/pgdata-7`",
    );
    for event in [super::pebble_ready(), Event::UpdateStatus] {
        let decision = decide(&event, facts);
        assert_eq!(decision.status.as_ref(), Some(&blocked), "{event:?}");
        for touch in ["start workload", "remove orphaned objects", "prepare storage", "push config"]
        {
            check_without(&decision, touch);
        }
    }
}

#[test]
fn pebble_ready_is_own_no_blocked() {
    // A new deployment on an old volume, with or without the file of those who made it.
    check_aside(&with_data(new_leader(), None));
    check_aside(&with_data(new_leader(), Some("password: somebody")));
    // A member that comes back with another volume.
    check_aside(&Facts { system: Some(8), ..with_data(steady(), None) });
}

#[test]
fn own_data_are_no_reason_to_stop() {
    let starts = |facts: &Facts| {
        let decision = decide(&super::pebble_ready(), facts);
        assert!(list(&decision).contains(&"start workload".to_owned()), "{:?}", decision.status);
        check_without(&decision, "remove orphaned objects");
    };
    // The hook that set up the cluster ended on the way.
    starts(&with_data(new_leader(), Some("password: operator-secret")));
    starts(&Facts { system: Some(7), ..with_data(steady(), None) });
    // The API does not say whose data the cluster has.
    starts(&with_data(steady(), None));
}

#[test]
fn an_earlier_deployment_is_cleared_away_though_the_folder_is_there() {
    let mut facts = new_leader();
    facts.container.as_mut().unwrap().prepared = true;
    let removes = "remove orphaned objects".to_owned();
    assert!(list(&decide(&super::pebble_ready(), &facts)).contains(&removes));
    facts.container.as_mut().unwrap().running = true;
    assert!(!list(&decide(&super::pebble_ready(), &facts)).contains(&removes));
}

/// A hook that dies before it makes Patroni reload leaves a line that says so.
#[test]
fn converge_was_file_read_no_reloads() {
    let mut facts = steady();
    facts.container.as_mut().unwrap().marks.unread = true;
    let found = list(&decide(&Event::UpdateStatus, &facts));
    assert_eq!(found[..3], ["push config", "reload", "push config"]);
    assert!(!list(&decide(&Event::UpdateStatus, &steady())).contains(&"reload".to_owned()));
}

#[test]
fn a_copy_that_was_broken_off_is_made_anew() {
    let broken = |mut facts: Facts| {
        facts.container.as_mut().unwrap().unfinished = true;
        list(&decide(&Event::UpdateStatus, &facts)).contains(&"copy anew".to_owned())
    };
    assert!(broken(second_unit()));
    // Without another leader there is nothing to copy.
    assert!(!broken(steady()));
    assert!(!broken(Facts { cluster: None, ..second_unit() }));
}

/// `pg/1` beside its primary, running without a stream for this reason.
fn not_streaming(why: NotStreaming) -> Facts {
    let mut facts = pair(false);
    (facts.unit, facts.leader) = ("pg/1".parse().unwrap(), false);
    facts.cluster.as_mut().unwrap().members[1] = member("pg-1", Role::Replica, State::Running);
    Facts { not_streaming: Some(why), ..facts }
}

#[test]
fn converge_does_it_follow_no_says_why() {
    let waits = |why| list(&decide(&Event::UpdateStatus, &not_streaming(why)));
    for why in [NotStreaming::Unknown, NotStreaming::Diverged { timeline: 1, bytes: 9 }] {
        let effects = waits(why);
        assert!(effects.ends_with(&["report version and ports".into(), "show status".into()]));
        assert!(effects.contains(&"await member".into()), "{effects:?}");
        assert!(!effects.contains(&"copy anew".into()), "{effects:?}");
    }
    let lacks = NotStreaming::LacksWal { databases: None };
    assert!(waits(lacks).contains(&"copy anew".into()));
    let status = decide(&Event::UpdateStatus, &not_streaming(lacks)).status;
    let copied = "does not follow pg/0: no member has the WAL any more that it needs, so it is copied \
                  anew";
    assert_eq!(status, Some(Status::waiting(copied)));
}

/// Whether a standby that lacks WAL keeps its data until it has copied databases of 100 MiB.
#[track_caller]
fn check_kept(free: Option<u64>, aside: bool, expected: &str) {
    let mut facts = not_streaming(NotStreaming::LacksWal { databases: Some(100 << 20) });
    facts.volume = free.map(|free| Volume { used: (1000 - free) << 20, free: free << 20 });
    facts.container.as_mut().unwrap().aside = aside;
    let effects = list(&decide(&Event::UpdateStatus, &facts));
    assert!(effects.contains(&expected.to_owned()), "{free:?} {aside}: {effects:?}");
}

#[test]
fn data_stay_until_their_copy_is_whole_where_there_is_room() {
    // 125 MiB of databases, 250 MiB of WAL and a tenth of the volume.
    check_kept(Some(475), false, "copy anew beside the present data");
    check_kept(Some(474), false, "copy anew");
    check_kept(None, false, "copy anew");
    // What lies aside already is whole.
    check_kept(Some(475), true, "copy anew");
}

#[test]
fn what_lies_aside_goes_once_the_copy_serves_or_needs_the_room() {
    let removes = |facts: &mut Facts| {
        facts.container.as_mut().unwrap().aside = true;
        let effects = list(&decide(&Event::UpdateStatus, facts));
        effects.contains(&"remove the data that were kept aside".to_owned())
    };
    assert!(removes(&mut steady()));
    for why in [NotStreaming::LacksWal { databases: None }, NotStreaming::Unknown] {
        let mut facts = not_streaming(why);
        assert!(!removes(&mut facts));
        let volume = Volume { used: 99 << 20, free: 1 << 20 };
        facts.volume = Some(volume);
        assert!(removes(&mut facts));
    }
    let mut copies = second_unit();
    copies.container.as_mut().unwrap().health = None;
    assert!(!removes(&mut copies));
}

#[track_caller]
fn check_reinitialise(facts: Facts, force: bool, expected: &[&str]) {
    let parameters = json!({"force": force}).as_object().unwrap().clone();
    let event = Event::Action { name: "reinitialise".to_owned(), id: "1".to_owned() };
    assert_eq!(list(&decide(&event, &Facts { parameters, ..facts })), expected);
}

#[test]
fn data_that_the_primary_lacks_go_on_a_persons_word_only() {
    let diverged = || not_streaming(NotStreaming::Diverged { timeline: 1, bytes: 9 });
    let lost = "9 bytes of WAL of timeline 1 that the primary pg-0 never had";
    let refused = format!("fail: Nothing is done without force=true. What would be lost: {lost}");
    check_reinitialise(diverged(), false, &[&refused]);
    check_reinitialise(diverged(), true, &[&format!("result lost={lost}"), "reinitialise"]);
    check_reinitialise(pair(false), true, &["fail: pg/0 is the primary, which the others copy"]);
    let unknown = "result lost=it does not follow, and it is unknown what it has that the primary \
                   lacks";
    check_reinitialise(not_streaming(NotStreaming::Unknown), true, &[unknown, "reinitialise"]);
    let headless = cluster_of(vec![member("pg-0", Role::Replica, State::Running)]);
    let nobody = "fail: The cluster has no primary that could be copied.";
    check_reinitialise(headless, true, &[nobody]);
}

#[test]
fn a_server_that_does_not_start_is_never_active() {
    let mut facts = steady();
    facts.container.as_mut().unwrap().health.as_mut().unwrap().state = state("start failed");
    let waits = |facts: &Facts| {
        let decision = decide(&Event::UpdateStatus, facts);
        assert_eq!(decision.status, None);
        decision.effects.into_iter().find_map(|effect| match effect {
            Effect::AwaitMember(otherwise) => Some(otherwise.message().to_owned()),
            _ => None,
        })
    };
    assert!(waits(&facts).unwrap().starts_with("PostgreSQL does not start, its log says why"));
    let volume = Volume { used: 99 << 20, free: 1 << 20 };
    facts.volume = Some(volume);
    assert_eq!(waits(&facts).unwrap(), "<10% free space on pgdata volume.");
}

#[test]
fn converge_does_it_run_no_shows_its_log() {
    let mut facts = pair(false);
    facts.container.as_mut().unwrap().health.as_mut().unwrap().state = State::Starting;
    let status = decide(&Event::UpdateStatus, &facts).status.unwrap();
    assert!(status.message().starts_with("PostgreSQL is starting"), "{status:?}");
    for check in ["postgresql", "follows", "settled"] {
        let container = "postgresql".parse().unwrap();
        let event = Event::PebbleCheckFailed { container, check: check.to_owned() };
        assert_eq!(decide(&event, &facts).status.as_ref(), Some(&status), "{event:?}");
    }
}

/// `pg/0`, whose server has a parameter otherwise than asked.
fn unlike(restarts: bool) -> Facts {
    let [name, runs, asked] = ["wal_keep_size", "4096", "64"].map(str::to_owned);
    Facts { unlike: vec![Unlike { name, runs, asked, restarts }], ..steady() }
}

#[test]
fn converge_has_parameters_no_reloads_and_names_them() {
    let decision = decide(&Event::UpdateStatus, &unlike(false));
    let effects = list(&decision);
    let at = |what: &str| effects.iter().position(|effect| effect == what);
    assert!(at("reload").is_some() && at("reload") < at("compare again"), "{effects:?}");
    let named = "PostgreSQL runs with wal_keep_size=4096 and does not take 64";
    assert_eq!(decision.status, Some(Status::blocked(named)));
}

#[test]
fn converge_has_parameters_yes_reloads_nothing() {
    for facts in [steady(), unlike(true)] {
        let decision = decide(&Event::UpdateStatus, &facts);
        check_without(&decision, "reload");
        check_without(&decision, "compare again");
        assert!(matches!(decision.status, Some(Status::Active(_))));
    }
}

#[test]
fn a_primary_says_for_whom_it_keeps_much_of_its_log() {
    let away = Away { unit: "pg/1".parse().unwrap(), bytes: 300 << 20, seconds: 750 };
    let mut facts = Facts { away: Some(away), ..steady() };
    let kept = "300 MiB for pg/1, which has been away for 12 min";
    let status = |facts: &Facts| decide(&Event::UpdateStatus, facts).status.unwrap();
    assert_eq!(status(&facts), Status::Active(format!("Primary: pg_wal holds {kept}")));
    let volume = Volume { used: 990 << 20, free: 10 << 20 };
    (facts.volume, facts.wal) = (Some(volume), Some(500 << 20));
    let full = format!("<10% free space on pgdata volume. pg_wal holds 500 of 1000 MiB, {kept}");
    assert_eq!(status(&facts), Status::blocked(full));
}
