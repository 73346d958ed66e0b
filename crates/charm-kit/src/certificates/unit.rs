//! What is known about this unit's certificate, and what there is to do for it.

use juju_charm::{
    Bag, Changes, Event, HookError, Own, Reader, RelationId, RelationKind, UnitName, databag,
};
use juju_interfaces::BagError;
use postgres::Validity;

use super::{ENDPOINT, FLAG, Files, GivenKey, PUBLISHED_CA, Request, Step};

/// The other end of the relation.
#[derive(Clone)]
pub enum Issuer {
    /// Not looked for: what is there stays.
    Unknown,
    /// There is none.
    None,
    /// There is one.
    Related {
        /// The relation.
        id: RelationId,
        /// What this unit asked for.
        asked: Bag,
        /// The application that issues, as its databag has it.
        offered: Bag,
    },
}

/// What is known about this unit's certificate.
#[derive(Clone)]
pub struct Tls {
    /// What was asked for.
    pub request: Option<Request>,
    /// What the unit serves with; none while it serves without TLS.
    pub files: Option<Files>,
    /// Why the files cannot be used, for instance because a person wrote another key beside them.
    pub unusable: Option<String>,
    /// Whether the certificate is in the last third of its life; looked at in hooks that are not
    /// the issuer's own.
    pub aged: bool,
    /// Who may issue a certificate.
    pub issuer: Issuer,
    /// Whether all other units serve with TLS; read when it matters.
    pub others: bool,
}

/// One thing to do for the certificate.
#[derive(Clone)]
pub enum Change {
    /// To write the request into the unit's databag of the relation again.
    AskAgain(RelationId, Changes),
    /// To ask for a certificate in the relation, for this key or for one that is made.
    Request(RelationId, Option<GivenKey>),
    /// To serve with these files.
    Serve(Files),
    /// To forget key, request and certificate.
    Forget,
}

/// What there is to do, and what this unit serves with once it is done.
#[derive(Default)]
pub struct Steps {
    /// In this order.
    pub changes: Vec<Change>,
    /// The files, unless the unit serves without TLS.
    pub serves: Option<Files>,
    /// Why the issuer's answer cannot be used.
    pub problem: Option<BagError>,
    /// The issuer has not answered the first request.
    pub waits: bool,
}

impl Steps {
    /// Whether other files are served with than before.
    pub fn replaces(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Serve(_) | Change::Forget))
    }

    /// The certificate that the unit is trusted by.
    pub fn ca(&self) -> Option<&str> {
        self.serves.as_ref().map(|files| files.ca.as_str())
    }
}

impl Tls {
    /// Nothing is there, and no issuer was looked for.
    pub fn none() -> Self {
        Self {
            request: None,
            files: None,
            unusable: None,
            aged: false,
            issuer: Issuer::Unknown,
            others: false,
        }
    }

    /// Reads the issuer's relation where it may have changed, where the files may be gone, and
    /// where a new certificate is due; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When a bag cannot be read.
    pub fn read_issuer(
        &mut self,
        juju: &mut Reader,
        event: &Event,
        now: u64,
    ) -> Result<(), HookError> {
        // An answer that is old already must not be asked for again at once, so an issuer's own
        // events do not look at its age.
        let looks = !matches!(event, Event::Relation(_));
        let validity = self.files.as_ref().and_then(|files| Validity::of(&files.certificate));
        self.aged = looks && validity.is_some_and(|validity| validity.is_aged(now));
        let own = event.relation(ENDPOINT);
        let renews =
            matches!(event, Event::PebbleReady { .. } | Event::ConfigChanged | Event::UpgradeCharm);
        if own.is_none() && !renews && !self.aged {
            return Ok(());
        }
        let ended = own.is_some_and(|relation| relation.kind == RelationKind::Broken);
        self.issuer = match juju.cached_relations(ENDPOINT)?.first() {
            Some(&id) if !ended => {
                let asked = juju.own_bag(id, Own::Unit)?;
                Issuer::Related { id, asked, offered: juju.remote_app_bag(id)? }
            }
            _ => Issuer::None,
        };
        Ok(())
    }

    /// Reads whether all other units serve with TLS, where something else may soon be published
    /// than `peers_bag`, the application's bag of the peer relation, says.
    ///
    /// # Errors
    /// When a bag cannot be read.
    pub fn read_others(
        &mut self,
        juju: &mut Reader,
        (peers, peers_bag): (RelationId, &Bag),
        units: impl FnOnce(&mut Reader) -> Result<Vec<UnitName>, HookError>,
    ) -> Result<(), HookError> {
        let soon = matches!(self.issuer, Issuer::Related { .. });
        let published = databag::text(peers_bag, PUBLISHED_CA);
        let changed = self.files.as_ref().is_some_and(|files| published != Some(files.ca.as_str()));
        self.others = soon || changed;
        if self.others {
            for unit in units(juju)? {
                let bag = juju.bag(peers, &unit.into())?;
                self.others &= databag::text(&bag, FLAG.0) == Some(FLAG.1);
                if !self.others {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The chart "certificates".
    pub fn steps(&self) -> Steps {
        let mut steps = Steps { serves: self.files.clone(), ..Steps::default() };
        match (&self.issuer, &self.request) {
            // Files without a request were put there by the operator.
            (Issuer::Unknown, _) | (Issuer::None, None) => {}
            (Issuer::None, Some(_)) => {
                steps.changes.push(Change::Forget);
                steps.serves = None;
            }
            (Issuer::Related { id, .. }, None) => {
                steps.changes.push(Change::Request(*id, None));
            }
            (Issuer::Related { id, asked, offered }, Some(request)) => {
                let unwritten = request.unwritten(asked);
                steps.changes.extend(unwritten.map(|bag| Change::AskAgain(*id, bag)));
                match request.step(offered, self.files.as_ref(), self.aged) {
                    Ok(Step::Serve(files)) => {
                        steps.serves = Some(files.clone());
                        steps.changes.push(Change::Serve(files));
                    }
                    Ok(Step::Ask) => {
                        steps.changes.push(Change::Request(*id, request.kept_key()));
                    }
                    Ok(Step::Stay) => {}
                    Err(error) => steps.problem = Some(error),
                }
            }
        }
        steps.waits = steps.serves.is_none()
            && match &self.issuer {
                Issuer::None => false,
                Issuer::Unknown => self.request.is_some(),
                Issuer::Related { .. } => true,
            };
        steps
    }
}
