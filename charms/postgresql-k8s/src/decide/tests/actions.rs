//! Actions.

use juju_charm::Event;
use serde_json::json;

use super::{decide, list};
use crate::facts::Facts;
use crate::facts::fixture::{new_leader, second_unit, steady};

pub(super) fn action(name: &str, parameters: &serde_json::Value, facts: Facts) -> Vec<String> {
    let parameters = parameters.as_object().unwrap().clone();
    let event = Event::Action { name: name.to_owned(), id: "1".to_owned() };
    list(&decide(&event, &Facts { parameters, ..facts }))
}

#[test]
fn actions_answer_or_say_why_not() {
    let none = json!({});
    assert_eq!(action("get-primary", &none, steady()), ["result primary=pg/0"]);
    assert_eq!(
        action("get-primary", &none, new_leader()),
        ["fail: No member of the cluster answers."]
    );
    assert_eq!(action("get-password", &none, steady()), ["result password"]);
    assert_eq!(
        action("get-password", &json!({"username": "x"}), steady()),
        ["fail: The action can be run only for system users or Patroni: \
          backup, replication, rewind, operator, monitoring, patroni not x"]
    );
    assert_eq!(
        action("set-password", &none, second_unit()),
        ["fail: The action can be run only on leader unit"]
    );
    assert_eq!(
        action("set-password", &json!({"username": "patroni"}), steady()),
        ["fail: The action can be run only for system users: \
          backup, replication, rewind, operator, monitoring not patroni"]
    );
    assert_eq!(
        action("set-password", &json!({"password": "new"}), steady()),
        [
            "push config",
            "set password of operator",
            "put secret database-peers.pg.app",
            "reload",
            "push config",
            "result password"
        ]
    );
    assert_eq!(
        action("promote-to-primary", &json!({"scope": "unit"}), second_unit()),
        ["switch over from pg-0 to pg-1"]
    );
    assert_eq!(
        action("promote-to-primary", &json!({"scope": "all"}), steady()),
        ["fail: Scope should be either cluster or unit"]
    );
    assert_eq!(
        action("promote-to-primary", &json!({"scope": "unit", "force": true}), second_unit()),
        ["fail: Suprerfluous force flag with unit scope"]
    );
    assert!(action("promote-to-primary", &json!({"scope": "unit"}), steady()).is_empty());
}

#[test]
fn an_equal_password_changes_nothing() {
    let same = json!({"username": "rewind", "password": "rewind-secret"});
    assert_eq!(
        action("set-password", &same, steady()),
        ["log: The old and new passwords are equal.", "result password"]
    );
}

#[test]
fn a_member_restarts_where_the_action_runs() {
    assert_eq!(action("restart", &json!({}), steady()), ["restart"]);
    assert_eq!(
        action("restart", &json!({}), second_unit()),
        ["fail: PostgreSQL does not run on this unit"]
    );
}
