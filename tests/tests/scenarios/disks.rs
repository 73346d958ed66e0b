//! A small volume under a writer and beside a standby that stands still: it never fills, and the
//! standby follows again by itself although no member has its WAL any more, and keeps its data until
//! then.

use std::cell::Cell;

use anyhow::{Context, Result, ensure};
use end_to_end::disk::SmallDisk;
use end_to_end::kubernetes::quoted;
use end_to_end::{Talisman, root};

const INSTANCE: &str = "e2edisk";
const APP: &str = "postgresql-k8s";

/// Both units' volumes are on it, and each takes all of it for its own.
const DISK: u32 = 2048;

/// What `pg_wal` may have on it: log for a slot, and between two checkpoints.
const LOG_MAX: u64 = DISK as u64 / 4 + DISK as u64 / 8;

struct Pair(Talisman);

impl Pair {
    fn up() -> Result<Self> {
        let engine = Talisman::new(INSTANCE);
        engine.call(&["up"])?;
        engine.call(&["model-config", "update-status-hook-interval=3s"])?;
        let charm = root().join("dist/postgresql-k8s_ubuntu@22.04-amd64.charm");
        let charm = charm.display().to_string();
        let image = format!("postgresql-image={}", root().join("images/postgresql.yaml").display());
        // With one standby of one away no write would be possible.
        let option = "synchronous_mode_strict=false";
        let deploy = ["deploy", &charm, "--resource", &image, "--trust", "-n", "2"];
        engine.call(&[&deploy[..], &["--config", option]].concat())?;
        engine.wait_active(120)?;
        Ok(Self(engine))
    }

    fn inside(&self, unit: &str, line: &str) -> Result<String> {
        Ok(self.0.call(&["ssh", "--container", "postgresql", unit, line])?.trim().to_owned())
    }

    fn ask(&self, unit: &str, sql: &str) -> Result<String> {
        let psql = "runuser -u postgres -- psql -U backup -h /var/run/postgresql -d postgres";
        self.inside(unit, &format!("{psql} -Atc {}", quoted(sql)))
    }

    /// The unit whose server takes writes, and the other one.
    fn roles(&self) -> Result<[String; 2]> {
        let units = [0, 1].map(|number| format!("{APP}/{number}"));
        let writes = self.ask(&units[0], "SELECT pg_is_in_recovery()")? == "f";
        let [first, second] = units;
        Ok(if writes { [first, second] } else { [second, first] })
    }

    /// Whether a unit keeps the data that it had before it copied the primary anew.
    fn has_aside(&self, unit: &str) -> bool {
        self.inside(unit, "test -d /var/lib/postgresql/data/pgdata-before-copy").is_ok()
    }

    /// Writes some 60 MiB of log, and says how much there is, in MiB.
    fn write(&self, unit: &str) -> Result<u64> {
        let rows = "SELECT repeat(md5(g::text), 16) FROM generate_series(1, 100000) g";
        self.ask(unit, &format!("CREATE TABLE junk AS {rows}"))?;
        self.ask(unit, "DROP TABLE junk")?;
        let log = "SELECT sum(size) / 1048576 FROM pg_ls_waldir()";
        let log = self.ask(unit, log)?;
        log.split('.').next().context("no size")?.parse().context(log.clone())
    }
}

#[test]
fn a_small_volume_never_fills_and_a_late_standby_follows_again() -> Result<()> {
    let disk = SmallDisk::mount(INSTANCE, DISK)?;
    let pair = Pair::up()?;
    let [primary, standby] = pair.roles()?;
    pair.inside(&standby, "pkill -STOP -u postgres")?;
    // Where it is lost, another one takes its place.
    let slot = "SELECT restart_lsn FROM pg_replication_slots";
    let place = pair.ask(&primary, slot)?;
    let (mut most, mut said) = (0, false);
    for round in 0.. {
        ensure!(round < 40, "the slot keeps more than {most} MiB");
        most = most.max(pair.write(&primary)?);
        if !said && most > LOG_MAX / 2 {
            pair.0.wait("for whom WAL is kept", 60, |status| {
                let unit = &status["applications"][APP]["units"][&primary]["workload-status"];
                let text = unit["message"].as_str().unwrap_or_default();
                text.contains("MiB for")
                    && text.contains(&format!("{standby}, which has been away"))
            })?;
            said = true;
        }
        if said && pair.ask(&primary, slot)? != place {
            break;
        }
    }
    ensure!(most <= LOG_MAX, "{most} MiB of log on a volume of {DISK} MiB");
    println!("the log had at most {most} of {DISK} MiB");
    pair.ask(&primary, "CREATE TABLE after AS SELECT 42 AS answer")?;
    pair.inside(&standby, "pkill -CONT -u postgres")?;
    let kept = Cell::new(false);
    pair.0.wait("the standby to follow again", 90, |_| {
        kept.set(kept.get() || pair.has_aside(&standby));
        pair.ask(&standby, "SELECT answer FROM after").is_ok_and(|answer| answer == "42")
            && pair.ask(&standby, "SELECT pg_is_in_recovery()").is_ok_and(|answer| answer == "t")
    })?;
    ensure!(kept.get(), "its data went before their copy was whole");
    pair.0.wait("what it had before to go", 30, |_| !pair.has_aside(&standby))?;
    pair.0.wait("a slot that keeps what the standby needs next", 30, |_| {
        let kept =
            "SELECT count(*) FROM pg_replication_slots WHERE active AND wal_status <> $$lost$$";
        pair.ask(&primary, kept).is_ok_and(|count| count == "1")
    })?;
    pair.0.wait_active(60)?;
    pair.0.call(&["down", "--destroy-storage"]).ok();
    drop(disk);
    Ok(())
}
