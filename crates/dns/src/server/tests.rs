//! The server over real sockets on loopback.

use component::Tasks;
use hickory_proto::op::Query;

use super::*;
use crate::Upstreams;
use crate::zone::tests::{cluster, zone};

/// A server of the test cluster whose queries for other domains go to `upstream`.
async fn serve(upstream: Vec<SocketAddr>) -> (Running, Tasks) {
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        upstreams: Upstreams::Fixed(upstream),
        ..Config::default()
    };
    let client = client::Client::in_process(tower_never());
    let deps = Deps { client, env: Env::real(), tasks: Tasks::new("dns") };
    let running = start(&config, &deps, zone(), Arc::new(cluster())).await.unwrap();
    (running, deps.tasks)
}

/// An API server that is never asked.
fn tower_never() -> impl tower::Service<
    client::TransportRequest,
    Response = client::TransportResponse,
    Error = std::io::Error,
    Future = futures::future::Pending<Result<client::TransportResponse, std::io::Error>>,
> + Clone
+ Send
+ 'static {
    tower::service_fn(|_: client::TransportRequest| futures::future::pending())
}

fn query(name: &str, ty: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), ty));
    message
}

async fn ask_udp(server: SocketAddr, query: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let n = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
    Message::from_vec(&buffer[..n]).unwrap()
}

async fn ask_tcp(server: SocketAddr, query: &Message) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let raw = query.to_vec().unwrap();
    stream.write_u16(u16::try_from(raw.len()).unwrap()).await.unwrap();
    stream.write_all(&raw).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

#[tokio::test]
async fn names_of_the_cluster_by_udp_and_tcp() {
    let (running, _tasks) = serve(vec![]).await;
    let server = running.addresses()[0];
    let question = query("web.default.svc.cluster.local.", RecordType::A);
    for answer in [ask_udp(server, &question).await, ask_tcp(server, &question).await] {
        assert_eq!(answer.metadata.id, question.metadata.id);
        assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
        assert_eq!(answer.answers[0].data.to_string(), "10.96.0.7");
    }
    let missing = ask_udp(server, &query("no.default.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(missing.authorities[0].record_type(), RecordType::SOA);
    let no_data = ask_udp(server, &query("web.default.svc.cluster.local.", RecordType::MX)).await;
    assert_eq!(no_data.metadata.response_code, ResponseCode::NoError);
    assert_eq!((no_data.answers.len(), no_data.authorities.len()), (0, 1));
}

#[tokio::test]
async fn without_other_resolvers_other_domains_fail_at_once() {
    let (running, _tasks) = serve(vec![]).await;
    let answer = ask_udp(running.addresses()[0], &query("www.example.com.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn aliases_are_followed_outside() {
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (running, _tasks) = serve(vec![upstream.local_addr().unwrap()]).await;
    let outside = async {
        let mut buffer = [0; 512];
        let (n, from) = upstream.recv_from(&mut buffer).await.unwrap();
        let asked = Message::from_vec(&buffer[..n]).unwrap();
        assert_eq!(asked.queries[0].name().to_ascii(), "www.example.com.");
        let mut answer = response(&asked);
        let data = RData::A("192.0.2.80".parse().unwrap());
        answer.answers.push(Record::from_rdata(asked.queries[0].name().clone(), 60, data));
        upstream.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    };
    let question = query("out.default.svc.cluster.local.", RecordType::A);
    let (answer, ()) = tokio::join!(ask_udp(running.addresses()[0], &question), outside);
    let types: Vec<RecordType> = answer.answers.iter().map(Record::record_type).collect();
    assert_eq!(types, [RecordType::CNAME, RecordType::A]);
    assert_eq!(answer.queries[0].name().to_ascii(), "out.default.svc.cluster.local.");
}

#[tokio::test]
async fn nonsense_is_refused_or_ignored() {
    let (running, _tasks) = serve(vec![]).await;
    let server = running.addresses()[0];
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // An answer sent to us must not be answered: two servers would never stop.
    let mut echo = query("web.default.svc.cluster.local.", RecordType::A);
    echo.metadata.message_type = MessageType::Response;
    socket.send_to(&echo.to_vec().unwrap(), server).await.unwrap();
    socket.send_to(&[1, 2, 3], server).await.unwrap();
    let mut broken = query("web.default.svc.cluster.local.", RecordType::A).to_vec().unwrap();
    broken.truncate(broken.len() - 3);
    socket.send_to(&broken, server).await.unwrap();
    let mut buffer = [0; 512];
    let n = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(Message::from_vec(&buffer[..n]).unwrap().metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn what_does_not_fit_is_left_out_and_said() {
    let question = query("web.default.svc.cluster.local.", RecordType::A);
    let mut answer = response(&question);
    let name = question.queries[0].name().clone();
    for i in 0..200u8 {
        let data = RData::A(std::net::Ipv4Addr::new(10, 0, 0, i).into());
        answer.answers.push(Record::from_rdata(name.clone(), 5, data));
    }
    let short = Message::from_vec(&encode(answer.clone(), Some(512)).unwrap()).unwrap();
    assert!(short.metadata.truncation && !short.answers.is_empty());
    let whole = Message::from_vec(&encode(answer, None).unwrap()).unwrap();
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 200);
}

#[test]
fn strangers_hear_nothing() {
    let clients = |ranges: &[&str]| Clients {
        ranges: ranges.iter().map(|r| r.parse().unwrap()).collect(),
        own: vec!["192.0.2.2:10053".parse().unwrap()],
    };
    let admitted = |ranges: &[&str], from: &str| clients(ranges).admit(from.parse().unwrap());
    for (from, expected) in
        [("10.244.0.7", true), ("127.0.0.1", true), ("192.0.2.2", true), ("192.0.2.3", false), ("::2", false)]
    {
        assert_eq!(admitted(&["10.244.0.0/16"], from), expected, "{from}");
        assert!(admitted(&[], from), "everybody without a list: {from}");
    }
}
