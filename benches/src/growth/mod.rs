//! What one more client costs a pooler that has many already, and what a quiet hook costs.

mod charms;
mod world;

use anyhow::{Context, Result, ensure};

use crate::say;
use world::{Cost, World};

/// The hooks that are measured, each by what makes it run.
const HOOKS: [&str; 3] = ["database-relation-changed", "config-changed", "update-status"];

/// What was measured with so many relations, in the order of [`HOOKS`].
struct Step {
    relations: usize,
    databases: usize,
    costs: [Cost; 3],
    ini: u64,
}

/// Prints the costs for each number of relations. Fails when a quiet hook writes something, or
/// when calls grow by more than one for each relation.
pub(crate) fn run(sizes: &[usize]) -> Result<()> {
    say(&format!(
        "{:>9} {:>9} {:<40} {:>6} {:>7} {:>9} {:>9}",
        "relations", "databases", "hook", "calls", "writes", "ms", "ini KiB"
    ));
    let mut steps: Vec<Step> = Vec::new();
    for &relations in sizes {
        steps.push(measure(relations)?);
    }
    steps.iter().try_for_each(quiet)?;
    steps.windows(2).try_for_each(|pair| grows_at_most_linearly(&pair[0], &pair[1]))
}

/// A pooler with so many granted clients but one, then that one, then nothing. What was
/// measured is printed before the world is taken down, which takes a while.
fn measure(relations: usize) -> Result<Step> {
    let world = World::up(relations)?;
    let grant = world.grant_last()?;
    ensure!(grant.written.contains_key("secret-add"), "the measured hook granted nothing");
    let ini = world.ini_bytes()?;
    // A config-changed before the measured one takes in what came with the last client.
    world.configure("{ }")?;
    let files = world.files()?;
    // Twice, for a write that the next hook takes back is a write every second time.
    let configured = [world.configure("{}")?, world.configure("{ }")?];
    let configured = configured.into_iter().max_by_key(Cost::writes).context("no hook")?;
    let updated = world.update_status()?;
    let now = world.files()?;
    ensure!(files == now, "a quiet hook wrote files:\n{files}\nthen\n{now}");
    let costs = [grant, configured, updated];
    let step = Step { relations, databases: world.databases, costs, ini };
    print(&step);
    Ok(step)
}

fn print(step: &Step) {
    let what = ["that grants", "quiet", "quiet"];
    for ((hook, what), cost) in HOOKS.iter().zip(what).zip(&step.costs) {
        say(&format!(
            "{:>9} {:>9} {:<40} {:>6} {:>7} {:>9.1} {:>9.1}",
            step.relations,
            step.databases,
            format!("{hook}, {what}"),
            cost.calls,
            cost.writes(),
            cost.milliseconds,
            step.ini as f64 / 1024.0,
        ));
    }
}

fn quiet(step: &Step) -> Result<()> {
    for (hook, cost) in HOOKS.iter().zip(&step.costs).skip(1) {
        let (relations, written) = (step.relations, &cost.written);
        ensure!(cost.writes() == 0, "with {relations} relations {hook} wrote: {written:?}");
    }
    Ok(())
}

fn grows_at_most_linearly(less: &Step, more: &Step) -> Result<()> {
    for ((hook, less_cost), more_cost) in HOOKS.iter().zip(&less.costs).zip(&more.costs) {
        let calls = more_cost.calls.saturating_sub(less_cost.calls);
        let relations = (more.relations - less.relations) as u64;
        ensure!(calls <= relations, "{hook}: {calls} more calls for {relations} more relations");
    }
    Ok(())
}
