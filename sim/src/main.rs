//! The program `sim`: runs histories, replays one, shrinks what fails.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::catch::{self, Outcome};
use sim::exhaust::{database_scenarios, scenarios};
use sim::fault::{FAULTS, Fault, FaultSpec};
use sim::history::{Faults, History, draw, draw_database};
use sim::mutant::Target;
use sim::planned::{self, Flaw};
use sim::play::{Played, play};
use sim::shrink::shrink;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plays histories of operators and faults against the real charms, in one process.
#[derive(Parser)]
struct Args {
    /// Replay one history, with its trace.
    #[arg(long)]
    seed: Option<u64>,
    /// Play the scripted scenarios, each hook killed before and after each effect and refused it.
    #[arg(long)]
    exhaust: bool,
    /// Play planned stops and crashes of a primary, each of those that hold clients killed at each
    /// step.
    #[arg(long)]
    planned: bool,
    /// Plant faults in the charm and the framework, and count those that are caught.
    #[arg(long)]
    mutants: bool,
    /// Plant only faults with one of these texts in their names.
    #[arg(long, value_delimiter = ',')]
    named: Vec<String>,
    /// For how long to run, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The first seed; by default it follows from the clock.
    #[arg(long)]
    from: Option<u64>,
    /// The most histories.
    #[arg(long, default_value_t = u64::MAX)]
    histories: u64,
    /// Of so many histories play one of the real PostgreSQL charm; without a number all.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    databases: Option<u64>,
    /// Leave these faults out.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Have these faults only.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Go on after a failure, up to so many.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Show failures as they are, without shrinking them.
    #[arg(long)]
    whole: bool,
}

/// Histories, hooks and faults so far.
#[derive(Default)]
struct Tally {
    histories: u64,
    /// Those of them with the real PostgreSQL charm.
    databases: u64,
    hooks: u64,
    faults: BTreeMap<Fault, u64>,
    failed: Vec<u64>,
}

fn say(text: &str) {
    // Standard output is closed: nothing is left to print.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn faults(args: &Args) -> Result<Faults, String> {
    let named = |name: &String| {
        let known = || FAULTS.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
        Fault::named(name)
            .ok_or_else(|| format!("cannot find the fault {name:?}; there are {}", known()))
    };
    let without = args.without.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let only = args.only.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let mut all =
        if only.is_empty() { Faults::default() } else { Faults(only.into_iter().collect()) };
    all.0.retain(|fault| !without.contains(fault));
    Ok(all)
}

fn show(played: &Played) {
    for line in &played.trace {
        say(line);
    }
    for wrong in &played.wrong {
        say(&format!("WRONG: {wrong}"));
    }
}

/// The history of a seed.
fn drawn(args: &Args, seed: u64, faults: &Faults) -> History {
    if args.databases.is_some_and(|every| seed.is_multiple_of(every)) {
        draw_database(seed, faults)
    } else {
        draw(seed, faults)
    }
}

/// What a history begins with.
fn about(history: &History) -> String {
    let History { units, databases, clients, .. } = history;
    format!("{units} poolers, {databases} PostgreSQL, clients {clients:?}")
}

/// Plays one history and shows everything that happens.
fn replay(args: &Args, seed: u64, faults: &Faults) -> bool {
    let mut history = drawn(args, seed, faults);
    if !args.whole && !play(&history, false).wrong.is_empty() {
        history = shrink(&history).0;
    }
    say(&format!("seed {seed}: {}", about(&history)));
    for step in &history.steps {
        say(&format!("  {step}"));
    }
    let played = play(&history, true);
    show(&played);
    say(&format!("{} hooks", played.hooks));
    played.wrong.is_empty()
}

/// How long this thread was on a processor: on a busy machine less than the time that passed.
fn worked() -> Duration {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = status.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn run(args: &Args, faults: &Faults) -> bool {
    // Whatever ran in this process before, such as cargo, is not counted.
    let (began, before) = (Instant::now(), worked());
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let first = args.from.unwrap_or(clock.wrapping_mul(1_000_000));
    let mut tally = Tally::default();
    while began.elapsed() < Duration::from_secs(args.seconds) && tally.histories < args.histories {
        let seed = first.wrapping_add(tally.histories);
        let history = drawn(args, seed, faults);
        let played = play(&history, false);
        tally.histories += 1;
        tally.databases += u64::from(history.databases > 0);
        tally.hooks += played.hooks;
        for (fault, count) in &played.faults {
            *tally.faults.entry(*fault).or_default() += count;
        }
        if played.wrong.is_empty() {
            continue;
        }
        tally.failed.push(seed);
        say(&format!("seed {seed} fails:"));
        let (shrunk, played) = if args.whole { (history, played) } else { shrink(&history) };
        let steps = shrunk.steps.iter().map(|step| format!("  {step}")).collect::<Vec<_>>();
        say(&about(&shrunk));
        say(&steps.join("\n"));
        show(&played);
        if tally.failed.len() >= args.failures {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = |seconds: f64| tally.hooks as f64 / seconds.max(0.001);
    let (rate, own) = (rate(seconds), rate(worked().saturating_sub(before).as_secs_f64()));
    for FaultSpec { fault, name, about, .. } in FAULTS {
        let count = tally.faults.get(fault).copied().unwrap_or_default();
        say(&format!("{count:>9}  {name:<18} {about}"));
    }
    say(&format!(
        "{} histories, {} of them with postgresql-k8s, {} hooks, {seconds:.1} s, \
         {rate:.0} hooks per second, {own:.0} per second of processor, {} failed",
        tally.histories,
        tally.databases,
        tally.hooks,
        tally.failed.len(),
    ));
    tally.failed.is_empty()
}

/// What far sides refuse, each at every effect that they could.
const REFUSALS: [Fault; 10] = [
    Fault::PebbleFails,
    Fault::DiskFull,
    Fault::SqlFails,
    Fault::SqlCut,
    Fault::Kube403,
    Fault::Kube409,
    Fault::Kube410,
    Fault::Kube500,
    Fault::PatroniFails,
    Fault::LeaderLost,
];

/// Plays each scenario in every way.
fn exhausted() -> bool {
    let mut well = true;
    for scenario in scenarios().into_iter().chain(database_scenarios()) {
        let began = Instant::now();
        let deaths = scenario.exhaust(&[Fault::KillBefore, Fault::KillAfter], 1, false);
        let refusals = scenario.exhaust(&REFUSALS, 1, false);
        let wrong: Vec<&String> = deaths.wrong.iter().chain(&refusals.wrong).collect();
        for wrong in wrong.iter().take(20) {
            say(&format!("WRONG: {wrong}"));
        }
        let seconds = began.elapsed().as_secs_f64();
        say(&format!(
            "{}: {} deaths, {} refusals, {} hooks, {seconds:.1} s, {} wrong",
            scenario.name,
            deaths.runs,
            refusals.runs,
            deaths.hooks + refusals.hooks,
            wrong.len(),
        ));
        well &= wrong.is_empty();
    }
    well
}

/// Plays every stop and crash, with every death at each step.
fn planned() -> bool {
    let began = Instant::now();
    let tally = planned::exhaust(None, 1, false);
    for wrong in tally.wrong.iter().take(20) {
        say(&format!("WRONG: {wrong}"));
    }
    for (victim, deaths) in &tally.deaths {
        say(&format!("{deaths:>9}  {victim:?}"));
    }
    say(&format!(
        "{} events, {} deaths in them, the longest pause {} ms, {:.1} s, {} wrong",
        tally.stories,
        tally.deaths.values().sum::<u64>(),
        tally.longest,
        began.elapsed().as_secs_f64(),
        tally.wrong.len(),
    ));
    tally.wrong.is_empty()
}

/// Plants faults in what holds clients; the names of those that nothing catches.
fn flaws(named: &[String]) -> (usize, Vec<&'static str>) {
    let is_named = |flaw: &Flaw| named.iter().any(|text| flaw.name().contains(text.as_str()));
    let chosen = Flaw::ALL.into_iter().filter(|flaw| named.is_empty() || is_named(flaw));
    let mut missed = Vec::new();
    let mut count = 0;
    for flaw in chosen {
        count += 1;
        let tally = planned::exhaust(Some(flaw), 1, true);
        match tally.wrong.first() {
            Some(why) => {
                say(&format!("caught after {:>4}  {}: {why}", tally.stories, flaw.name()));
            }
            None => {
                say(&format!("MISSED             {}", flaw.name()));
                missed.push(flaw.name());
            }
        }
    }
    (count, missed)
}

/// The seeds that a planted fault has to survive.
const SEEDS: std::ops::Range<u64> = 0..8;

/// Plants one fault after another; each has to be caught.
fn mutants(named: &[String]) -> bool {
    let began = Instant::now();
    let mut all = sim::mutant::all();
    let is_named = |name: &str| named.iter().any(|text| name.contains(text.as_str()));
    all.retain(|mutant| named.is_empty() || is_named(&mutant.name));
    for target in [Target::Pooler, Target::Database] {
        if !all.iter().any(|mutant| mutant.target == target) {
            continue;
        }
        if let Some(why) = catch::unplanted(target, SEEDS) {
            say(&format!("cannot judge planted faults: without one there is: {why}"));
            return false;
        }
    }
    // A hook that panics because of a planted fault is caught, and not printed.
    std::panic::set_hook(Box::new(|_| {}));
    let next = std::sync::atomic::AtomicUsize::new(0);
    let missed = std::sync::Mutex::new(Vec::new());
    let work = || {
        while let Some(mutant) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            match catch::run(mutant, SEEDS) {
                Outcome::Caught(histories, why) => {
                    say(&format!("caught after {histories:>4}  {}: {why}", mutant.name));
                }
                Outcome::Missed => {
                    say(&format!("MISSED             {}", mutant.name));
                    let mut missed = missed.lock().unwrap_or_else(PoisonError::into_inner);
                    missed.push(mutant.name.as_str());
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut missed: Vec<&str> =
        missed.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    let (count, unseen) = flaws(named);
    missed.extend(unseen);
    let planted = all.len() + count;
    let caught = planted - missed.len();
    let share = caught * 100 / planted.max(1);
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("{caught} of {planted} planted faults caught, {share} %, {seconds:.1} s"));
    for (name, why) in sim::mutant::not_planted() {
        say(&format!("not planted: {name}: {why}"));
    }
    for name in &missed {
        say(&format!("missed: {name}"));
    }
    missed.is_empty()
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A hook that is killed unwinds; that is not printed.
    let well = match faults(&args) {
        Ok(faults) => match args.seed {
            Some(seed) => replay(&args, seed, &faults),
            None if args.exhaust => exhausted(),
            None if args.planned => planned(),
            None if args.mutants => mutants(&args.named),
            None => run(&args, &faults),
        },
        Err(error) => {
            say(&error);
            false
        }
    };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
