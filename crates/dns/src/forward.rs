//! Queries for other domains: passed as they are to the host's resolvers, and their answers passed back.
//!
//! Each query leaves by a socket of its own (a random source port) under a random id; answers from elsewhere do not
//! reach it. Servers are asked one after the other, the one that answered last first.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use env::Env;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

use crate::{Config, Upstreams, resolv_conf};

/// How long one server may take. Resolvers of clients wait five seconds in all.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take while no server has answered of late: a host without network gets its refusal soon.
const SERVER_TIMEOUT_DOWN: Duration = Duration::from_millis(300);
/// After this many queries in a row that nobody answered, the servers count as down.
const N_FAILURES_DOWN: u32 = 2;
/// How often the file with the servers is read, at most.
const RELOAD_PERIOD: Duration = Duration::from_secs(5);
/// The largest message.
const MAX_MESSAGE: usize = 65_535;
/// A message has at least its header.
const HEADER_LEN: usize = 12;

/// Passes queries on.
pub struct Forwarder {
    env: Env,
    source: Upstreams,
    /// Addresses that lead back here.
    own: Vec<SocketAddr>,
    own_ips: Vec<IpAddr>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    servers: Vec<SocketAddr>,
    loaded: Option<Instant>,
    /// The server to ask first.
    first: usize,
    n_failures: u32,
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Forwarder {
    /// `bound` are the addresses that are served: asking them would never end.
    pub fn new(config: &Config, env: Env, bound: &[SocketAddr]) -> Self {
        Self {
            env,
            source: config.upstreams.clone(),
            own: bound.to_vec(),
            own_ips: config.service_ips.clone(),
            state: Mutex::default(),
        }
    }

    /// The answer to `query`, with its id. `None` when no server gave one.
    pub async fn forward(&self, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        if query.len() < HEADER_LEN {
            return None;
        }
        self.reload().await;
        let (servers, first, limit) = {
            let state = self.state.lock();
            let down = state.n_failures >= N_FAILURES_DOWN;
            (state.servers.clone(), state.first, if down { SERVER_TIMEOUT_DOWN } else { SERVER_TIMEOUT })
        };
        for i in 0..servers.len() {
            let at = (first + i) % servers.len();
            let exchange = async {
                if tcp {
                    self.ask_tcp(servers[at], query).await
                } else {
                    self.ask_udp(servers[at], query).await
                }
            };
            match timeout(limit, exchange).await {
                Ok(Ok(answer)) => {
                    let mut state = self.state.lock();
                    state.n_failures = 0;
                    // The list may have changed meanwhile; an index beyond it is taken modulo its length.
                    state.first = at;
                    return Some(answer);
                }
                Ok(Err(error)) => {
                    tracing::debug!(component = "dns", server = %servers[at], %error, "no answer")
                }
                Err(_) => tracing::debug!(component = "dns", server = %servers[at], "no answer in time"),
            }
        }
        let mut state = self.state.lock();
        state.n_failures = state.n_failures.saturating_add(1);
        state.first = first.wrapping_add(1);
        None
    }

    /// Reads the servers again when they are due.
    async fn reload(&self) {
        {
            let mut state = self.state.lock();
            if state.loaded.is_some_and(|at| at.elapsed() < RELOAD_PERIOD) {
                return;
            }
            state.loaded = Some(Instant::now());
        }
        let mut servers = match &self.source {
            Upstreams::Fixed(servers) => servers.clone(),
            Upstreams::ResolvConf(path) => match self.env.disk.read(path).await {
                Ok(text) => resolv_conf::parse(&String::from_utf8_lossy(&text)),
                Err(error) => {
                    tracing::warn!(component = "dns", path = %path.display(), %error, "no name servers");
                    Vec::new()
                }
            },
        };
        // A host that resolves through the cluster would ask us, and we it, for ever.
        servers.retain(|s| !self.own.contains(s) && !self.own_ips.contains(&s.ip()));
        let mut state = self.state.lock();
        if state.servers != servers {
            state.servers = servers;
            state.first = 0;
            state.n_failures = 0;
        }
    }

    async fn ask_udp(&self, server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        // Connected: only this server's packets arrive, and its refusal is an error at once.
        socket.connect(server).await?;
        let (outgoing, id) = self.with_random_id(query);
        socket.send(&outgoing).await?;
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let n = socket.recv(&mut buffer).await?;
            if let Some(answer) = accept(&buffer[..n], id, query) {
                return Ok(answer);
            }
        }
    }

    async fn ask_tcp(&self, server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(server).await?;
        let (outgoing, id) = self.with_random_id(query);
        let len = u16::try_from(outgoing.len()).map_err(std::io::Error::other)?;
        let mut framed = len.to_be_bytes().to_vec();
        framed.extend_from_slice(&outgoing);
        stream.write_all(&framed).await?;
        let len = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(len)];
        stream.read_exact(&mut answer).await?;
        accept(&answer, id, query).ok_or_else(|| std::io::Error::other("an answer to something else"))
    }

    fn with_random_id(&self, query: &[u8]) -> (Vec<u8>, [u8; 2]) {
        let mut id = [0; 2];
        self.env.rng.fill(&mut id);
        let mut outgoing = query.to_vec();
        outgoing[..2].copy_from_slice(&id);
        (outgoing, id)
    }
}

/// The answer with the client's own id, if it is one to what was asked.
fn accept(answer: &[u8], id: [u8; 2], query: &[u8]) -> Option<Vec<u8>> {
    const IS_RESPONSE: u8 = 0x80;
    if answer.len() < HEADER_LEN || answer[..2] != id || answer[2] & IS_RESPONSE == 0 {
        return None;
    }
    let mut answer = answer.to_vec();
    answer[..2].copy_from_slice(&query[..2]);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarder(servers: Vec<SocketAddr>, bound: &[SocketAddr]) -> Forwarder {
        let config = Config { upstreams: Upstreams::Fixed(servers), ..Config::default() };
        Forwarder::new(&config, Env::real(), bound)
    }

    const QUERY: [u8; 12] = [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[tokio::test]
    async fn the_next_server_answers_for_one_that_is_gone() {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let gone_address = gone.local_addr().unwrap();
        drop(gone);
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let forwarder = forwarder(vec![gone_address, server.local_addr().unwrap()], &[]);
        let serve = async {
            let mut buffer = [0; 512];
            let (n, from) = server.recv_from(&mut buffer).await.unwrap();
            // Somebody else's id is not taken for the answer.
            let mut wrong = buffer[..n].to_vec();
            wrong[0] ^= 1;
            wrong[2] |= 0x80;
            server.send_to(&wrong, from).await.unwrap();
            buffer[2] |= 0x80;
            buffer[11] = 7;
            server.send_to(&buffer[..n], from).await.unwrap();
        };
        let (answer, ()) = tokio::join!(forwarder.forward(&QUERY, false), serve);
        let answer = answer.unwrap();
        assert_eq!((&answer[..2], answer[11]), (&QUERY[..2], 7));
    }

    #[tokio::test]
    async fn nobody_to_ask_is_known_at_once() {
        let own: SocketAddr = "127.0.0.1:53".parse().unwrap();
        assert_eq!(forwarder(vec![own], &[own]).forward(&QUERY, false).await, None);
        assert_eq!(forwarder(vec![], &[]).forward(&QUERY, true).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_servers_are_waited_for_less_and_less() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let forwarder = forwarder(vec![silent.local_addr().unwrap()], &[]);
        let begun = Instant::now();
        for _ in 0..N_FAILURES_DOWN {
            assert_eq!(forwarder.forward(&QUERY, false).await, None);
        }
        assert!(begun.elapsed() >= SERVER_TIMEOUT * N_FAILURES_DOWN);
        let begun = Instant::now();
        assert_eq!(forwarder.forward(&QUERY, false).await, None);
        assert!(begun.elapsed() < SERVER_TIMEOUT, "{:?}", begun.elapsed());
    }
}
