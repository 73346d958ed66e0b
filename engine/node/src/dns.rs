//! Names of an instance: `*.svc.cluster.local` and the way back, answered from a map.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Seconds that an answer may be kept: endpoints move within seconds.
const TTL: u32 = 1;

/// Everything that can be looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// Addresses by full name, lower case, without the last dot.
    pub names: BTreeMap<String, Vec<Ipv4Addr>>,
    /// The full name that an address leads back to.
    pub pointers: BTreeMap<Ipv4Addr, String>,
}

/// A zone shared between who changes it and who answers from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedZone(Arc<RwLock<Zone>>);

impl SharedZone {
    /// Takes `zone` over. Says whether anything changed.
    pub(crate) fn replace(&self, zone: Zone) -> bool {
        let mut own = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = *own != zone;
        *own = zone;
        changed
    }

    fn answer(&self, query: &[u8], limit: Option<usize>) -> Option<Vec<u8>> {
        answer(query, &self.0.read().unwrap_or_else(PoisonError::into_inner), limit)
    }
}

/// The bytes to answer `query` with; `None` for what is no query at all. Every name outside the
/// zone is said not to exist: there is no other server to ask. `limit` is how many bytes the
/// transport takes when the client does not say.
fn answer(query: &[u8], zone: &Zone, limit: Option<usize>) -> Option<Vec<u8>> {
    let Ok(request) = Message::from_vec(query) else {
        let id = u16::from_be_bytes(query.get(..12)?.first_chunk().copied()?);
        let reply = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
        return reply.to_vec().ok();
    };
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata.recursion_desired = request.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    reply.add_queries(request.queries.iter().cloned());
    match (request.metadata.op_code, request.queries.as_slice()) {
        (OpCode::Query, [question]) => {
            let found = look_up(zone, question.name(), question.query_type());
            match found {
                Some(data) => reply.add_answers(
                    data.into_iter().map(|d| Record::from_rdata(question.name().clone(), TTL, d)),
                ),
                None => {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                    &mut reply
                }
            };
        }
        (OpCode::Query, _) => reply.metadata.response_code = ResponseCode::FormErr,
        _ => reply.metadata.response_code = ResponseCode::NotImp,
    }
    let bytes = reply.to_vec().ok()?;
    let room = limit.map(|least| least.max(usize::from(request.max_payload())));
    match room {
        Some(room) if bytes.len() > room => reply.truncate().to_vec().ok(),
        _ => Some(bytes),
    }
}

/// The records of `name` of that type; `None` when the name does not exist.
fn look_up(zone: &Zone, name: &Name, kind: RecordType) -> Option<Vec<RData>> {
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    if let Some(addresses) = zone.names.get(text) {
        let wanted = matches!(kind, RecordType::A | RecordType::ANY);
        let records = addresses.iter().map(|address| RData::A(A(*address)));
        return Some(if wanted { records.collect() } else { Vec::new() });
    }
    let target = zone.pointers.get(&reversed(text)?)?;
    if !matches!(kind, RecordType::PTR | RecordType::ANY) {
        return Some(Vec::new());
    }
    Some(vec![RData::PTR(PTR(Name::from_ascii(format!("{target}.")).ok()?))])
}

/// The address in `4.3.2.1.in-addr.arpa`.
fn reversed(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.strip_suffix(".in-addr.arpa")?.parse().ok()?;
    let [a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(d, c, b, a))
}

/// Answers datagrams for ever.
pub(crate) async fn serve_udp(socket: UdpSocket, zone: SharedZone) {
    let mut buffer = vec![0; 4096];
    loop {
        // An error here belongs to an earlier answer that was not received.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if let Some(reply) = zone.answer(&buffer[..length], Some(512)) {
            let _ = socket.send_to(&reply, client).await;
        }
    }
}

/// Connections in all, and of one address; more are closed at once. A resolver asks over TCP
/// only for what a datagram does not hold.
const SESSIONS_MAX: usize = 256;
const SESSIONS_EACH: usize = 8;

/// How long a connection may stay.
const SESSION: Duration = Duration::from_secs(30);

/// Answers connections for ever.
pub(crate) async fn serve_tcp(listener: TcpListener, zone: SharedZone) {
    let mut sessions = JoinSet::new();
    let mut open: HashMap<IpAddr, usize> = HashMap::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let all: usize = open.values().sum();
                    let own = open.entry(peer.ip()).or_default();
                    if all < SESSIONS_MAX && *own < SESSIONS_EACH {
                        *own += 1;
                        let session = tokio::time::timeout(SESSION, session(stream, zone.clone()));
                        sessions.spawn(async move {
                            let _ = session.await;
                            peer.ip()
                        });
                    }
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(ended) = sessions.join_next() => if let Ok(peer) = ended {
                open.entry(peer).and_modify(|count| *count -= 1);
                open.retain(|_, count| *count > 0);
            },
        }
    }
}

async fn session(mut stream: TcpStream, zone: SharedZone) -> std::io::Result<()> {
    loop {
        let mut query = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut query).await?;
        let Some(reply) = zone.answer(&query, None) else { return Ok(()) };
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX);
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(&reply[..usize::from(length)]);
        stream.write_all(&framed).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use proptest::prelude::*;

    fn zone(count: u8) -> Zone {
        let name = "db-0.db-endpoints.demo.svc.cluster.local";
        let many = (0..count).map(|low| Ipv4Addr::new(10, 1, 1, low)).collect();
        Zone {
            names: [
                (name.to_owned(), vec![Ipv4Addr::new(10, 1, 0, 2)]),
                ("many.demo.svc.cluster.local".to_owned(), many),
            ]
            .into(),
            pointers: [(Ipv4Addr::new(10, 1, 0, 2), name.to_owned())].into(),
        }
    }

    fn ask(name: &str, kind: RecordType, limit: Option<usize>) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let reply = answer(&message.to_vec().unwrap(), &zone(200), limit).unwrap();
        Message::from_vec(&reply).unwrap()
    }

    #[track_caller]
    fn check(name: &str, kind: RecordType, code: ResponseCode, records: &[&str]) {
        let reply = ask(name, kind, Some(512));
        let found: Vec<String> = reply.answers.iter().map(|r| r.data.to_string()).collect();
        assert_eq!(
            (reply.metadata.response_code, found),
            (code, records.iter().map(|r| (*r).to_owned()).collect())
        );
    }

    #[test]
    fn names_and_addresses() {
        let full = "db-0.db-endpoints.demo.svc.cluster.local.";
        check(full, RecordType::A, ResponseCode::NoError, &["10.1.0.2"]);
        check(
            "DB-0.db-endpoints.demo.SVC.cluster.local.",
            RecordType::A,
            ResponseCode::NoError,
            &["10.1.0.2"],
        );
        check(full, RecordType::AAAA, ResponseCode::NoError, &[]);
        check("other.demo.svc.cluster.local.", RecordType::A, ResponseCode::NXDomain, &[]);
        check("example.org.", RecordType::A, ResponseCode::NXDomain, &[]);
        check("2.0.1.10.in-addr.arpa.", RecordType::PTR, ResponseCode::NoError, &[full]);
        check("9.0.1.10.in-addr.arpa.", RecordType::PTR, ResponseCode::NXDomain, &[]);
    }

    #[test]
    fn an_answer_too_large_for_a_datagram_is_cut_and_whole_over_tcp() {
        let name = "many.demo.svc.cluster.local.";
        assert!(ask(name, RecordType::A, Some(512)).metadata.truncation);
        assert_eq!(ask(name, RecordType::A, None).answers.len(), 200);
    }

    #[tokio::test]
    async fn one_address_has_only_so_many_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve_tcp(listener, SharedZone::default()));
        let mut held = Vec::new();
        for _ in 0..SESSIONS_EACH {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        let bound = Duration::from_secs(10);
        let mut one_more = TcpStream::connect(address).await.unwrap();
        let closed = tokio::time::timeout(bound, one_more.read_u8()).await.unwrap();
        closed.unwrap_err();
        // The others are still asked and answered.
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii("a.").unwrap(), RecordType::A));
        let query = message.to_vec().unwrap();
        let first = held.first_mut().unwrap();
        first.write_u16(u16::try_from(query.len()).unwrap()).await.unwrap();
        first.write_all(&query).await.unwrap();
        assert!(tokio::time::timeout(bound, first.read_u16()).await.unwrap().unwrap() > 0);
        server.abort();
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>) {
            let _ = answer(&bytes, &zone(1), Some(512));
        }
    }
}
