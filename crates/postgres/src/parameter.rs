//! A parameter as a server runs with it, and whether that is what was asked for.

use crate::port::Row;

/// A parameter as a server runs with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value, in the unit below.
    pub setting: String,
    /// What one of its value is, for instance `8kB`; empty for none.
    unit: String,
    kind: Kind,
    /// Whether the configuration has another value, which a restart brings.
    pub pending: bool,
}

/// What a parameter's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Whole,
    Real,
    Word,
    Text,
}

/// Parameters whose texts the server writes in its own way.
const REWRITTEN: [&str; 3] = ["client_encoding", "DateStyle", "default_text_search_config"];

/// Units by which values may be given, as parts of the smallest of their kind.
const UNITS: [(&str, f64); 11] = [
    ("B", 1.0),
    ("kB", 1024.0),
    ("MB", 1_048_576.0),
    ("GB", 1_073_741_824.0),
    ("TB", 1_099_511_627_776.0),
    ("us", 1.0),
    ("ms", 1e3),
    ("s", 1e6),
    ("min", 6e7),
    ("h", 3.6e9),
    ("d", 8.64e10),
];

impl Parameter {
    /// A row of the server's answer.
    pub(crate) fn read(row: Row) -> Option<Self> {
        let [name, setting, unit, kind, pending] = row.try_into().ok()?;
        let kind = match kind?.as_str() {
            "bool" => Kind::Boolean,
            "integer" => Kind::Whole,
            "real" => Kind::Real,
            "enum" => Kind::Word,
            _ => Kind::Text,
        };
        let pending = pending.as_deref() == Some("true");
        Some(Self { name: name?, setting: setting?, unit: unit?, kind, pending })
    }

    /// Whether the server has what was asked for. Where only the server could tell, it has.
    pub fn is(&self, asked: &str) -> bool {
        let (asked, setting) = (asked.trim(), self.setting.trim());
        if asked.eq_ignore_ascii_case(setting) {
            return true;
        }
        match self.kind {
            Kind::Boolean => boolean(asked) == boolean(setting),
            Kind::Whole | Kind::Real => self.is_number(asked, setting),
            // One word may stand for another, for instance `on` for what is on by default.
            Kind::Word => boolean(asked).is_some(),
            Kind::Text => REWRITTEN.iter().any(|name| name.eq_ignore_ascii_case(&self.name)),
        }
    }

    fn is_number(&self, asked: &str, setting: &str) -> bool {
        let Some((count, base)) = measured(&self.unit) else { return true };
        let Some((number, given)) = measured(asked) else { return true };
        let Ok(setting) = setting.parse::<f64>() else { return true };
        let base = count * base.unwrap_or(1.0);
        let asked = number * given.unwrap_or(base) / base;
        match self.kind {
            Kind::Real => (asked - setting).abs() <= setting.abs() * 1e-6,
            Kind::Whole | Kind::Boolean | Kind::Word | Kind::Text => asked.round() == setting,
        }
    }
}

/// A number and the unit behind it; an empty text is one of no unit. None where it is neither.
fn measured(text: &str) -> Option<(f64, Option<f64>)> {
    let end = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = if number.is_empty() { 1.0 } else { number.trim().parse().ok()? };
    let known = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
    (unit.is_empty() || known.is_some()).then_some((number, known))
}

/// What PostgreSQL takes for yes and no.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: &str, unit: &str, setting: &str, asked: &[&str], others: &[&str]) {
        let row = ["work", setting, unit, kind, "false"].map(|text| Some(text.to_owned()));
        let parameter = Parameter::read(row.to_vec()).unwrap();
        let not: Vec<_> = asked.iter().filter(|asked| !parameter.is(asked)).collect();
        let is: Vec<_> = others.iter().filter(|other| parameter.is(other)).collect();
        assert_eq!((not, is), (Vec::new(), Vec::new()), "{setting} {unit}");
    }

    #[test]
    fn sizes_and_times_are_compared_in_the_servers_unit() {
        check("integer", "MB", "128", &["128", "128MB", "131072kB", "128 MB"], &["64MB", "129"]);
        check("integer", "8kB", "2", &["2", "16kB", "16384B"], &["1", "32kB", "2MB"]);
        check("integer", "ms", "10000", &["10s", "10000", "10000ms"], &["10", "11s"]);
        check("integer", "", "4", &["4"], &["5", "40"]);
        check("integer", "s", "-1", &["-1"], &["0"]);
        check("real", "", "1.5", &["1.5", "1.50"], &["1.4", "2"]);
        check("real", "ms", "0.1", &["0.1", "100us"], &["0.2"]);
    }

    #[test]
    fn words_are_compared_as_the_server_reads_them() {
        check("bool", "", "on", &["on", "true", "1", "YES"], &["off", "0"]);
        check("enum", "", "pglz", &["pglz", "PGLZ", "on"], &["lz4"]);
        check("string", "", "C.UTF-8", &["C.UTF-8", " C.UTF-8"], &["C"]);
    }

    #[test]
    fn what_only_the_server_can_tell_is_believed() {
        let row =
            ["DateStyle", "ISO, MDY", "", "string", "false"].map(|text| Some(text.to_owned()));
        assert!(Parameter::read(row.to_vec()).unwrap().is("iso"));
        check("integer", "kB", "64", &["much"], &[]);
        assert_eq!(Parameter::read(vec![None]), None);
    }
}
