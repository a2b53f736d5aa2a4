//! Listening, decoding, answering: UDP and TCP, with EDNS sizes and truncation.
//!
//! What is in flight is bounded: beyond it, UDP queries get SERVFAIL and TCP connections wait in the backlog.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::forward::Forwarder;
use crate::zone::{Answer, Cluster, Zone};
use crate::{Config, Deps, StartError};

/// UDP queries that wait for other resolvers at once, per address served.
const MAX_FORWARDED: usize = 512;
/// TCP connections at once, per address served.
const MAX_CONNECTIONS: usize = 128;
/// A TCP connection without a query for so long is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client takes by UDP when it does not say.
const UDP_SIZE_DEFAULT: u16 = 512;
/// What we send by UDP at most: no path fragments it.
const UDP_SIZE_MAX: u16 = 1232;
/// Aliases of the cluster may lead to further ones; a circle of them ends here.
const MAX_ALIASES: usize = 8;

/// A server at work.
#[derive(Clone, Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    cluster: Arc<dyn Cluster>,
}

impl Running {
    /// Where it serves (with the ports that port 0 came to).
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The cluster's names are known.
    pub fn is_ready(&self) -> bool {
        self.cluster.is_synced()
    }

    /// Ends once the cluster's names are known.
    pub async fn ready(&self) {
        self.cluster.synced().await;
    }
}

/// Binds and serves until the group of tasks stops.
pub async fn start(
    config: &Config,
    deps: &Deps,
    zone: Zone,
    cluster: Arc<dyn Cluster>,
) -> Result<Running, StartError> {
    let mut sockets = Vec::new();
    for &address in &config.listen {
        let error = |source| StartError::Listen { address, source };
        let udp = UdpSocket::bind(address).await.map_err(error)?;
        // Port 0: TCP takes the port that UDP got.
        let address = udp.local_addr().map_err(error)?;
        let tcp = TcpListener::bind(address).await.map_err(error)?;
        sockets.push((address, udp, tcp));
    }
    let addresses: Vec<SocketAddr> = sockets.iter().map(|(address, ..)| *address).collect();
    let forwarder = Forwarder::new(config, deps.env.clone(), &addresses);
    let resolver =
        Arc::new(Resolver { zone, cluster: Arc::clone(&cluster), forwarder, env: deps.env.clone() });
    let clients = Arc::new(Clients { ranges: config.clients.clone(), own: addresses.clone() });
    for (address, udp, tcp) in sockets {
        deps.tasks.spawn_until_stop(
            format!("dns udp {address}"),
            serve_udp(udp, Arc::clone(&resolver), Arc::clone(&clients)),
        );
        deps.tasks.spawn_until_stop(
            format!("dns tcp {address}"),
            serve_tcp(tcp, Arc::clone(&resolver), Arc::clone(&clients)),
        );
    }
    Ok(Running { addresses, cluster })
}

/// Who is answered. Strangers hear nothing, not even a refusal: whose address is on a datagram may not be its sender.
#[derive(Debug)]
struct Clients {
    ranges: Vec<net::Cidr>,
    own: Vec<SocketAddr>,
}

impl Clients {
    fn admit(&self, from: IpAddr) -> bool {
        self.ranges.is_empty()
            || from.is_loopback()
            || self.own.iter().any(|own| own.ip() == from)
            || self.ranges.iter().any(|range| range.contains(from))
    }
}

async fn serve_udp(socket: UdpSocket, resolver: Arc<Resolver>, clients: Arc<Clients>) {
    let mut forwarded = FuturesUnordered::new();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (n, from) = tokio::select! {
            biased;
            Some((answer, to)) = forwarded.next() => {
                send(&socket, answer, to).await;
                continue;
            }
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(error) => {
                    // The refusal of an earlier answer shows up here; the socket itself is fine.
                    tracing::debug!(component = "dns", %error, "receive");
                    continue;
                }
            },
        };
        if !clients.admit(from.ip()) {
            continue;
        }
        match resolver.begin(&buffer[..n]) {
            Step::Ignore => {}
            Step::Done(message, size) => send(&socket, encode(*message, Some(size)), from).await,
            Step::Ask(pending) if forwarded.len() >= MAX_FORWARDED => {
                send(&socket, encode(pending.failure(), Some(UDP_SIZE_DEFAULT)), from).await;
            }
            Step::Ask(pending) => {
                let resolver = Arc::clone(&resolver);
                forwarded.push(async move { (resolver.finish(pending, false).await, from) });
            }
        }
    }
}

async fn send(socket: &UdpSocket, answer: Option<Vec<u8>>, to: SocketAddr) {
    if let Some(answer) = answer
        && let Err(error) = socket.send_to(&answer, to).await
    {
        tracing::debug!(component = "dns", client = %to, %error, "send");
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>, clients: Arc<Clients>) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = connections.next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((_, from)) if !clients.admit(from.ip()) => {}
                Ok((stream, _)) => {
                    let resolver = Arc::clone(&resolver);
                    // A broken connection is the client's affair.
                    connections.push(async move { drop(connection(stream, &resolver).await) });
                }
                Err(error) => {
                    tracing::warn!(component = "dns", %error, "accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
}

async fn connection(mut stream: TcpStream, resolver: &Resolver) -> std::io::Result<()> {
    loop {
        let Ok(len) = timeout(IDLE_TIMEOUT, stream.read_u16()).await else { return Ok(()) };
        let mut query = vec![0; usize::from(len?)];
        timeout(IDLE_TIMEOUT, stream.read_exact(&mut query)).await??;
        let answer = match resolver.begin(&query) {
            Step::Ignore => return Ok(()),
            Step::Done(message, _) => encode(*message, None),
            Step::Ask(pending) => resolver.finish(pending, true).await,
        };
        let Some(answer) = answer else { return Ok(()) };
        let Ok(len) = u16::try_from(answer.len()) else { return Ok(()) };
        let mut framed = len.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(IDLE_TIMEOUT, stream.write_all(&framed)).await??;
    }
}

/// Answers queries.
#[derive(Debug)]
struct Resolver {
    zone: Zone,
    cluster: Arc<dyn Cluster>,
    forwarder: Forwarder,
    env: Env,
}

/// What a query comes to without waiting.
enum Step {
    /// Not a query.
    Ignore,
    /// The answer, and the client's size of UDP messages.
    Done(Box<Message>, u16),
    /// Other resolvers have to be asked.
    Ask(Box<Pending>),
}

/// A query that waits for other resolvers.
struct Pending {
    raw: Vec<u8>,
    query: Message,
    /// Records that precede the others' answer, and the name to ask them for instead.
    alias: Option<(Vec<Record>, Name)>,
    size: u16,
}

impl Pending {
    fn failure(&self) -> Message {
        let mut message = response(&self.query);
        message.metadata.response_code = ResponseCode::ServFail;
        message
    }
}

impl Resolver {
    fn begin(&self, raw: &[u8]) -> Step {
        let Ok(query) = Message::from_vec(raw) else { return malformed(raw) };
        if query.metadata.message_type != MessageType::Query {
            return Step::Ignore;
        }
        let size = query.edns.as_ref().map_or(UDP_SIZE_DEFAULT, Edns::max_payload);
        let size = size.clamp(UDP_SIZE_DEFAULT, UDP_SIZE_MAX);
        let refuse = |code| {
            let mut message = response(&query);
            message.metadata.response_code = code;
            Step::Done(Box::new(message), size)
        };
        if query.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let [question] = query.queries.as_slice() else { return refuse(ResponseCode::FormErr) };
        if query.edns.as_ref().is_some_and(|e| e.version() != 0) {
            return refuse(ResponseCode::BADVERS);
        }
        let (asked, ty) = (question.name().clone(), question.query_type());
        let answer = self.zone.answer(&*self.cluster, &asked, ty);
        if answer != Answer::Elsewhere && !self.cluster.is_synced() {
            return refuse(ResponseCode::ServFail);
        }
        self.local(raw, query, answer, ty, size)
    }

    /// Follows aliases inside the cluster; what leads outside has to be asked for.
    fn local(&self, raw: &[u8], query: Message, mut answer: Answer, ty: RecordType, size: u16) -> Step {
        let mut chain = Vec::new();
        loop {
            match answer {
                Answer::Alias { record, target } if chain.len() < MAX_ALIASES => {
                    chain.push(*record);
                    answer = self.zone.answer(&*self.cluster, &target, ty);
                    if answer == Answer::Elsewhere {
                        let alias = Some((chain, target));
                        return Step::Ask(Box::new(Pending { raw: raw.to_vec(), query, alias, size }));
                    }
                }
                Answer::Elsewhere => {
                    return Step::Ask(Box::new(Pending { raw: raw.to_vec(), query, alias: None, size }));
                }
                answer => {
                    let mut message = response(&query);
                    self.fill(&mut message, chain, answer);
                    return Step::Done(Box::new(message), size);
                }
            }
        }
    }

    fn fill(&self, message: &mut Message, chain: Vec<Record>, answer: Answer) {
        message.metadata.authoritative = true;
        message.answers = chain;
        match answer {
            Answer::Found(found) => {
                let mut answers = found.answers;
                self.shuffle(&mut answers);
                for record in &mut answers {
                    self.set_serial(record);
                }
                if answers.is_empty() {
                    message.authorities.push(self.soa());
                }
                message.answers.extend(answers);
                message.additionals = found.additionals;
            }
            Answer::NoSuchName => {
                message.metadata.response_code = ResponseCode::NXDomain;
                message.authorities.push(self.soa());
            }
            // A circle of aliases: what was found so far is all there is.
            Answer::Alias { .. } | Answer::Elsewhere => {
                message.metadata.response_code = ResponseCode::ServFail;
            }
        }
    }

    fn serial(&self) -> u32 {
        u32::try_from(self.env.clock.now().as_second()).unwrap_or(u32::MAX)
    }

    fn soa(&self) -> Record {
        self.zone.soa(self.serial())
    }

    fn set_serial(&self, record: &mut Record) {
        if matches!(record.data, RData::SOA(_)) {
            record.data = self.soa().data;
        }
    }

    /// Clients take the first address: each answer begins with another.
    fn shuffle(&self, records: &mut [Record]) {
        for i in (1..records.len()).rev() {
            let j = self.env.rng.below(i as u64 + 1);
            records.swap(i, usize::try_from(j).unwrap_or(0));
        }
    }

    /// Asks the others.
    async fn finish(&self, pending: Box<Pending>, tcp: bool) -> Option<Vec<u8>> {
        let Some((chain, target)) = &pending.alias else {
            let answer = self.forwarder.forward(&pending.raw, tcp).await;
            return answer.or_else(|| encode(pending.failure(), Some(pending.size)));
        };
        // The alias is ours, what it leads to theirs: asked for under its own name, and put behind the alias.
        let mut query = pending.query.clone();
        if let Some(question) = query.queries.first_mut() {
            question.set_name(target.clone());
        }
        let raw = query.to_vec().ok()?;
        let mut message = response(&pending.query);
        message.answers = chain.clone();
        match self.forwarder.forward(&raw, tcp).await.and_then(|a| Message::from_vec(&a).ok()) {
            Some(theirs) => {
                message.metadata.response_code = theirs.metadata.response_code;
                message.metadata.truncation = theirs.metadata.truncation;
                message.answers.extend(theirs.answers);
                message.authorities = theirs.authorities;
            }
            None => message.metadata.response_code = ResponseCode::ServFail,
        }
        encode(message, (!tcp).then_some(pending.size))
    }
}

/// A message that cannot be read gets FORMERR when it at least looks like a query.
fn malformed(raw: &[u8]) -> Step {
    const HEADER_LEN: usize = 12;
    if raw.len() < HEADER_LEN || raw[2] & 0x80 != 0 {
        return Step::Ignore;
    }
    let id = u16::from_be_bytes([raw[0], raw[1]]);
    Step::Done(Box::new(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr)), UDP_SIZE_DEFAULT)
}

/// An empty answer to `query`.
fn response(query: &Message) -> Message {
    let mut message = Message::response(query.metadata.id, query.metadata.op_code);
    message.metadata.recursion_desired = query.metadata.recursion_desired;
    message.metadata.recursion_available = true;
    message.queries = query.queries.clone();
    if let Some(asked) = &query.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE_MAX);
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        message.edns = Some(edns);
    }
    message
}

/// The message's bytes. With a `limit`, records that do not fit are left out, and the client is told to ask by TCP when
/// an answer was among them.
fn encode(mut message: Message, limit: Option<u16>) -> Option<Vec<u8>> {
    loop {
        let bytes = match message.to_vec() {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(component = "dns", %error, "an answer could not be encoded");
                return None;
            }
        };
        let limit = usize::from(limit.unwrap_or(u16::MAX));
        if bytes.len() <= limit {
            return Some(bytes);
        }
        if !message.additionals.is_empty() {
            message.additionals.clear();
            continue;
        }
        // Records are of about one size; a tenth at a time keeps the number of attempts small.
        let n = message.answers.len();
        if n == 0 {
            return None;
        }
        message.metadata.truncation = true;
        message.answers.truncate(n - n.div_ceil(10));
    }
}

#[cfg(test)]
mod tests;
