//! Names of units.

use serde::Deserialize;

use crate::{AppName, NameError};

/// A unit's name, such as `pgbouncer-k8s/0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct UnitName {
    app: AppName,
    number: u32,
}

impl UnitName {
    /// The unit of `app` with the ordinal `number`.
    pub fn new(app: AppName, number: u32) -> Self {
        Self { app, number }
    }

    /// The application the unit belongs to.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The unit's ordinal, which Kubernetes uses in the pod's name.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The pod's name: `pgbouncer-k8s-0`.
    pub fn pod(&self) -> String {
        format!("{}-{}", self.app, self.number)
    }

    /// Juju's tag: `unit-pgbouncer-k8s-0`.
    pub fn tag(&self) -> String {
        format!("unit-{}-{}", self.app, self.number)
    }

    /// The unit whose pod has this name.
    ///
    /// # Errors
    /// `NameError::Unit` when the text does not end in a hyphen and a number.
    pub fn from_pod(pod: &str) -> Result<Self, NameError> {
        match pod.rsplit_once('-') {
            Some((app, number)) => format!("{app}/{number}").parse(),
            None => Err(NameError::Unit(pod.to_owned())),
        }
    }
}

impl std::str::FromStr for UnitName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NameError::Unit(text.to_owned());
        let (app, number) = text.split_once('/').ok_or_else(bad)?;
        let canonical = number == "0" || !number.starts_with('0');
        if !canonical || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        Ok(Self {
            app: app.parse().map_err(|_| bad())?,
            number: number.parse().map_err(|_| bad())?,
        })
    }
}

impl std::fmt::Display for UnitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (f.width(), f.precision()) {
            (None, None) => write!(f, "{}/{}", self.app.as_str(), self.number),
            _ => f.pad(&format!("{}/{}", self.app, self.number)),
        }
    }
}

crate::text_traits!(UnitName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_an_application_and_a_number() -> Result<(), NameError> {
        let unit: UnitName = "pgbouncer-k8s/10".parse()?;
        assert_eq!((unit.app().as_str(), unit.number()), ("pgbouncer-k8s", 10));
        assert_eq!(unit.pod(), "pgbouncer-k8s-10");
        assert_eq!(UnitName::from_pod("pgbouncer-k8s-10")?, unit);
        for bad in ["", "a", "a/", "a/01", "a/-1", "a/x", "A/0", "a/0/0", "a/+1"] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad:?}");
        }
        Ok(())
    }
}
