//! Relating applications: which endpoints are meant, and what speaks against it.

use jiff::Timestamp;
use juju_names::{AppName, RelationId};

use crate::entity::meta::INFO;
use crate::error::listed;
use crate::{Application, Life, Model, ModelError, Relation, RelationEnd, Role};

/// Two ends that may be related, the requirer first.
type Pair = [RelationEnd; 2];

impl Model {
    /// Relates two applications, each written `app` or `app:endpoint`.
    ///
    /// # Errors
    /// [`ModelError::Integrate`] when an application or endpoint is unknown, nothing or more than
    /// one pair of endpoints fits, the relation exists, or an endpoint takes no more.
    pub fn integrate(
        &mut self,
        now: Timestamp,
        a: &str,
        b: &str,
    ) -> Result<RelationId, ModelError> {
        let ends = self.infer(a, b).map_err(ModelError::Integrate)?;
        self.check_new(&ends)?;
        let id = self.create_relation(ends.to_vec());
        if let Some(relation) = self.relations.get_mut(&id) {
            relation.since = Some(now);
        }
        let text = self.relations.get(&id).map(Relation::describe).unwrap_or_default();
        self.controller_log(now, format!("relating {text}"));
        Ok(id)
    }

    /// Marks the relation of two applications dying, each written `app` or `app:endpoint`.
    ///
    /// # Errors
    /// [`ModelError::RemoveRelation`] when there is none, or more than one.
    pub fn remove_relation(
        &mut self,
        now: Timestamp,
        a: &str,
        b: &str,
    ) -> Result<RelationId, ModelError> {
        let matches = |relation: &&Relation| {
            let [x, y] = relation.ends.as_slice() else { return false };
            (is(x, a) && is(y, b)) || (is(x, b) && is(y, a))
        };
        let found: Vec<&Relation> = self.relations.values().filter(matches).collect();
        let id = match found.as_slice() {
            [relation] => relation.id,
            [] => {
                let all = self.relations.values().filter(|relation| !relation.is_peer());
                let all = listed(all.map(|relation| format!("\"{}\"", relation.describe())));
                return Err(ModelError::RemoveRelation(format!(
                    "there is no relation between {a:?} and {b:?}; there is {all}"
                )));
            }
            several => {
                let all = listed(several.iter().map(|r| format!("\"{}\"", r.describe())));
                return Err(ModelError::RemoveRelation(format!(
                    "{a:?} and {b:?} have more than one relation; write one of {all}"
                )));
            }
        };
        self.end_relation(now, id);
        Ok(id)
    }

    /// The same for a relation by its id.
    ///
    /// # Errors
    /// [`ModelError::RemoveRelation`] when there is none between applications.
    pub fn remove_relation_by_id(
        &mut self,
        now: Timestamp,
        id: RelationId,
    ) -> Result<(), ModelError> {
        let known = self.relations.values().filter(|relation| !relation.is_peer());
        let known: Vec<RelationId> = known.map(|relation| relation.id).collect();
        if !known.contains(&id) {
            return Err(ModelError::RemoveRelation(format!(
                "there is no relation {id} between applications; there is {}",
                listed(known)
            )));
        }
        self.end_relation(now, id);
        Ok(())
    }

    fn end_relation(&mut self, now: Timestamp, id: RelationId) {
        let text = self.relations.get(&id).map(Relation::describe).unwrap_or_default();
        self.kill_relation(id);
        self.controller_log(now, format!("removing relation {text}"));
    }

    /// Creates the peer relations of an application that do not exist yet.
    pub(crate) fn create_peers(&mut self, app: &AppName) {
        let Some(application) = self.apps.get(app) else { return };
        for (endpoint, meta) in application.charm.peers.clone() {
            let here = |end: &RelationEnd| end.app == *app && end.endpoint == endpoint;
            if !self.relations.values().any(|relation| relation.ends.iter().any(here)) {
                let (role, interface) = (Role::Peer, meta.interface);
                let end = RelationEnd { app: app.clone(), endpoint, role, interface };
                self.create_relation(vec![end]);
            }
        }
    }

    /// The names of an application's endpoints, peers included.
    pub(crate) fn endpoint_names(&self, app: &AppName) -> Vec<String> {
        let endpoints = self.apps.get(app).into_iter().flat_map(|app| app.charm.endpoints());
        endpoints.map(|(name, _)| name.to_string()).collect()
    }

    pub(crate) fn create_relation(&mut self, ends: Vec<RelationEnd>) -> RelationId {
        let id = RelationId(self.next_relation);
        self.next_relation += 1;
        let relation = Relation {
            id,
            ends,
            life: Life::Alive,
            app_bags: Default::default(),
            unit_bags: Default::default(),
            scope: Default::default(),
            since: None,
            forced: false,
        };
        self.relations.insert(id, relation);
        id
    }

    /// The one pair of endpoints that two specifications can mean.
    fn infer(&self, a: &str, b: &str) -> Result<Pair, String> {
        let (left, right) = (self.ends(a)?, self.ends(b)?);
        if a.split(':').next() == b.split(':').next() {
            return Err(format!("{a:?} and {b:?} are one application; name two"));
        }
        let mut pairs: Vec<Pair> = Vec::new();
        for x in &left {
            for y in right.iter().filter(|y| y.interface == x.interface) {
                match (x.role, y.role) {
                    (Role::Requirer, Role::Provider) => pairs.push([x.clone(), y.clone()]),
                    (Role::Provider, Role::Requirer) => pairs.push([y.clone(), x.clone()]),
                    _ => {}
                }
            }
        }
        match pairs.as_slice() {
            [pair] => Ok(pair.clone()),
            [] => implicit(&left, &right, a, b).ok_or_else(|| {
                format!(
                    "no endpoints of {a:?} and {b:?} fit: {a:?} has {}; {b:?} has {}",
                    described(&left),
                    described(&right),
                )
            }),
            several => Err(format!(
                "{a:?} and {b:?} fit in more than one way; write one of {}",
                listed(several.iter().map(|pair| format!("\"{}\"", text(pair)))),
            )),
        }
    }

    /// The endpoints that `app` or `app:endpoint` can mean; peers cannot be meant.
    fn ends(&self, spec: &str) -> Result<Vec<RelationEnd>, String> {
        let (name, endpoint) = match spec.split_once(':') {
            Some((name, endpoint)) => (name, Some(endpoint)),
            None => (spec, None),
        };
        let found = self.apps.values().find(|app| app.name.as_str() == name);
        let app =
            found.filter(|app| app.life == Life::Alive).ok_or_else(|| self.unknown_app(name))?;
        let all = ends_of(app);
        let Some(endpoint) = endpoint else { return Ok(all) };
        if endpoint == INFO {
            return Ok(info(&app.name).into_iter().collect());
        }
        if app.charm.peers.keys().any(|peer| peer.as_str() == endpoint) {
            return Err(format!(
                "endpoint {endpoint:?} of application {name:?} relates its own units only"
            ));
        }
        let known = listed(all.iter().map(|end| &end.endpoint));
        let named: Vec<_> = all.into_iter().filter(|e| e.endpoint.as_str() == endpoint).collect();
        if named.is_empty() {
            return Err(format!(
                "application {name:?} has no endpoint {endpoint:?}; it has {known}"
            ));
        }
        Ok(named)
    }

    /// Whether the relation is new and both endpoints take one more.
    fn check_new(&self, ends: &Pair) -> Result<(), ModelError> {
        if let Some(old) = self.relations.values().find(|r| ends.iter().all(|e| r.ends.contains(e)))
        {
            let relation = old.describe();
            return Err(match old.life {
                Life::Alive => ModelError::Related(relation),
                Life::Dying => ModelError::Integrate(format!(
                    "relation \"{relation}\" is being removed; wait for it"
                )),
            });
        }
        for end in ends {
            let app = self.apps.get(&end.app);
            let endpoint = app.and_then(|app| app.charm.endpoint(end.endpoint.as_str()));
            let Some(limit) = endpoint.and_then(|(_, meta)| meta.limit) else { continue };
            let used = self.relations.values().filter(|r| r.ends.contains(end)).count();
            if used >= limit as usize {
                return Err(ModelError::Integrate(format!(
                    "endpoint {:?} of application {:?} takes at most {limit} relations; \
                     remove one first",
                    end.endpoint.as_str(),
                    end.app.as_str(),
                )));
            }
        }
        Ok(())
    }
}

/// The endpoint that every application provides.
fn info(app: &AppName) -> Option<RelationEnd> {
    let endpoint = INFO.parse().ok()?;
    let (app, role, interface) = (app.clone(), Role::Provider, INFO.to_owned());
    Some(RelationEnd { app, endpoint, role, interface })
}

/// A requirer of `juju-info` with the other application, which provides it without saying so.
fn implicit(left: &[RelationEnd], right: &[RelationEnd], a: &str, b: &str) -> Option<Pair> {
    let wants = |end: &&RelationEnd| end.role == Role::Requirer && end.interface == INFO;
    let whole = |spec: &str| info(&spec.parse().ok()?);
    match (left.iter().find(wants), right.iter().find(wants)) {
        (Some(end), None) => Some([end.clone(), whole(b)?]),
        (None, Some(end)) => Some([end.clone(), whole(a)?]),
        _ => None,
    }
}

fn ends_of(app: &Application) -> Vec<RelationEnd> {
    let endpoints = app.charm.endpoints().filter(|(_, meta)| meta.role != Role::Peer);
    endpoints
        .map(|(endpoint, meta)| RelationEnd {
            app: app.name.clone(),
            endpoint: endpoint.clone(),
            role: meta.role,
            interface: meta.interface.clone(),
        })
        .collect()
}

/// Whether `app` or `app:endpoint` names this end.
fn is(end: &RelationEnd, spec: &str) -> bool {
    match spec.split_once(':') {
        Some((app, endpoint)) => end.app.as_str() == app && end.endpoint.as_str() == endpoint,
        None => end.app.as_str() == spec,
    }
}

fn text(pair: &Pair) -> String {
    let ends: Vec<_> = pair.iter().map(|end| format!("{}:{}", end.app, end.endpoint)).collect();
    ends.join(" ")
}

/// `database (provides postgresql_client)`, for messages.
fn described(ends: &[RelationEnd]) -> String {
    listed(ends.iter().map(|end| {
        let verb = if end.role == Role::Provider { "provides" } else { "requires" };
        format!("{} ({verb} {})", end.endpoint, end.interface)
    }))
}
