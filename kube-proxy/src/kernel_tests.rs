//! The rules in a real kernel: a node with two pods and an outside client, each in a network namespace of its own, and
//! connections through each backend. Needs root, `ip`, `nft` and `iptables`.
//!
//! ```text
//! client 192.168.77.2 ── 192.168.77.1 node 10.244.0.1 ─┬─ 10.244.0.5 pod a
//!                                                      └─ 10.244.0.6 pod b
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use client::Key;
use net::Tools;
use serde_json::{Value, json};

use crate::backend::{self, Backend, Desired, NodePortAddresses, Settings};
use crate::model::{Family, NodeView, ServiceView, service_view};

const PATIENCE: Duration = Duration::from_secs(5);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Namespaces that go away with it, also when a test fails.
struct Net {
    name: String,
}

#[allow(
    clippy::disallowed_methods,
    reason = "the test prepares a host, which is not the component's business"
)]
fn ip(args: &str) {
    let words: Vec<&str> = args.split_whitespace().collect();
    let output = std::process::Command::new("ip").args(&words).output().expect("ip is installed");
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Net {
    fn new() -> Self {
        let name = format!("gtp{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let net = Self { name };
        for part in ["node", "a", "b", "client"] {
            ip(&format!("netns add {}", net.ns(part)));
            ip(&format!("-n {} link set lo up", net.ns(part)));
        }
        for (part, address) in [("a", "10.244.0.5"), ("b", "10.244.0.6")] {
            net.link(part);
            let (node, pod) = (net.ns("node"), net.ns(part));
            ip(&format!("-n {node} addr add 10.244.0.1/32 dev to-{part}"));
            ip(&format!("-n {node} route add {address}/32 dev to-{part}"));
            ip(&format!("-n {pod} addr add {address}/32 dev eth0"));
            ip(&format!("-n {pod} route add default via 10.244.0.1 dev eth0 onlink"));
        }
        net.link("client");
        ip(&format!("-n {} addr add 192.168.77.1/24 dev to-client", net.ns("node")));
        ip(&format!("-n {} addr add 192.168.77.2/24 dev eth0", net.ns("client")));
        for part in ["node", "client"] {
            let via = if part == "node" { "192.168.77.2" } else { "192.168.77.1" };
            ip(&format!("-n {} route add default via {via}", net.ns(part)));
        }
        net.inside("node", || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
        net
    }

    fn ns(&self, part: &str) -> String {
        format!("{}{part}", self.name)
    }

    /// A pair from the node (`to-PART`) to the part (`eth0`).
    fn link(&self, part: &str) {
        let (node, peer) = (self.ns("node"), self.ns(part));
        ip(&format!("-n {node} link add to-{part} type veth peer name eth0 netns {peer}"));
        ip(&format!("-n {node} link set to-{part} up"));
        ip(&format!("-n {peer} link set eth0 up"));
    }

    /// Runs `work` on a thread in the namespace of `part`. Sockets that it makes stay there.
    #[allow(clippy::disallowed_methods, reason = "a thread of its own is what setns needs")]
    fn inside<T: Send + 'static>(&self, part: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.ns(part))).unwrap();
        std::thread::spawn(move || {
            nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
        .join()
        .expect("the work does not panic")
    }

    /// A server in `part` that answers each connection with its name and the client's address, then echoes.
    #[allow(clippy::disallowed_methods, reason = "a blocking server beside the test")]
    fn serve(&self, part: &'static str, port: u16) {
        let listener = self.inside(part, move || TcpListener::bind(("0.0.0.0", port)).unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let peer = stream.peer_addr().unwrap().ip();
                    let _ = stream.write_all(format!("{part} {peer}\n").as_bytes());
                    let mut byte = [0];
                    while stream.read(&mut byte).is_ok_and(|n| n == 1) {
                        let _ = stream.write_all(&byte);
                    }
                });
            }
        });
    }

    /// Connects from `part` and returns the connection with the server's greeting, or how it failed.
    fn connect(&self, part: &str, address: &str) -> Result<(TcpStream, String), std::io::ErrorKind> {
        let address: SocketAddr = address.parse().unwrap();
        self.inside(part, move || {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|e| e.kind())?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut greeting = String::new();
            let mut byte = [0];
            while !greeting.ends_with('\n') {
                stream.read_exact(&mut byte).map_err(|e| e.kind())?;
                greeting.push(char::from(byte[0]));
            }
            Ok((stream, greeting.trim().to_owned()))
        })
    }

    #[track_caller]
    fn check(&self, part: &str, address: &str, expected: Result<&str, std::io::ErrorKind>) {
        let got = self.connect(part, address).map(|(_, greeting)| greeting);
        assert_eq!(got.as_deref().map_err(|e| *e), expected, "from {part} to {address}");
    }
}

impl Drop for Net {
    #[allow(clippy::disallowed_methods, reason = "the test clears the host")]
    fn drop(&mut self) {
        for part in ["node", "a", "b", "client"] {
            let _ = std::process::Command::new("ip").args(["netns", "delete", &self.ns(part)]).status();
        }
    }
}

/// A backend of a node in a namespace, with the Services that it was told of.
struct Proxy {
    backend: Box<dyn Backend>,
    node: NodeView,
    services: BTreeMap<Key, ServiceView>,
    full: bool,
}

impl Proxy {
    fn new(mode: &str, net: &Net) -> Self {
        let settings = Settings {
            families: vec![Family::V4],
            cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap()],
            masquerade_all: false,
            masquerade_bit: 14,
            node_port_addresses: NodePortAddresses::Primary,
        };
        let tools =
            Tools::new(env::Env::real().process).in_namespace(format!("/run/netns/{}", net.ns("node")));
        let node = NodeView {
            name: "n1".into(),
            addresses: vec!["192.168.77.1".parse().unwrap()],
            ..NodeView::default()
        };
        let backend = (backend::find(mode).unwrap().make)(tools, &settings);
        Self { backend, node, services: BTreeMap::new(), full: true }
    }

    /// Sets the Service `name` with endpoints `a`, `b`, both or none, and applies the change.
    async fn set(&mut self, name: &str, spec: Value, endpoints: &str) {
        let addresses = endpoints.chars().map(|e| if e == 'a' { "10.244.0.5" } else { "10.244.0.6" });
        let endpoints: Vec<Value> = addresses
            .map(|a| json!({"addresses": [a], "nodeName": "n1", "conditions": {"ready": true}}))
            .collect();
        let service =
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec}))
                .unwrap();
        let slice = serde_json::from_value(json!({
            "metadata": {"namespace": "ns"}, "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        }))
        .unwrap();
        let view = service_view(&service, &[&slice], &self.node).unwrap();
        let changed = BTreeSet::from([view.key.clone()]);
        self.services.insert(view.key.clone(), view);
        self.apply(&changed).await;
    }

    async fn remove(&mut self, name: &str) {
        let key = Key::new("ns", name);
        self.services.remove(&key);
        self.apply(&BTreeSet::from([key])).await;
    }

    async fn apply(&mut self, changed: &BTreeSet<Key>) {
        let desired = Desired {
            node: &self.node,
            local_addresses: &[],
            service_cidrs: &["10.96.0.0/12".parse().unwrap()],
            services: &self.services,
            changed: if self.full { None } else { Some(changed) },
        };
        let applied = self.backend.sync(desired).await.unwrap();
        assert_eq!(applied.full, self.full, "only the first application writes everything");
        self.full = false;
    }
}

fn spec(ip: &str, node_port: u16) -> Value {
    json!({
        "type": "NodePort", "clusterIP": ip, "clusterIPs": [ip],
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": node_port}],
    })
}

const REFUSED: Result<&str, std::io::ErrorKind> = Err(std::io::ErrorKind::ConnectionRefused);

async fn check_traffic(mode: &str) {
    let net = Net::new();
    net.serve("a", 8080);
    net.serve("b", 8080);
    let mut proxy = Proxy::new(mode, &net);
    proxy.set("web", spec("10.96.0.1", 30080), "b").await;
    net.check("a", "10.96.0.1:80", Ok("b 10.244.0.5"));
    // To itself: the source becomes the node's address on that link.
    net.check("b", "10.96.0.1:80", Ok("b 10.244.0.1"));
    net.check("node", "10.96.0.1:80", Ok("b 10.244.0.1"));
    net.check("client", "10.96.0.1:80", Ok("b 10.244.0.1"));
    net.check("client", "192.168.77.1:30080", Ok("b 10.244.0.1"));
    net.check("a", "192.168.77.1:30080", Ok("b 10.244.0.1"));
    net.check("node", "192.168.77.1:30080", Ok("b 10.244.0.1"));
    // The policy `Local` keeps the client's address.
    let mut local = spec("10.96.0.2", 30081);
    local["externalTrafficPolicy"] = "Local".into();
    proxy.set("local", local, "a").await;
    net.check("client", "192.168.77.1:30081", Ok("a 192.168.77.2"));
    // Nobody serves: an answer at once.
    proxy.set("empty", spec("10.96.0.3", 30082), "").await;
    net.check("a", "10.96.0.3:80", REFUSED);
    net.check("node", "10.96.0.3:80", REFUSED);
    net.check("client", "192.168.77.1:30082", REFUSED);
    proxy.set("empty", spec("10.96.0.3", 30082), "a").await;
    net.check("b", "10.96.0.3:80", Ok("a 10.244.0.6"));
    // An open connection survives that its endpoint is replaced; new ones go to the other.
    let (mut open, greeting) = net.connect("a", "10.96.0.1:80").unwrap();
    assert_eq!(greeting, "b 10.244.0.5");
    proxy.set("web", spec("10.96.0.1", 30080), "a").await;
    net.check("b", "10.96.0.1:80", Ok("a 10.244.0.6"));
    open.write_all(b"x").unwrap();
    let mut byte = [0];
    open.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    proxy.remove("empty").await;
    assert!(net.connect("client", "192.168.77.1:30082").is_err());
    proxy.backend.cleanup().await.unwrap();
    assert!(net.connect("client", "192.168.77.1:30080").is_err());
}

async fn check_affinity(mode: &str) {
    let net = Net::new();
    net.serve("a", 8080);
    net.serve("b", 8080);
    let mut proxy = Proxy::new(mode, &net);
    let server = |address: &str| net.connect("client", address).unwrap().1[..1].to_owned();
    proxy.set("web", spec("10.96.0.1", 30080), "ab").await;
    let seen: BTreeSet<String> = (0..40).map(|_| server("192.168.77.1:30080")).collect();
    assert_eq!(seen.len(), 2, "both endpoints take traffic");
    let mut sticky = spec("10.96.0.2", 30081);
    sticky["sessionAffinity"] = "ClientIP".into();
    proxy.set("sticky", sticky.clone(), "ab").await;
    let seen: BTreeSet<String> = (0..40).map(|_| server("192.168.77.1:30081")).collect();
    assert_eq!(seen.len(), 1, "one client stays with one endpoint");
    // A change of another Service and of the other endpoint leaves the client where it is.
    let kept = seen.into_iter().next().unwrap();
    proxy.set("web", spec("10.96.0.1", 30080), "a").await;
    proxy.set("sticky", sticky.clone(), &kept).await;
    assert_eq!(server("192.168.77.1:30081"), kept);
    let other = if kept == "a" { "b" } else { "a" };
    proxy.set("sticky", sticky, other).await;
    assert_eq!(server("192.168.77.1:30081"), other);
}

#[tokio::test]
async fn nftables_traffic() {
    check_traffic("nftables").await;
}

#[tokio::test]
async fn nftables_affinity() {
    check_affinity("nftables").await;
}

#[tokio::test]
async fn iptables_traffic() {
    check_traffic("iptables").await;
}

#[tokio::test]
async fn iptables_affinity() {
    check_affinity("iptables").await;
}

#[tokio::test]
async fn pods_reach_the_outside_with_the_nodes_address() {
    let net = Net::new();
    net.serve("client", 9000);
    net.serve("b", 9000);
    let tools = Tools::new(env::Env::real().process).in_namespace(format!("/run/netns/{}", net.ns("node")));
    let pods = ["10.244.0.0/24".parse().unwrap()];
    let script = net::masquerade::render(&pods, &["10.244.0.0/16".parse().unwrap()]);
    net::Nft::new(tools).apply(&script).await.unwrap();
    net.check("a", "192.168.77.2:9000", Ok("client 192.168.77.1"));
    net.check("a", "10.244.0.6:9000", Ok("b 10.244.0.5"));
}
