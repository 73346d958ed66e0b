//! How much write-ahead log a volume has room for.

use serde_json::Value;

use super::{Settings, settings};
use crate::resources::Volume;

/// Bytes of one mebibyte, PostgreSQL's unit for sizes of the log.
const MEBIBYTE: u64 = 1 << 20;

/// What PostgreSQL needs of each size at least: two segments of 16 MiB.
const LEAST: u64 = 2 * 16;

/// The least that is kept for standbys without a slot: of less Patroni makes 128 MiB.
const KEPT_LEAST: u64 = 16;

/// Sizes of the log on one volume, in mebibytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    /// What checkpoints let the log grow to; PostgreSQL's own default on a large volume.
    between_checkpoints: u64,
    /// What is kept for standbys without a slot.
    kept: u64,
    /// What a slot may keep: its standby may be away for good.
    slot: u64,
}

/// The greatest sizes that a person may ask for, as parts of the volume.
const ASKED: [(&str, u64); 3] =
    [("max_wal_size", 4), ("min_wal_size", 4), ("max_slot_wal_keep_size", 2)];

impl Settings {
    /// The settings for a volume of this size: WAL takes less than half of it, whichever standby is
    /// away and however much is written.
    ///
    /// # Errors
    /// When `postgresql-settings` asks for more.
    pub(crate) fn on_volume(mut self, volume: Volume) -> Result<Self, Vec<String>> {
        let total = volume.total() / MEBIBYTE;
        for (name, part) in ASKED {
            self.check_asked(name, (total / part).max(LEAST), total)?;
        }
        let shares = Shares::of(total);
        let mut set = |name: &str, mebibytes: u64| {
            let own = self.parameters.entry(name.to_owned());
            own.or_insert_with(|| format!("{mebibytes}MB").into());
        };
        set("max_wal_size", shares.between_checkpoints);
        set("min_wal_size", shares.between_checkpoints.min(80));
        set("max_slot_wal_keep_size", shares.slot);
        if let Some(kept) = self.shared.get_mut("wal_keep_size")
            && let Some(asked) = kept.as_u64()
        {
            *kept = asked.clamp(KEPT_LEAST, shares.kept).into();
        }
        Ok(self)
    }

    fn check_asked(&self, name: &str, most: u64, total: u64) -> Result<(), Vec<String>> {
        let Some(Value::String(asked)) = self.free.get(name) else { return Ok(()) };
        match settings::quantity(asked, MEBIBYTE) {
            Some(bytes) if bytes / MEBIBYTE <= most => Ok(()),
            _ => Err(vec![format!(
                "cannot use {asked} for {name} in the option {}: on a volume of {total} MiB it is \
                 at most {most}MB",
                settings::OPTION
            )]),
        }
    }
}

impl Shares {
    fn of(total: u64) -> Self {
        Self {
            between_checkpoints: steady(total / 8).clamp(LEAST, 1024),
            kept: steady(total / 8).max(KEPT_LEAST),
            slot: steady(total / 4).max(LEAST),
        }
    }
}

/// A size that stays when the volume's changes a little, as it does on disks with other users.
fn steady(size: u64) -> u64 {
    let shift = (u64::BITS - size.leading_zeros()).saturating_sub(3);
    size >> shift << shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fixture;

    /// What a volume of so many mebibytes comes to: `max_wal_size`, `min_wal_size`,
    /// `max_slot_wal_keep_size`, `wal_keep_size`.
    #[track_caller]
    fn check(mebibytes: u64, expected: [&str; 4]) {
        let (settings, _) = fixture::rendering();
        let volume = Volume { used: mebibytes * MEBIBYTE / 4, free: mebibytes * MEBIBYTE / 4 * 3 };
        let settings = settings.on_volume(volume).unwrap();
        let own = |name: &str| settings.parameters[name].as_str().unwrap().to_owned();
        let found = [
            own("max_wal_size"),
            own("min_wal_size"),
            own("max_slot_wal_keep_size"),
            settings.shared["wal_keep_size"].to_string(),
        ];
        assert_eq!(found, expected, "{mebibytes} MiB");
        let number = |text: &str| text.trim_end_matches("MB").parse::<u64>().unwrap();
        let most = number(expected[0]) + number(expected[2]).max(number(expected[3]));
        assert!(most <= (mebibytes / 2).max(2 * LEAST), "{most} of {mebibytes} MiB");
    }

    #[test]
    fn sizes_are_shares_of_the_volume() {
        check(100, ["32MB", "32MB", "32MB", "16"]);
        check(512, ["64MB", "64MB", "128MB", "64"]);
        check(1024, ["128MB", "80MB", "256MB", "128"]);
        check(1000, ["112MB", "80MB", "224MB", "112"]);
        check(2048, ["256MB", "80MB", "512MB", "256"]);
        check(10_240, ["1024MB", "80MB", "2560MB", "1280"]);
        check(1 << 20, ["1024MB", "80MB", "262144MB", "4096"]);
    }

    #[test]
    fn of_little_that_is_asked_for_patroni_does_not_make_much() {
        for (asked, expected) in [(0, 16), (15, 16), (16, 16), (100, 100), (4096, 256)] {
            let (mut settings, _) = fixture::rendering();
            settings.shared.insert("wal_keep_size".to_owned(), asked.into());
            let volume = Volume { used: 0, free: 2048 * MEBIBYTE };
            assert_eq!(settings.on_volume(volume).unwrap().shared["wal_keep_size"], expected);
        }
    }

    #[test]
    fn a_little_more_or_less_changes_nothing() {
        assert_eq!([256, 260, 300, 319].map(steady), [256; 4]);
        assert_eq!([0, 1, 7, 8, 9, 10].map(steady), [0, 1, 7, 8, 8, 10]);
    }

    #[track_caller]
    fn check_asked(name: &str, asked: &str, refusal: Option<&str>) {
        let (mut settings, _) = fixture::rendering();
        settings.free.insert(name.to_owned(), asked.into());
        settings.parameters.insert(name.to_owned(), asked.into());
        let volume = Volume { used: 0, free: 2048 * MEBIBYTE };
        match settings.on_volume(volume) {
            Ok(settings) => {
                assert_eq!((refusal, &settings.parameters[name]), (None, &asked.into()));
            }
            Err(problems) => assert_eq!(problems, [refusal.unwrap()]),
        }
    }

    #[test]
    fn what_is_asked_for_has_to_fit() {
        check_asked("max_wal_size", "512MB", None);
        check_asked("max_wal_size", "512", None);
        let refusal = "cannot use 1GB for max_wal_size in the option postgresql-settings: \
                       on a volume of 2048 MiB it is at most 512MB";
        check_asked("max_wal_size", "1GB", Some(refusal));
        check_asked("max_slot_wal_keep_size", "1GB", None);
        let refusal = "cannot use -1 for max_slot_wal_keep_size in the option \
                       postgresql-settings: on a volume of 2048 MiB it is at most 1024MB";
        check_asked("max_slot_wal_keep_size", "-1", Some(refusal));
    }
}
