//! The write-ahead log that a standby needs next.

use juju_charm::Reader;
use patroni::{Cluster, Health, Member, TimelineEnd};
use postgres::{ConnectOptions, SEGMENT};

use super::workload;
use crate::effect::SuperuserLogin;
use crate::facts::{Away, Facts, NotStreaming};
use crate::patroni_yml;
use crate::ports::Ports;
use crate::resources::Volume;
use crate::slots;
use crate::status::is_not_streaming;

/// How far a standby has the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    timeline: u64,
    position: u64,
}

/// Why this member does not stream, where it is a standby that runs and a member leads.
///
/// Where a member does not answer nothing is known, and the next hook asks again.
pub(super) async fn not_streaming(ports: &dyn Ports, facts: &Facts) -> Option<NotStreaming> {
    let leader = leader_of(facts)?;
    let known = async {
        let (place, timeline) = (place(facts)?, leader.timeline?);
        let host = facts.topology.host_of_pod(&leader.name)?;
        let history = history(ports, facts, &host).await?;
        let client = ports.postgres(&login(facts, host)?).await.ok()?;
        let why = why(place, timeline, client.oldest_log().await.ok()??, &history)?;
        if why != LACKS_WAL {
            return Some(why);
        }
        Some(NotStreaming::LacksWal { databases: client.databases_size().await.ok()? })
    };
    Some(known.await.unwrap_or(NotStreaming::Unknown))
}

/// The bytes of WAL on the volume; none where the container does not say.
pub(super) async fn size(hook: &Reader) -> Option<u64> {
    let files = workload(hook).list_files(patroni_yml::WAL, "*").await.ok()?;
    Some(files.iter().filter_map(|file| file.size).sum())
}

/// What of a volume WAL that is kept for one standby may take before its unit says so.
const MUCH: u64 = 8;

/// The standby for which this member keeps most WAL while it is away, where that is much of the
/// volume; none where this member does not lead.
pub(super) async fn away(ports: &dyn Ports, facts: &Facts, volume: Volume) -> Option<Away> {
    let own = facts.unit.pod();
    facts.cluster.as_ref().and_then(Cluster::leader).filter(|leader| leader.name == own)?;
    let ca = facts.container.as_ref()?.ca.clone();
    let login = SuperuserLogin { password: facts.passwords()?.operator, ca };
    let host = facts.topology.qualified(&facts.host());
    let slots = ports.postgres(&login.at(host)).await.ok()?.idle_slots().await.ok()?;
    let slot = slots.into_iter().max_by_key(|slot| slot.bytes)?;
    let mut units = facts.peer.iter().flat_map(|peer| &peer.units);
    let unit = units.find(|unit| slots::of_pod(&unit.pod()) == slot.name)?.clone();
    let much = slot.bytes >= volume.total() / MUCH;
    much.then_some(Away { unit, bytes: slot.bytes, seconds: slot.seconds })
}

/// The leader, where this member is a standby that runs and does not stream.
fn leader_of(facts: &Facts) -> Option<&Member> {
    let health = facts.container.as_ref()?.health.as_ref()?;
    let leader = facts.cluster.as_ref().and_then(Cluster::leader)?;
    let not_streaming = is_not_streaming(health) && leader.name != facts.unit.pod();
    (not_streaming && leader.state.is_ready()).then_some(leader)
}

fn place(facts: &Facts) -> Option<Place> {
    let Health { timeline, xlog, .. } = facts.container.as_ref()?.health.as_ref()?;
    let xlog = (*xlog)?;
    let position = xlog.received_location.max(xlog.replayed_location);
    Some(Place { timeline: (*timeline)?, position }).filter(|place| place.position > 0)
}

/// Before the primary was asked for the size of a copy.
const LACKS_WAL: NotStreaming = NotStreaming::LacksWal { databases: None };

/// Why a standby at a place cannot follow, if it cannot. Where the leader came through the place,
/// it may have removed what comes next; where it did not, the standby has what the leader never had.
fn why(place: Place, leader: u64, oldest: u64, history: &[TimelineEnd]) -> Option<NotStreaming> {
    let next = place.position - place.position % SEGMENT;
    let lacks = (next < oldest).then_some(LACKS_WAL);
    if place.timeline == leader {
        return lacks;
    }
    let ended = history.iter().find(|end| end.timeline == place.timeline)?;
    match place.position.checked_sub(ended.position) {
        None | Some(0) => lacks,
        Some(bytes) => Some(NotStreaming::Diverged { timeline: place.timeline, bytes }),
    }
}

/// The way in at another member.
fn login(facts: &Facts, host: String) -> Option<ConnectOptions> {
    let ca = facts.authority().map(str::to_owned);
    Some(SuperuserLogin { password: facts.passwords()?.operator, ca }.at(host))
}

async fn history(ports: &dyn Ports, facts: &Facts, host: &str) -> Option<Vec<TimelineEnd>> {
    ports.patroni(host, facts.authority()).history().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A standby of timeline 2 at a position, of a leader of timeline 3, which has what begins at
    /// the fifth segment; timeline 2 ended in the middle of the fourth.
    #[track_caller]
    fn check(timeline: u64, position: u64, expected: Option<NotStreaming>) {
        let end = |timeline, position| TimelineEnd { timeline, position };
        let history = [end(1, 2 * SEGMENT), end(2, 4 * SEGMENT + 77)];
        let place = Place { timeline, position };
        assert_eq!(why(place, 3, 5 * SEGMENT, &history), expected, "{place:?}");
    }

    #[test]
    fn a_standby_lacks_what_the_leader_has_no_more() {
        check(3, 5 * SEGMENT, None);
        check(3, 5 * SEGMENT - 1, Some(LACKS_WAL));
        check(3, 9 * SEGMENT, None);
    }

    #[test]
    fn a_standby_behind_the_end_of_its_timeline_is_the_leaders() {
        check(2, 4 * SEGMENT + 77, Some(LACKS_WAL));
        check(2, SEGMENT, Some(LACKS_WAL));
        check(1, 2 * SEGMENT, Some(LACKS_WAL));
    }

    #[test]
    fn what_the_leader_never_had_is_left_to_a_person() {
        check(2, 4 * SEGMENT + 78, Some(NotStreaming::Diverged { timeline: 2, bytes: 1 }));
        check(1, 3 * SEGMENT, Some(NotStreaming::Diverged { timeline: 1, bytes: SEGMENT }));
        // A timeline that no member knows.
        check(4, SEGMENT, None);
    }
}
