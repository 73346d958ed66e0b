//! The table of storage, by itself and as a section of `status`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{map, text};
use crate::table::Table;

/// Storage instances by unit, those of no unit first; in `status` also where they are mounted.
pub(crate) fn storage(storage: &Value, mounted: bool) -> Table {
    let (unit, place): (&str, &[&str]) =
        if mounted { ("Storage Unit", &["Mountpoint"]) } else { ("Unit", &[]) };
    let mut header = vec![unit, "Storage ID", "Type", "Pool"];
    header.extend_from_slice(place);
    header.extend_from_slice(&["Size", "Status", "Message"]);
    let mut table = Table::new(&header);
    let mut rows: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (id, instance) in map(storage, "storage") {
        let unit = map(&instance["attachments"], "units").next();
        let name = unit.map(|(name, _)| name.clone()).unwrap_or_default();
        let file = map(storage, "filesystems").find(|(_, one)| one["storage"] == id.as_str());
        let file = file.map_or(&Value::Null, |(_, one)| one);
        let mut row = vec![name.clone(), id.clone(), text(instance, &["kind"])];
        row.push(text(file, &["pool"]));
        if mounted {
            row.push(unit.map_or_else(String::new, |(_, one)| text(one, &["location"])));
        }
        row.push(size(file["size"].as_u64().unwrap_or_default()));
        row.push(text(instance, &["status", "current"]));
        row.push(text(instance, &["status", "message"]));
        rows.insert((name, id.clone()), row);
    }
    rows.into_values().for_each(|row| table.row(row));
    table
}

/// Mebibytes in the largest unit that fits, as people read them.
fn size(mebibytes: u64) -> String {
    let units = ["MiB", "GiB", "TiB", "PiB"];
    let (mut amount, mut unit) = (mebibytes, 0);
    let mut tenths = amount.saturating_mul(10);
    while amount >= 1024 && unit + 1 < units.len() {
        tenths /= 1024;
        amount /= 1024;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{amount} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mebibytes: u64, want: &str) {
        assert_eq!(size(mebibytes), want);
    }

    #[test]
    fn sizes_are_written_for_people() {
        check(1, "1.0 MiB");
        check(512, "512 MiB");
        check(1024, "1.0 GiB");
        check(1536, "1.5 GiB");
        check(20 << 10, "20 GiB");
    }
}
