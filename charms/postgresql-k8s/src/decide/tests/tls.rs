//! The chart "certificates", and what is published to clients.

use juju_charm::{Bag, Decision, Event, ExposeSecret as _, RelationEvent, RelationKind, Status};
use juju_interfaces::tls_certificates::asked;

use super::{check_order, check_without, decide, deferred, list, pebble_ready};
use crate::effect::Effect;
use crate::facts::Facts;
use crate::facts::fixture::{client, joined, new_leader, steady};
use charm_kit::certificates::{GivenKey, Issuer, KeyError, KeyRequest, Request, SET_KEY};

fn event() -> Event {
    Event::Relation(RelationEvent {
        kind: RelationKind::Changed,
        endpoint: "certificates".parse().unwrap(),
        id: "9".parse().unwrap(),
        remote_app: Some("issuer".parse().unwrap()),
        remote_unit: None,
        departing_unit: None,
    })
}

fn run(facts: &Facts) -> Decision<Effect> {
    decide(&event(), facts)
}

/// An issuer that was asked for nothing.
fn related(mut facts: Facts) -> Facts {
    let id = "9".parse().unwrap();
    facts.tls.issuer = Issuer::Related { id, asked: Bag::new(), offered: Bag::new() };
    facts
}

/// An issuer that was asked and answered with this certificate, made for this key.
fn answered(mut facts: Facts, certificate: &str, key: &str) -> Facts {
    let csr = "-----BEGIN CERTIFICATE REQUEST-----\nr\n".to_owned();
    let answer = serde_json::json!([{
        "certificate_signing_request": csr, "certificate": certificate, "ca": certificate}]);
    facts.tls.issuer = Issuer::Related {
        id: "9".parse().unwrap(),
        asked: asked(&csr),
        offered: Bag::from([("certificates".to_owned(), answer.to_string())]),
    };
    facts.tls.request = Some(Request { key: key.to_owned().into(), csr, given: false });
    facts
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["pg-0".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn issued(facts: Facts) -> Facts {
    let (certificate, key) = pair();
    answered(facts, &certificate, &key)
}

/// The same with the files in their place, and nothing looked for.
fn encrypted(facts: Facts) -> Facts {
    let mut facts = in_place(facts);
    facts.tls.issuer = Issuer::Unknown;
    facts
}

/// The same, and the issuer looked for.
fn in_place(facts: Facts) -> Facts {
    let mut facts = issued(facts);
    let Issuer::Related { offered, .. } = &facts.tls.issuer else { unreachable!() };
    facts.tls.files = facts.tls.request.as_ref().unwrap().answer(offered).unwrap();
    let text = pushed(&decide(&Event::UpdateStatus, &facts));
    let plan = crate::layer::layer(&facts.topology, &facts.unit, true);
    let container = facts.container.as_mut().unwrap();
    (container.config, container.plan) = (text.map(Into::into), plan);
    facts
}

/// What the file of the unit says in the end, if it is written.
fn pushed(decision: &Decision<Effect>) -> Option<String> {
    decision.effects.iter().rev().find_map(|effect| match effect {
        Effect::PushConfig(text) => Some(text.expose_secret().to_owned()),
        _ => None,
    })
}

/// An issuer may refuse a databag without a word; only the status can show it.
#[test]
fn a_first_request_without_an_answer_shows_in_the_status() {
    let mut facts = issued(steady());
    let Issuer::Related { offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    offered.clear();
    let waits = Some(Status::waiting("waiting for the certificate that was asked for"));
    assert_eq!(run(&facts).status, waits);
    assert_eq!(run(&related(steady())).status, waits);
    // Hooks that do not look at the issuer know by the request.
    facts.tls.issuer = Issuer::Unknown;
    assert_eq!(decide(&Event::UpdateStatus, &facts).status, waits);
    for served in [steady(), encrypted(steady()), in_place(steady())] {
        let status = decide(&Event::UpdateStatus, &served).status;
        assert!(matches!(status, Some(Status::Active(_))), "{status:?}");
    }
}

#[test]
fn certificates_is_container_no_defers() {
    let mut facts = related(steady());
    facts.container = None;
    assert!(deferred(&run(&facts)));
    assert!(!deferred(&run(&related(steady()))));
}

#[test]
fn certificates_is_related_no_was_asked_before_serves_without() {
    let mut facts = encrypted(steady());
    facts.tls.issuer = Issuer::None;
    let decision = run(&facts);
    check_order(&decision, "push config", "remove tls");
    check_order(&decision, "remove tls", "reload");
    check_order(&decision, "reload", "start workload");
    assert!(!pushed(&decision).unwrap().contains("certfile"));
    assert!(!pushed(&decision).unwrap().contains("ssl"));
}

#[test]
fn certificates_is_related_no_leaves_a_persons_files() {
    let mut facts = encrypted(steady());
    facts.tls.issuer = Issuer::None;
    facts.tls.request = None;
    let decision = run(&facts);
    check_without(&decision, "remove tls");
    check_without(&decision, "push config");
}

#[test]
fn certificates_is_related_no_leaves_a_persons_unusable_files_unread() {
    let mut facts = encrypted(steady());
    facts.tls.issuer = Issuer::None;
    facts.tls.request = None;
    facts.tls.unusable = Some("the key is another's".to_owned());
    facts.container.as_mut().unwrap().config = None;
    let words = list(&run(&facts));
    assert!(words.iter().any(|w| w.starts_with("refuse: the certificate")), "{words:?}");
    assert!(!words.iter().any(|w| w.starts_with("push") || w.starts_with("reload")), "{words:?}");
    // The issuer's answer takes their place.
    let mut facts = issued(encrypted(steady()));
    facts.tls.unusable = Some("the key is another's".to_owned());
    check_order(&run(&facts), "push tls", "reload");
}

#[test]
fn certificates_has_request_no_asks() {
    let decision = run(&related(steady()));
    assert!(list(&decision).contains(&"request certificate 9".to_owned()));
    check_without(&decision, "push config");
}

#[test]
fn certificates_has_request_no_databag_is_written_again() {
    let mut facts = issued(steady());
    let Issuer::Related { asked, offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    asked.clear();
    offered.clear();
    let words = list(&run(&facts));
    assert!(words.iter().any(|w| w.starts_with("set unit 9: certificate_signing")), "{words:?}");
}

#[test]
fn certificates_is_issued_no_changes_nothing() {
    let mut facts = issued(steady());
    let Issuer::Related { offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    offered.clear();
    check_without(&run(&facts), "push");
}

#[test]
fn certificates_is_issued_yes_pushes_and_reloads() {
    let decision = run(&issued(steady()));
    check_order(&decision, "push tls", "push config");
    check_order(&decision, "push config", "reload");
    // Pebble's own requests do not trust the issuer; nothing restarts for another check.
    check_order(&decision, "reload", "start workload");
    let text = pushed(&decision).unwrap();
    assert!(text.contains("  certfile: ") && text.contains("  cacert: "), "{text}");
    assert!(text.contains("hostssl all all 0.0.0.0/0 scram-sha-256"), "{text}");
    assert!(!text.contains("host all"), "{text}");
    assert!(list(&decision).contains(&"set unit 1: member=started tls=enabled".to_owned()));
}

#[test]
fn certificates_is_issued_yes_before_the_first_start() {
    let decision = decide(&pebble_ready(), &issued(new_leader()));
    check_order(&decision, "push tls", "start workload");
    check_order(&decision, "prepare storage", "push tls");
}

#[test]
fn certificates_is_issued_yes_anew_reloads_without_another_file() {
    // The file names paths, not what is in them.
    let facts = encrypted(steady());
    check_without(&run(&facts), "reload");
    let facts = issued(facts);
    let decision = run(&facts);
    check_order(&decision, "push tls", "reload");
    // But for the line that says in between that it is to be read.
    check_order(&decision, "push config", "push tls");
    let config = facts.container.as_ref().unwrap().config.as_ref().unwrap();
    assert_eq!(pushed(&decision).as_deref(), Some(config.expose_secret()));
}

#[test]
fn certificates_is_issued_yes_anew_beside_other_options_is_read_in_the_next_hook() {
    // Patroni reads another certificate only where its file says nothing new.
    let mut facts = issued(encrypted(steady()));
    facts.settings.as_mut().unwrap().parameters.insert("work_mem".to_owned(), 4097.into());
    let text = pushed(&run(&facts)).unwrap();
    let (_, marks) = crate::patroni_yml::read(text);
    assert!(marks.unread);
    facts.container.as_mut().unwrap().marks = marks;
    facts.tls.files = None;
    let mut again = encrypted(facts);
    again.container.as_mut().unwrap().marks = marks;
    let decision = decide(&Event::UpdateStatus, &again);
    check_order(&decision, "push config", "reload");
    let (_, marks) = crate::patroni_yml::read(pushed(&decision).unwrap());
    assert!(!marks.unread);
}

#[test]
fn certificates_is_issued_no_when_it_does_not_fit_the_key() {
    let ((certificate, _), (_, key)) = (pair(), pair());
    let words = list(&run(&answered(steady(), &certificate, &key)));
    assert!(words.iter().any(|w| w.starts_with("refuse: the certificate")), "{words:?}");
    assert!(!words.iter().any(|w| w.starts_with("push")), "{words:?}");
}

#[test]
fn clients_hear_of_tls_once_all_units_serve_with_it() {
    let served = |mut facts: Facts| {
        facts.clients.push(client(4, "shop", &[]));
        facts.clients[0].offered = [("database", "shop"), ("password", "p"), ("tls", "False")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        facts
    };
    let mut facts = issued(served(joined()));
    check_without(&run(&facts), "share tls");
    facts.tls.others = true;
    check_order(&run(&facts), "reload", "share tls 4: true");
    check_order(&run(&facts), "share tls", "set app 1: tls-ca=");
    let ca = encrypted(steady()).tls.files.unwrap().ca;
    let mut reported = served(steady());
    reported.peer.as_mut().unwrap().app.insert("tls-ca".to_owned(), ca);
    check_order(&run(&reported), "share tls 4: false", "set app 1: tls-ca=");
}

#[test]
fn certificates_is_aged_no_changes_nothing() {
    let decision = decide(&Event::UpdateStatus, &in_place(steady()));
    check_without(&decision, "request certificate");
    check_without(&decision, "push");
}

#[test]
fn certificates_is_aged_yes_asks_for_another_and_goes_on() {
    let mut facts = in_place(steady());
    facts.tls.aged = true;
    let decision = decide(&Event::UpdateStatus, &facts);
    assert!(list(&decision).contains(&"request certificate 9".to_owned()));
    check_without(&decision, "push tls");
    check_without(&decision, "push config");
    // The request that waits is not made again.
    let Issuer::Related { offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    offered.clear();
    check_without(&decide(&Event::UpdateStatus, &facts), "request certificate");
}

/// What the action that sets the private key comes to.
#[track_caller]
fn check_key(key: Option<Result<KeyRequest, KeyError>>, expected: &str) {
    let event = Event::Action { name: SET_KEY.to_owned(), id: "1".to_owned() };
    assert_eq!(list(&decide(&event, &Facts { key, ..steady() })), [expected]);
}

#[test]
fn a_certificate_is_asked_for_the_key_that_a_person_sets() {
    let key = GivenKey::parse(&pair().1.into()).unwrap();
    let asked = |key| Some(Ok(KeyRequest { relation: "9".parse().unwrap(), key }));
    check_key(asked(None), "request certificate 9");
    check_key(asked(Some(key)), "request certificate 9 for the given key");
    check_key(Some(Err(KeyError::NoIssuer)), &format!("fail: {}", KeyError::NoIssuer));
}

#[test]
fn a_renewed_certificate_is_for_the_key_that_a_person_set() {
    let mut facts = in_place(steady());
    facts.tls.aged = true;
    let mut asked = |given: bool| {
        facts.tls.request.as_mut().unwrap().given = given;
        list(&decide(&Event::UpdateStatus, &facts))
    };
    assert!(asked(false).contains(&"request certificate 9".to_owned()));
    assert!(asked(true).contains(&"request certificate 9 for the given key".to_owned()));
}
