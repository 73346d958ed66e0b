//! Every edge of the chart of the relation `certificates`, and what is published to clients about
//! TLS.

use charm_kit::certificates::{
    GivenKey, Issuer, KeyError, KeyRequest, PUBLISHED_CA, Request, SET_KEY,
};
use juju_charm::{
    Bag, Changes, Decision, Event, Own, RelationEvent, RelationId, RelationKind, Status,
};
use juju_interfaces::tls_certificates::asked;

use super::{has, position, reported, written};
use crate::effect::Effect;
use crate::facts::{Facts, FullFacts};
use crate::fixture::{self, CLIENT, client, copy, ready, relation, step};
use crate::names;
use crate::wording::CERTIFICATE;

const ISSUER: RelationId = RelationId(9);

fn event(kind: RelationKind) -> Event {
    let Event::Relation(event) = relation("certificates", kind) else { unreachable!() };
    Event::Relation(RelationEvent { id: ISSUER, ..event })
}

fn run(facts: FullFacts) -> (FullFacts, Decision<Effect>) {
    step(&event(RelationKind::Changed), facts)
}

/// An issuer that was asked for nothing.
fn related(mut facts: FullFacts) -> FullFacts {
    facts.tls.issuer = Issuer::Related { id: ISSUER, asked: Bag::new(), offered: Bag::new() };
    facts
}

fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["pgbouncer-k8s-0".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// An issuer that answered with this certificate to a request with this key.
fn answered(mut facts: FullFacts, certificate: &str, key: &str) -> FullFacts {
    let csr = "-----BEGIN CERTIFICATE REQUEST-----\nr\n".to_owned();
    let answer = serde_json::json!([{
        "certificate_signing_request": csr, "certificate": certificate, "ca": certificate}]);
    facts.tls.issuer = Issuer::Related {
        id: ISSUER,
        asked: asked(&csr),
        offered: Bag::from([("certificates".to_owned(), answer.to_string())]),
    };
    facts.tls.request = Some(Request { key: key.to_owned().into(), csr, given: false });
    facts
}

fn issued(facts: FullFacts) -> FullFacts {
    let (certificate, key) = pair();
    answered(facts, &certificate, &key)
}

/// Everything served with TLS, and nothing looked for.
fn encrypted() -> FullFacts {
    run(issued(ready())).0
}

fn pushes(decision: &Decision<Effect>, path: &str) -> Option<String> {
    let file = fixture::files(decision).find(|file| file.path.ends_with(path));
    file.map(|file| file.content.expose().to_owned())
}

fn asks(decision: &Decision<Effect>) -> bool {
    has(decision, "request certificate 9")
}

/// Which clients get what.
fn shared(decision: &Decision<Effect>) -> Vec<(RelationId, bool, bool)> {
    let share = |effect: &Effect| match effect {
        Effect::ShareTls { id, ca, in_secret } => Some((*id, ca.is_some(), *in_secret)),
        _ => None,
    };
    decision.effects.iter().filter_map(share).collect()
}

#[test]
fn certificates_is_related_no_serves_without() {
    let mut facts = encrypted();
    facts.tls.issuer = Issuer::None;
    let (facts, decision) = step(&event(RelationKind::Broken), facts);
    assert!(has(&decision, "remove secret pgb-peers.pgbouncer-k8s.unit"));
    assert!(!pushes(&decision, "instance_0/pgbouncer.ini").unwrap().contains("client_tls"));
    for name in ["key", "cert", "ca"] {
        let removal = format!("remove file /dev/shm/pgbouncer-k8s.{name}.pem");
        assert!(has(&decision, &removal), "{removal}");
    }
    assert!(has(&decision, "reload"));
    assert!(!facts.peers.as_ref().unwrap().own_bag.contains_key("tls"));
    assert_eq!(step(&Event::UpdateStatus, facts).1.effects, []);
}

/// An issuer may refuse a databag without a word; only the status can show it.
#[test]
fn a_first_request_without_an_answer_shows_in_the_status() {
    let mut facts = issued(ready());
    let Issuer::Related { offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    offered.clear();
    let waits = Some(Status::waiting("waiting for the certificate that was asked for"));
    let (mut facts, decision) = run(facts);
    assert_eq!(decision.status, waits);
    assert_eq!(run(related(ready())).1.status, waits);
    // Hooks that do not look at the issuer know by the request.
    facts.tls.issuer = Issuer::Unknown;
    assert_eq!(step(&Event::UpdateStatus, facts).1.status, waits);
    assert_eq!(step(&Event::UpdateStatus, encrypted()).1.status, Some(Status::active()));
}

#[test]
fn certificates_has_request_no_asks() {
    let (_, decision) = run(related(ready()));
    assert!(asks(&decision));
    assert_eq!(pushes(&decision, ".pem"), None);
}

#[test]
fn certificates_has_request_no_databag_is_written_again() {
    let mut facts = issued(ready());
    let Issuer::Related { asked, offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    let bag = std::mem::take(asked);
    offered.clear();
    let (_, decision) = run(facts);
    assert_eq!(written(&decision, ISSUER, Own::Unit), Some(&Changes::from(bag)));
}

#[test]
fn certificates_is_issued_no_changes_nothing() {
    let mut facts = issued(ready());
    let Issuer::Related { offered, .. } = &mut facts.tls.issuer else { unreachable!() };
    offered.clear();
    assert_eq!(run(facts).1.effects, []);
}

#[test]
fn certificates_is_issued_no_when_it_does_not_fit_the_key() {
    let ((certificate, _), (_, key)) = (pair(), pair());
    let (_, decision) = run(answered(ready(), &certificate, &key));
    assert_eq!(decision.status, Some(Status::blocked(CERTIFICATE)));
    assert!(has(&decision, "log"));
    assert_eq!(pushes(&decision, ".pem"), None);
}

#[test]
fn certificates_is_issued_yes_serves_with_it() {
    let (facts, decision) = run(issued(ready()));
    let file =
        |end: &str| fixture::files(&decision).position(|file| file.path.ends_with(end)).unwrap();
    let push = position(&decision, "push");
    let reload = position(&decision, "reload");
    assert!(file("key.pem") < file(".ini") && push < reload, "{decision:?}");
    let text = pushes(&decision, "instance_0/pgbouncer.ini").unwrap();
    assert!(text.contains("client_tls_key_file = /dev/shm/pgbouncer-k8s.key.pem"), "{text}");
    assert_eq!(facts.peers.as_ref().unwrap().own_bag["tls"], "enabled");
    assert_eq!(step(&Event::UpdateStatus, facts).1.effects, []);
}

#[test]
fn certificates_is_issued_yes_anew_reloads_without_another_configuration() {
    let facts = issued(encrypted());
    let before = facts.workload.as_ref().unwrap().files[&names::ini(0)].expose().to_owned();
    let (_, decision) = run(facts);
    assert!(pushes(&decision, "key.pem").is_some());
    // Only the name of all that is read is another one.
    let text = pushes(&decision, "instance_0/pgbouncer.ini").unwrap();
    let plain = |text: &str| text.rsplit_once("syslog_ident").map(|(text, _)| text.to_owned());
    assert_eq!(plain(&text), plain(&before));
    assert!(has(&decision, "reload"));
}

#[test]
fn certificates_is_aged_no_changes_nothing() {
    assert!(!asks(&step(&Event::UpdateStatus, encrypted()).1));
}

#[test]
fn certificates_is_aged_yes_asks_for_another_and_goes_on() {
    let (certificate, key) = pair();
    let mut facts = run(answered(ready(), &certificate, &key)).0;
    facts = answered(facts, &certificate, &key);
    facts.tls.aged = true;
    let (_, decision) = step(&Event::UpdateStatus, copy_with_issuer(&facts, true));
    assert!(asks(&decision));
    assert_eq!(pushes(&decision, ".pem"), None);
    // The request that waits is not made again.
    assert!(!asks(&step(&Event::UpdateStatus, copy_with_issuer(&facts, false)).1));
}

/// The same facts, whose issuer answered or not.
fn copy_with_issuer(facts: &FullFacts, answers: bool) -> FullFacts {
    let Issuer::Related { id, asked, offered } = &facts.tls.issuer else { unreachable!() };
    let offered = if answers { offered.clone() } else { Bag::new() };
    let mut copied = copy(facts);
    copied.tls.issuer = Issuer::Related { id: *id, asked: asked.clone(), offered };
    copied.tls.aged = facts.tls.aged;
    copied
}

#[test]
fn clients_hear_of_tls_once_all_units_serve_with_it() {
    let served = || {
        step(
            &event(RelationKind::Created),
            FullFacts { clients: vec![client(7, "waltz")], ..ready() },
        )
        .0
    };
    let (facts, decision) = run(issued(served()));
    assert_eq!(shared(&decision), []);
    let mut facts = facts;
    facts.tls.others = true;
    let (mut facts, decision) = step(&relation("pgb-peers", RelationKind::Changed), facts);
    assert_eq!(shared(&decision), [(CLIENT, true, false)]);
    assert!(reported(&decision, Own::App, PUBLISHED_CA).is_some());
    // A client that comes later gets it with its credentials.
    facts.clients[0].own.insert("tls".to_owned(), "True".to_owned());
    facts.clients.push(client(8, "tango"));
    let (mut facts, decision) = step(&relation("database", RelationKind::Changed), facts);
    assert_eq!(shared(&decision), [(RelationId(8), true, false)]);
    facts.tls = fixture::fresh().tls;
    let (_, decision) = step(&Event::UpdateStatus, facts);
    assert_eq!(shared(&decision)[0], (CLIENT, false, false));
    assert!(reported(&decision, Own::App, PUBLISHED_CA).is_some());
}

/// What the action that sets the private key comes to.
#[track_caller]
fn check_key(key: Result<KeyRequest, KeyError>, expected: &str) {
    let event = Event::Action { name: SET_KEY.to_owned(), id: "1".to_owned() };
    let decision = super::super::decide(&event, &Facts::Key(Box::new(key)));
    assert!(decision.effects.len() == 1 && has(&decision, expected), "{:?}", decision.effects);
}

#[test]
fn a_certificate_is_asked_for_the_key_that_a_person_sets() {
    let key = GivenKey::parse(&pair().1.into()).unwrap();
    let asked = |key| Ok(KeyRequest { relation: ISSUER, key });
    check_key(asked(None), "request certificate 9");
    check_key(asked(Some(key)), "request certificate 9 for the given key");
    check_key(Err(KeyError::NoIssuer), &format!("fail: {}", KeyError::NoIssuer));
}
