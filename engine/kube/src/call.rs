//! A request that may be carried out, and what comes of it.

use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::header::{HeaderValue, WARNING};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::access::{self, User};
use crate::answer::{Answer, list, response, stored, text};
use crate::bounds::Seat;
use crate::cause::Cause;
use crate::request::{Query, Resource, Sub, Verb, body};
use crate::store::Key;
use crate::strict::{self, FieldValidation};
use crate::{
    Api, ApiError, DeleteOptions, Deleted, Kind, PatchType, Scope, Store, Writer, delete_options,
    list_options, validate, watch,
};

/// How much of a client's own name is a manager's.
const MANAGER_CHARS_MAX: usize = 128;

/// The content types of a patch.
pub(crate) const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
    application/strategic-merge-patch+json, application/apply-patch+yaml";

/// A request that may be carried out.
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Api,
    pub(crate) seat: &'a Seat,
    pub(crate) resource: &'a Resource,
    pub(crate) query: &'a Query,
    pub(crate) content_type: &'a str,
    /// What the client calls itself.
    pub(crate) agent: &'a str,
    /// Who asks.
    pub(crate) user: &'a User,
    pub(crate) bytes: &'a Bytes,
}

impl Call<'_> {
    /// Carries it out.
    pub(crate) fn run(&self, verb: Verb) -> Result<Answer, ApiError> {
        match verb {
            Verb::Create if self.resource.sub == Sub::Eviction => self.evict(),
            Verb::Get => self.get(),
            Verb::List => self.list(),
            Verb::Watch => self.watch(),
            Verb::Create | Verb::Update | Verb::Patch => self.write(verb),
            Verb::Delete => self.delete(),
            Verb::DeleteCollection => self.delete_collection(),
        }
    }

    /// Writes what the body says, and remarks on fields that are there twice or unknown.
    fn write(&self, verb: Verb) -> Result<Answer, ApiError> {
        let validation = FieldValidation::parse(self.query.get("fieldValidation"), self.kind())?;
        self.query.field_manager(self.kind())?;
        let body = self.body()?;
        let remarks = match validation {
            FieldValidation::Ignore => Vec::new(),
            _ => strict::remarks(self.kind(), self.bytes, &body),
        };
        if validation == FieldValidation::Strict && !remarks.is_empty() {
            let why = format!("strict decoding error: {}", remarks.join(", "));
            return Err(ApiError::BadRequest(why));
        }
        let mut answer = match verb {
            Verb::Create => self.create(&body)?,
            Verb::Update => self.update(&body)?,
            _ => self.patch(&body)?,
        };
        for remark in remarks {
            let words = remark.replace('\\', "\\\\").replace('"', "\\\"");
            // What no header can say is left unsaid.
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{words}\"")) {
                answer.headers_mut().append(WARNING, value);
            }
        }
        Ok(answer)
    }

    fn kind(&self) -> Kind {
        self.resource.kind
    }

    fn namespace(&self) -> &str {
        self.resource.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.resource.name.as_deref().unwrap_or_default()
    }

    fn key(&self) -> Key {
        Key::new(self.kind(), self.namespace(), self.name())
    }

    fn scope(&self) -> Scope {
        if self.resource.sub == Sub::Status { Scope::Status } else { Scope::Main }
    }

    /// In whose name fields are written: the client's own, if it names none.
    fn manager(&self) -> Result<String, ApiError> {
        let named = self.query.field_manager(self.kind())?;
        let own = self.agent.split('/').next().unwrap_or_default();
        Ok(named.unwrap_or(own).chars().take(MANAGER_CHARS_MAX).collect())
    }

    fn writer<'b>(&'b self, manager: &'b str, now: Timestamp) -> Writer<'b> {
        Writer { manager, scope: self.scope(), now, labels: self.user.labels() }
    }

    fn body(&self) -> Result<Value, ApiError> {
        body(self.bytes, self.content_type)
    }

    /// Whether the client may make a new object, by whichever verb, and its namespace is there.
    fn may_create(&self, store: &Store) -> Result<(), ApiError> {
        access::allow(self.user, Verb::Create, self.resource)?;
        match &self.resource.namespace {
            Some(name) => store.get(&Key::new(Kind::Namespace, "", name)).map(drop),
            None => Ok(()),
        }
    }

    /// Changes the objects, or finds out what a change would do.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Store, Timestamp) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        if self.query.is_dry_run(self.kind())? {
            self.api.rehearse(change)
        } else {
            self.api.change(change)
        }
    }

    fn get(&self) -> Result<Answer, ApiError> {
        let object = self.api.read(|store| store.get(&self.key()).cloned())?;
        Ok(stored(200, &object))
    }

    fn list(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let options = list_options::parse(self.query, false)?;
        let held = self.seat.list().ok_or(ApiError::TooManyRequests)?;
        let taken = self.api.read(|store| store.list_at(&filter, &options))?;
        Ok(list(self.kind(), Some(taken.version), &taken.items, held))
    }

    fn watch(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let options = list_options::parse(self.query, true)?;
        let held = self.seat.watch().ok_or(ApiError::TooManyRequests)?;
        let events = watch::events(self.api.clone(), filter, &options, held)?;
        Ok(response(200, UnsyncBoxBody::new(StreamBody::new(events))))
    }

    fn create(&self, body: &Value) -> Result<Answer, ApiError> {
        let manager = self.manager()?;
        let object = self.change(|store, now| {
            self.may_create(store)?;
            store.create(self.kind(), self.namespace(), body, self.writer(&manager, now))
        })?;
        Ok(stored(201, &object))
    }

    fn update(&self, body: &Value) -> Result<Answer, ApiError> {
        let (key, manager) = (self.key(), self.manager()?);
        let (object, made) = self.change(|store, now| {
            let made = store.get(&key).is_err();
            if made {
                self.may_create(store)?;
                validate::identity(&key, body)?;
            }
            let mut named = body.clone();
            named["metadata"]["name"] = self.name().into();
            Ok((store.replace(&key, &named, self.writer(&manager, now))?, made))
        })?;
        Ok(stored(if made { 201 } else { 200 }, &object))
    }

    fn patch(&self, body: &Value) -> Result<Answer, ApiError> {
        let media_type = self.content_type.split(';').next().unwrap_or_default().trim();
        let patch_type = match media_type {
            "application/apply-patch+yaml" => return self.apply(body),
            "application/json-patch+json" => PatchType::Json,
            "application/merge-patch+json" => PatchType::Merge,
            "application/strategic-merge-patch+json" => PatchType::Strategic,
            _ => return Err(ApiError::UnsupportedMediaType(PATCH_TYPES)),
        };
        if self.query.get("force").is_some() {
            let rule = "may not be specified for non-apply patch";
            let causes = vec![Cause::forbidden("force", rule)];
            return Err(ApiError::Options { name: "PatchOptions", causes });
        }
        let (key, manager) = (self.key(), self.manager()?);
        let object = self
            .change(|store, now| store.patch(&key, patch_type, body, self.writer(&manager, now)))?;
        Ok(stored(200, &object))
    }

    fn apply(&self, body: &Value) -> Result<Answer, ApiError> {
        let manager = self.query.field_manager(self.kind())?.ok_or_else(|| {
            let causes = vec![Cause::required("fieldManager", "is required for apply patch")];
            ApiError::Options { name: "PatchOptions", causes }
        })?;
        if !body["apiVersion"].is_string() || !body["kind"].is_string() {
            let why = "invalid object type: apiVersion and kind must be set in an apply patch";
            return Err(ApiError::BadRequest(why.to_owned()));
        }
        let (key, force) = (self.key(), self.query.is_true("force"));
        let (object, created) = self.change(|store, now| {
            if store.get(&key).is_err() {
                self.may_create(store)?;
            }
            store.apply(&key, body, force, self.writer(manager, now))
        })?;
        Ok(stored(if created { 201 } else { 200 }, &object))
    }

    /// How something is to be deleted: the body says it, or the query where there is no body.
    fn delete_options(&self) -> Result<(DeleteOptions, bool, Option<bool>), ApiError> {
        let written = if self.bytes.is_empty() { None } else { Some(self.body()?) };
        let asked = delete_options::parse(written.as_ref(), self.query)?;
        Ok((asked.options, asked.dry_run, asked.orphan))
    }

    fn delete(&self) -> Result<Answer, ApiError> {
        let (options, dry_run, orphan) = self.delete_options()?;
        let change = |store: &mut Store, now| store.delete(&self.key(), &options, now);
        let Deleted { object, gone } =
            if dry_run { self.api.rehearse(change)? } else { self.api.change(change)? };
        if !gone || self.kind().is_shown_when_deleted() {
            return Ok(stored(if !gone && orphan == Some(false) { 202 } else { 200 }, &object));
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {
                "name": self.name(),
                "kind": self.kind().plural(),
                "uid": object.value()["metadata"]["uid"],
            },
        });
        if !self.kind().group().is_empty() {
            status["details"]["group"] = json!(self.kind().group());
        }
        Ok(text(200, status.to_string()))
    }

    fn delete_collection(&self) -> Result<Answer, ApiError> {
        let filter = self.query.filter(self.resource)?;
        let (options, dry_run, _) = self.delete_options()?;
        let held = self.seat.list().ok_or(ApiError::TooManyRequests)?;
        let change = |store: &mut Store, now| Ok(store.delete_collection(&filter, &options, now));
        let items = if dry_run { self.api.rehearse(change)? } else { self.api.change(change)? };
        Ok(list(self.kind(), None, &items, held))
    }

    /// Deletes a pod as a drain does; there are no disruption budgets.
    fn evict(&self) -> Result<Answer, ApiError> {
        let eviction = self.body()?;
        if eviction["metadata"]["name"] != self.name() {
            let why = "name in URL does not match name in Eviction object";
            return Err(ApiError::BadRequest(why.to_owned()));
        }
        let written = eviction.get("deleteOptions").filter(|options| options.is_object());
        let asked = delete_options::parse(written, self.query)?;
        let dry_run = asked.dry_run || self.query.is_dry_run(self.kind())?;
        let change = |store: &mut Store, now| store.delete(&self.key(), &asked.options, now);
        if dry_run {
            self.api.rehearse(change)?
        } else {
            self.api.change(change)?
        };
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
        });
        Ok(text(201, status.to_string()))
    }
}
