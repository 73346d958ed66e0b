//! Constraints as `deploy` takes them: `mem=512M cpu-power=500`.

use juju_model::Constraints;

/// Constraints of Juju that choose a machine; there is one.
const WITHOUT_EFFECT: [&str; 12] = [
    "allocate-public-ip",
    "arch",
    "container",
    "cores",
    "image-id",
    "instance-role",
    "instance-type",
    "root-disk",
    "root-disk-source",
    "tags",
    "virt-type",
    "zones",
];

/// Why constraints are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConstraintsError {
    /// It is no `key=value`.
    #[error("cannot read the constraint {0:?}: write <key>=<value>, for instance mem=512M")]
    Shape(String),
    /// Juju knows no such constraint.
    #[error("cannot use the constraint {0:?}: the engine knows mem and cpu-power")]
    Unknown(String),
    /// The value is no amount.
    #[error("cannot read the constraint {key}={value}: write {example}")]
    Value { key: String, value: String, example: &'static str },
}

/// The constraints in words separated by spaces, and the keys that have no effect.
pub(crate) fn parse(
    words: &[String],
) -> Result<(Constraints, Vec<&'static str>), ConstraintsError> {
    let (mut found, mut idle) = (Constraints::default(), Vec::new());
    for word in words.iter().flat_map(|words| words.split_whitespace()) {
        let (key, value) =
            word.split_once('=').ok_or_else(|| ConstraintsError::Shape(word.to_owned()))?;
        let wrong = |example| ConstraintsError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            example,
        };
        match key {
            // An empty value takes a constraint back.
            "mem" | "cpu-power" if value.is_empty() => {}
            "mem" => found.memory = Some(mebibytes(value).ok_or_else(|| wrong("mem=512M"))?),
            "cpu-power" => {
                let amount = value.parse().ok().filter(|amount| *amount > 0);
                let example = "thousandths of a processor, for instance cpu-power=500";
                found.cpu = Some(amount.ok_or_else(|| wrong(example))?);
            }
            _ => match WITHOUT_EFFECT.iter().find(|known| **known == key) {
                Some(known) => idle.push(*known),
                None => return Err(ConstraintsError::Unknown(key.to_owned())),
            },
        }
    }
    Ok((found, idle))
}

/// Words as keys and values; the later one wins.
pub(crate) fn pairs(words: &[String]) -> std::collections::BTreeMap<String, String> {
    let all = words.iter().flat_map(|words| words.split_whitespace());
    let pair = |word: &str| word.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    all.filter_map(pair).filter(|(_, value)| !value.is_empty()).collect()
}

/// What an application gets that names some constraints itself: the model's for the rest.
pub(crate) fn with_models(
    own: Constraints,
    models: &std::collections::BTreeMap<String, String>,
) -> Constraints {
    let words: Vec<String> = models.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let (models, _) = parse(&words).unwrap_or_default();
    Constraints { memory: own.memory.or(models.memory), cpu: own.cpu.or(models.cpu) }
}

/// Constraints as Juju shows them: the key and its value.
pub(crate) fn words(constraints: &Constraints) -> Vec<(&'static str, serde_json::Value)> {
    let memory = constraints.memory.map(|amount| ("mem", format!("{amount}M").into()));
    let cpu = constraints.cpu.map(|amount| ("cpu-power", amount.into()));
    cpu.into_iter().chain(memory).collect()
}

/// An amount of memory in MiB: a number with M, G, T or P, M where there is none.
pub(crate) fn mebibytes(text: &str) -> Option<u64> {
    let (number, factor) = match text.char_indices().last()? {
        (at, 'M') => (&text[..at], 1),
        (at, 'G') => (&text[..at], 1 << 10),
        (at, 'T') => (&text[..at], 1 << 20),
        (at, 'P') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|amount| *amount > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mem`, `cpu-power` and what has no effect, or the refusal.
    type Want<'a> = Result<(Option<u64>, Option<u32>, &'a [&'static str]), &'a str>;

    #[track_caller]
    fn check(words: &str, want: Want<'_>) {
        let found = parse(&[words.to_owned()]).map_err(|error| error.to_string());
        let found = found.as_ref().map(|(found, idle)| (found.memory, found.cpu, idle.as_slice()));
        assert_eq!(found.map_err(String::as_str), want, "{words}");
    }

    #[test]
    fn amounts_are_read_as_juju_reads_them() {
        check("", Ok((None, None, &[])));
        check("mem=512M cpu-power=500", Ok((Some(512), Some(500), &[])));
        check("mem=2G", Ok((Some(2048), None, &[])));
        check("mem=300", Ok((Some(300), None, &[])));
        check("mem= arch=amd64 cores=4", Ok((None, None, &["arch", "cores"])));
        check("mem=much", Err("cannot read the constraint mem=much: write mem=512M"));
        check("mem=0", Err("cannot read the constraint mem=0: write mem=512M"));
        check(
            "mem=99999999999P",
            Err("cannot read the constraint mem=99999999999P: write mem=512M"),
        );
        check(
            "cpu-power=half",
            Err("cannot read the constraint cpu-power=half: write thousandths of a processor, \
                 for instance cpu-power=500"),
        );
        check(
            "mem",
            Err("cannot read the constraint \"mem\": write <key>=<value>, for instance mem=512M"),
        );
        check(
            "memory=1G",
            Err("cannot use the constraint \"memory\": the engine knows mem and cpu-power"),
        );
    }
}
