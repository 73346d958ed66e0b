//! Whether the member still holds the leader lock, and for how long.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// What must be left of the lock: more than the wait and the stop's first steps take. A member
/// that has lost the lock must stop at once, because another may be promoted already.
const LEFT: Duration = Duration::from_secs(5);

/// Whether the object that is Patroni's leader lock leaves `member` time to wait.
///
/// Patroni writes the lock's holder, its last renewal and its time to live as annotations
/// (`patroni/dcs/kubernetes.py`, `_update_leader`). The holder wrote them by this machine's clock.
pub(crate) fn leaves_time(endpoints: &Value, member: &str, now: Timestamp) -> bool {
    let annotations = &endpoints["metadata"]["annotations"];
    let text = |name: &str| annotations[name].as_str();
    let renewed = text("renewTime").and_then(|text| text.parse::<Timestamp>().ok());
    let ttl = text("ttl").and_then(|text| text.parse::<u32>().ok());
    let (Some(leader), Some(renewed), Some(ttl)) = (text("leader"), renewed, ttl) else {
        return false;
    };
    let age = now.duration_since(renewed);
    let age = Duration::try_from(age).unwrap_or(Duration::ZERO);
    leader == member && Duration::from_secs(u64::from(ttl)).saturating_sub(age) > LEFT
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(annotations: Value, expected: bool) {
        let endpoints = json!({"metadata": {"annotations": annotations}});
        let now = "2026-11-29T10:00:20Z".parse().unwrap();
        assert_eq!(leaves_time(&endpoints, "pg-1", now), expected, "{annotations}");
    }

    fn lock(leader: &str, renewed: &str, ttl: &str) -> Value {
        json!({"leader": leader, "renewTime": renewed, "ttl": ttl, "transitions": "3"})
    }

    #[test]
    fn only_a_holder_with_time_left_may_wait() {
        check(lock("pg-1", "2026-11-29T10:00:19.123456+00:00", "20"), true);
        check(lock("pg-1", "2026-11-29T10:00:06.000000+00:00", "20"), true);
        check(lock("pg-1", "2026-11-29T10:00:05.000000+00:00", "20"), false);
        check(lock("pg-1", "2026-11-29T09:00:00.000000+00:00", "20"), false);
        check(lock("pg-0", "2026-11-29T10:00:19.123456+00:00", "20"), false);
        check(lock("", "2026-11-29T10:00:19.123456+00:00", "20"), false);
        check(lock("pg-1", "yesterday", "20"), false);
        check(lock("pg-1", "2026-11-29T10:00:19.123456+00:00", "long"), false);
        check(Value::Null, false);
    }
}
