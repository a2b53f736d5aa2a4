//! Requests as they are on the wire: bytes of the test's choice over one HTTP/1.1 connection with TLS.
//!
//! kubectl checks and mends what it sends, and takes a tenth of a second for it. A test that asks what the server itself
//! says, or has many writes under way, or watches with the time of arrival, talks to it directly, as the administrator.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::Cluster;

/// An answer that takes longer than this is none.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Where the server is, and who asks.
#[derive(Clone, Debug)]
pub struct Api {
    address: SocketAddr,
    ca_pem: String,
    tls: Arc<ClientConfig>,
}

/// What the server said.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    /// The values of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }
    /// Panics with the body unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Api {
    /// As the administrator, by the certificate of the kubeconfig.
    #[track_caller]
    pub fn of(cluster: &Cluster) -> Self {
        let config = cluster.kubectl(&["config", "view", "--raw", "-o", "json"]).ok().stdout;
        let config: Value = serde_json::from_str(&config).expect("kubectl prints JSON");
        let pem = |value: &Value| {
            let bytes = STANDARD.decode(value.as_str().expect("the field is there")).expect("it is base64");
            String::from_utf8(bytes).expect("PEM is text")
        };
        let (place, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        let server = place["server"].as_str().expect("the server's address");
        let identity = pki::Identity {
            certificate_pem: pem(&user["client-certificate-data"]),
            key_pem: pem(&user["client-key-data"]),
        };
        let address = server.trim_start_matches("https://").parse().expect("an address and a port");
        let ca_pem = pem(&place["certificate-authority-data"]);
        let tls = configuration(&ca_pem, Some(&identity));
        Self { address, ca_pem, tls }
    }

    /// The same server, asked with another certificate or none.
    pub fn with_identity(&self, identity: Option<&pki::Identity>) -> Self {
        Self { tls: configuration(&self.ca_pem, identity), ..self.clone() }
    }

    pub fn connect(&self) -> io::Result<Connection> {
        let socket = TcpStream::connect_timeout(&self.address, ANSWER_LIMIT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        let name = rustls::pki_types::ServerName::from(self.address.ip());
        let tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        Ok(Connection {
            stream: BufReader::new(StreamOwned::new(tls, socket)),
            host: self.address.to_string(),
        })
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.try_ask(method, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// As [`Api::ask`], of a server that may end meanwhile.
    pub fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.connect()?.ask(method, path, headers, body)
    }

    /// A watch, or a list with `watch=true` in its path, from another thread; `seen` gets each event as it arrives and
    /// ends the watch with false. It ends too when the server goes.
    pub fn watch(
        &self,
        path: &str,
        mut seen: impl FnMut(Value, SystemTime) -> bool + Send + 'static,
    ) -> std::thread::JoinHandle<()> {
        // The watch is established when this returns: what happens next is seen.
        let mut connection = self.connect().expect("the server accepts a connection");
        connection.send("GET", path, &[], b"").expect("the request goes out");
        let (status, headers) = connection.head().expect("the watch is answered");
        assert_eq!(status, 200, "{path}");
        assert!(headers.contains(&("transfer-encoding".into(), "chunked".into())), "{headers:?}");
        std::thread::spawn(move || {
            let mut pending = Vec::new();
            while let Ok(Some(chunk)) = connection.chunk() {
                let arrived = SystemTime::now();
                pending.extend(chunk);
                while let Some(end) = pending.iter().position(|&b| b == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let event = serde_json::from_slice(&line).expect("an event is a line of JSON");
                    if !seen(event, arrived) {
                        return;
                    }
                }
            }
        })
    }
}

fn configuration(ca_pem: &str, identity: Option<&pki::Identity>) -> Arc<ClientConfig> {
    let mut tls = pki::tls::client_config(ca_pem, identity).expect("the PEM is good");
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}

/// A connection that serves one request after the other.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    host: String,
}

impl Connection {
    /// Sends a request and reads its whole answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        // A server that has read enough answers and closes while the rest is still being sent: its answer counts.
        let sent = self.send(method, path, headers, body);
        let (status, headers) = match self.head() {
            Err(error) => return Err(sent.err().unwrap_or(error)),
            Ok(head) => head,
        };
        let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let mut body = Vec::new();
        if let Some(length) = value("content-length") {
            body.resize(length.parse().map_err(io::Error::other)?, 0);
            self.stream.read_exact(&mut body)?;
        } else if value("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                body.extend(chunk);
            }
        }
        Ok(Answer { status, headers, body })
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !body.is_empty() && !has("content-type") {
            request.push_str("Content-Type: application/json\r\n");
        }
        if !has("accept") {
            request.push_str("Accept: application/json\r\n");
        }
        request.push_str(&format!("User-Agent: gantry-e2e\r\nContent-Length: {}\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend(body);
        let stream = self.stream.get_mut();
        stream.write_all(&bytes)?;
        stream.flush()
    }

    /// The status and the headers, names in lower case.
    fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no answer: {first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { return Ok((status, headers)) };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The next piece of a chunked body.
    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; length];
        self.stream.read_exact(&mut chunk)?;
        self.line()?;
        Ok((length > 0).then_some(chunk))
    }
}
