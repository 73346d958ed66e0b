//! The options that switch extensions on and off: `plugin_<name>_enable`.

use std::collections::BTreeSet;

use juju_charm::Config;
use patroni::config::Parameters;

/// Every plugin that has an option, sorted.
const NAMES: [&str; 53] = [
    "address_standardizer",
    "address_standardizer_data_us",
    "audit",
    "bloom",
    "bool_plperl",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "debversion",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "hll",
    "hstore",
    "hypopg",
    "icu_ext",
    "intarray",
    "ip4r",
    "isn",
    "jsonb_plperl",
    "lo",
    "ltree",
    "old_snapshot",
    "orafce",
    "pg_freespacemap",
    "pg_similarity",
    "pg_stat_statements",
    "pg_trgm",
    "pg_visibility",
    "pgrowlocks",
    "pgstattuple",
    "plperl",
    "plpython3u",
    "pltcl",
    "postgis",
    "postgis_raster",
    "postgis_tiger_geocoder",
    "postgis_topology",
    "prefix",
    "rdkit",
    "seg",
    "spi",
    "tablefunc",
    "tcn",
    "tds_fdw",
    "timescaledb",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid_ossp",
    "vector",
];

/// Plugins that need others, which have options too.
const NEEDS: [(&str, &[&str]); 8] = [
    ("address_standardizer", &["postgis"]),
    ("address_standardizer_data_us", &["postgis"]),
    ("bool_plperl", &["plperl"]),
    ("earthdistance", &["cube"]),
    ("jsonb_plperl", &["plperl"]),
    ("postgis_raster", &["postgis"]),
    ("postgis_tiger_geocoder", &["postgis", "fuzzystrmatch"]),
    ("postgis_topology", &["postgis"]),
];

/// Plugins by the names of their options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugins(BTreeSet<&'static str>);

impl Plugins {
    /// Those that the options switch on.
    pub fn parse(config: &Config) -> Self {
        let is_on = |name: &&&str| config.boolean(&format!("plugin_{name}_enable"));
        Self(NAMES.iter().filter(is_on).copied().collect())
    }

    /// Reads what [`Plugins::text`] wrote; unknown names are left out.
    pub fn read(text: &str) -> Self {
        let words: BTreeSet<&str> = text.split(',').collect();
        Self(NAMES.iter().filter(|name| words.contains(*name)).copied().collect())
    }

    /// The names, with commas between.
    pub fn text(&self) -> String {
        self.0.iter().copied().collect::<Vec<_>>().join(",")
    }

    /// Those of `self` that are not among `others`.
    pub fn without(&self, others: &Self) -> Self {
        Self(self.0.difference(&others.0).copied().collect())
    }

    /// The extensions, each after those that it needs.
    pub fn extensions(&self) -> Vec<&'static str> {
        let needs = |name: &&&str| NEEDS.iter().any(|(needy, _)| *needy == **name);
        let (last, first): (Vec<_>, Vec<_>) = self.0.iter().partition(needs);
        first.into_iter().chain(last).flat_map(|name| extensions_of(name)).collect()
    }

    /// One line for each plugin that lacks another.
    pub fn problems(&self) -> Vec<String> {
        let lacking = NEEDS.iter().filter(|(name, _)| self.0.contains(name));
        let lacking = lacking.flat_map(|(name, all)| all.iter().map(move |other| (name, other)));
        let lacking = lacking.filter(|(_, other)| !self.0.contains(*other));
        lacking
            .map(|(name, other)| {
                format!("cannot enable the plugin {name}: set plugin_{other}_enable as well")
            })
            .collect()
    }

    /// The parameters that the audit needs, whose library is in the image or is not.
    pub fn parameters(&self, in_image: bool) -> Parameters {
        if !in_image {
            return Parameters::new();
        }
        let what = if self.0.contains("audit") { "ROLE,DDL,MISC,MISC_SET" } else { "none" };
        let all = [
            ("pgaudit.log", what),
            ("pgaudit.log_client", "off"),
            ("pgaudit.log_parameter", "off"),
            // Always, so that the audit begins and ends without a restart.
            ("shared_preload_libraries", "pgaudit,pg_stat_statements"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.into())).into()
    }
}

/// What PostgreSQL calls a plugin.
fn extensions_of(name: &'static str) -> Vec<&'static str> {
    match name {
        "audit" => vec!["pgaudit"],
        "spi" => vec!["refint", "autoinc", "insert_username", "moddatetime"],
        "uuid_ossp" => vec!["uuid-ossp"],
        name => vec![name],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn on(names: &[&str]) -> Plugins {
        let options = names.iter().map(|name| (format!("plugin_{name}_enable"), json!(true)));
        Plugins::parse(&Config::new(serde_json::Map::from_iter(options)))
    }

    #[test]
    fn every_plugin_has_an_option_and_only_the_audit_is_on() {
        let mut options = super::super::tests::defaults();
        options.retain(|name, _| name.starts_with("plugin_"));
        let known: Vec<String> = NAMES.iter().map(|name| format!("plugin_{name}_enable")).collect();
        assert_eq!(options.keys().cloned().collect::<BTreeSet<_>>(), known.into_iter().collect());
        assert_eq!(Plugins::parse(&Config::new(options)), on(&["audit"]));
    }

    #[test]
    fn the_text_reads_back() {
        let plugins = on(&["vector", "hstore"]);
        assert_eq!(plugins.text(), "hstore,vector");
        assert_eq!(Plugins::read(&plugins.text()), plugins);
        assert_eq!(Plugins::read(""), on(&[]));
        assert_eq!(Plugins::read("nonsense,hstore"), on(&["hstore"]));
    }

    #[test]
    fn extensions_come_after_what_they_need() {
        let all = on(&["earthdistance", "cube", "audit", "uuid_ossp", "spi", "bool_plperl"]);
        assert_eq!(
            all.extensions(),
            [
                "pgaudit",
                "cube",
                "refint",
                "autoinc",
                "insert_username",
                "moddatetime",
                "uuid-ossp",
                "bool_plperl",
                "earthdistance",
            ]
        );
        let lines = all.problems();
        assert_eq!(
            lines,
            ["cannot enable the plugin bool_plperl: set plugin_plperl_enable as well"]
        );
    }

    #[test]
    fn the_audit_is_loaded_where_the_image_has_it() {
        assert!(on(&["audit"]).parameters(false).is_empty());
        assert_eq!(on(&["audit"]).parameters(true)["pgaudit.log"], "ROLE,DDL,MISC,MISC_SET");
        assert_eq!(on(&[]).parameters(true)["pgaudit.log"], "none");
    }
}
