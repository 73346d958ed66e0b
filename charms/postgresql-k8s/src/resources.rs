//! The processors, the memory and the room on its volume that PostgreSQL has.

use serde_json::Value;

/// What one unit may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Cores, at least 1.
    pub cores: u64,
    /// Memory, bytes.
    pub memory: u64,
}

impl Resources {
    /// What the machine has, lowered to the limits of a container of `pod`.
    pub fn limited(self, pod: Option<&Value>, container: &str) -> Self {
        let limits = pod
            .and_then(|pod| pod["spec"]["containers"].as_array())
            .and_then(|all| all.iter().find(|c| c["name"].as_str() == Some(container)))
            .map(|container| &container["resources"]["limits"]);
        let limit = |key: &str| {
            let value = limits.map(|limits| &limits[key])?;
            quantity(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        Self {
            cores: limit("cpu").map_or(self.cores, |millis| (millis / 1000).min(self.cores)).max(1),
            memory: limit("memory").map_or(self.memory, |m| (m / 1000).min(self.memory)),
        }
    }
}

/// A Kubernetes quantity in thousandths, for instance 500 of `500m`.
fn quantity(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let thousandths: u64 = match unit {
        "m" => 1,
        "" => 1000,
        "k" | "K" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    number.checked_mul(thousandths)
}

/// The bytes of `MemTotal` in the text of `/proc/meminfo`.
pub(crate) fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Free space with which no volume is nearly full, bytes.
const ROOM: u64 = 4 << 30;

/// The room on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// What is taken, bytes.
    pub used: u64,
    /// What is left, bytes.
    pub free: u64,
}

impl Volume {
    /// All of it, bytes.
    pub(crate) fn total(self) -> u64 {
        self.used.saturating_add(self.free)
    }

    /// Whether a copy of databases of this size fits beside what is there: with their growth by a
    /// quarter meanwhile, WAL of the copy and after it, and a tenth of the volume besides.
    pub(crate) fn has_room_for_copy(self, databases: u64) -> bool {
        let wal = 2 * (self.total() / 8).min(1 << 30);
        let needed = databases.saturating_add(databases / 4);
        self.free >= needed.saturating_add(wal).saturating_add(self.total() / 10)
    }

    /// Whether less than a tenth is free. A large disk that the volume shares with others may
    /// have less than a tenth and still much room.
    pub(crate) fn is_nearly_full(self) -> bool {
        self.free < ROOM && self.free < self.total() / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_volume_is_nearly_full_with_little_room_of_any_size() {
        let nearly_full = |used, free| Volume { used, free }.is_nearly_full();
        assert!(nearly_full(950 << 20, 50 << 20));
        assert!(!nearly_full(850 << 20, 150 << 20));
        assert!(!nearly_full(900 << 30, 5 << 30));
        assert!(nearly_full(900 << 30, 3 << 30));
        assert!(!nearly_full(0, 0));
    }

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(quantity(text), expected);
    }

    #[test]
    fn quantities_as_kubernetes_writes_them() {
        check("2", Some(2000));
        check("500m", Some(500));
        check("4Gi", Some(4000 << 30));
        check("128974848", Some(128_974_848_000));
        check("1.5", None);
        check("99999999999999999999", None);
        check("9999999999999999Ti", None);
    }

    #[test]
    fn limits_lower_what_the_machine_has() {
        let machine = Resources { cores: 8, memory: 16 << 30 };
        let pod = |limits| {
            json!({"spec": {"containers": [
            {"name": "charm"}, {"name": "postgresql", "resources": {"limits": limits}}]}})
        };
        let limited = |limits| machine.limited(Some(&pod(limits)), "postgresql");
        assert_eq!(
            limited(json!({"cpu": "2500m", "memory": "1Gi"})),
            Resources { cores: 2, memory: 1 << 30 }
        );
        assert_eq!(limited(json!({"cpu": "500m"})), Resources { cores: 1, ..machine });
        assert_eq!(limited(json!({"cpu": 4})).cores, 4);
        assert_eq!(limited(json!({"memory": "64Gi"})), machine);
        assert_eq!(machine.limited(None, "postgresql"), machine);
    }

    #[test]
    fn the_machines_memory_is_in_meminfo() {
        assert_eq!(memory_total("MemTotal:  4052 kB\nMemFree: 1 kB\n"), Some(4052 << 10));
        assert_eq!(memory_total("MemFree: 1 kB\n"), None);
    }
}
