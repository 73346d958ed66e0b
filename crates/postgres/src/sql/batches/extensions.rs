//! Statements that make an extension, in the order in which they run.

use crate::sql::{OnExtension, Statement};

/// Where an extension's script may run. It runs as a superuser, and finds what is in the
/// extension's schema and in those of extensions that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Into `pg_catalog`, where no client makes anything, or nowhere: the server has none of this
    /// name.
    System,
    /// Into the schema that the extension names, which has to be made first where it is not there.
    Named {
        /// Its name.
        schema: String,
        /// Whether it is there.
        there: bool,
    },
    /// It can be moved: its script runs in an empty schema of this name, in which no other role may
    /// create, and it moves to `public` after that.
    Staged(String),
    /// It can only be made where it stays, in `public`.
    Public,
}

/// Extensions of PostgreSQL's own whose scripts are written to find no other role's objects.
const CAREFUL: [&str; 1] = ["earthdistance"];

/// The schemas in which clients may have put what the extension's script would find; `needs` are
/// those of extensions that it needs.
pub fn exposed(name: &str, place: &Place, needs: Vec<String>) -> Vec<String> {
    let mut schemas = if CAREFUL.contains(&name) { Vec::new() } else { needs };
    match place {
        Place::Named { schema, .. } => schemas.push(schema.clone()),
        Place::Public => schemas.push("public".to_owned()),
        Place::System | Place::Staged(_) => {}
    }
    schemas.sort();
    schemas.dedup();
    schemas
}

/// Makes an extension in the connected database, whose script finds nothing of clients' in the
/// schemas `exposed`.
pub fn create_extension(name: &str, place: &Place, exposed: &[String]) -> Vec<Statement> {
    use OnExtension::{Create, CreateSchema, DropSchema, Lock, Publish, Refuse};
    let mut all = match exposed {
        [] => Vec::new(),
        schemas => vec![Lock, Refuse(schemas.to_vec())],
    };
    let create = |schema: Option<&str>| Create(name.to_owned(), schema.map(str::to_owned));
    match place {
        Place::System => all.push(create(None)),
        Place::Named { schema, there } => {
            all.extend((!there).then(|| CreateSchema(schema.clone())));
            all.push(create(None));
        }
        Place::Public => all.push(create(Some("public"))),
        Place::Staged(stage) => all.extend([
            CreateSchema(stage.clone()),
            create(Some(stage)),
            Publish(name.to_owned()),
            DropSchema(stage.clone()),
        ]),
    }
    all.into_iter().map(Statement::Extension).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, place: &Place, needs: &[&str], expected: &[&str]) {
        let needs = needs.iter().map(|schema| (*schema).to_owned()).collect();
        assert_eq!(exposed(name, place, needs), expected);
        let statements = create_extension(name, place, &exposed(name, place, Vec::new()));
        let first = statements.first().is_some_and(|first| first.kind() == "LOCK TABLE");
        assert_eq!(first, matches!(place, Place::Public | Place::Named { .. }));
    }

    #[test]
    fn a_script_finds_its_own_schema_and_those_of_what_it_needs() {
        let staged = Place::Staged("extension_7".to_owned());
        let named = |there| Place::Named { schema: "topology".to_owned(), there };
        check("plperl", &Place::System, &[], &[]);
        check("hstore", &staged, &[], &[]);
        check("postgis_raster", &staged, &["public"], &["public"]);
        check("earthdistance", &staged, &["public"], &[]);
        check("orafce", &Place::Public, &["public"], &["public"]);
        check("postgis_topology", &named(true), &["public"], &["public", "topology"]);
    }

    #[test]
    fn a_schema_that_is_not_there_is_made_by_whoever_makes_the_extension() {
        let schema = "a \"b\"".to_owned();
        let made = |there| {
            let place = Place::Named { schema: schema.clone(), there };
            let all = create_extension("x", &place, std::slice::from_ref(&schema)).split_off(2);
            all.iter().map(Statement::sql).collect::<Vec<_>>()
        };
        assert_eq!(made(true), ["CREATE EXTENSION IF NOT EXISTS \"x\""]);
        assert_eq!(made(false)[0], "CREATE SCHEMA \"a \"\"b\"\"\"");
    }
}
