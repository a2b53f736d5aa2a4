//! The application of the end-to-end tests: an HTTP server that says who it is and takes its time to go.
//!
//! `GET /` answers `HOSTNAME VERSION`, where the version is what the image's file `/version` says. After SIGTERM it serves on for two seconds, as a server does that drains. `PUT
//! /ready/off` and `/ready/on` switch what `/ready` answers, `PUT /live/off` what `/live` does; each refusal of `/ready` is logged with its
//! time in microseconds. Standard library only,
//! linked statically: its image holds nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const OK: &str = "200 OK";

static STOPPING: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
}

extern "C" fn on_terminate(_: i32) {
    STOPPING.store(true, Ordering::SeqCst);
}

struct State {
    hostname: String,
    version: String,
    ready: AtomicBool,
    live: AtomicBool,
}

fn main() {
    let handler: extern "C" fn(i32) = on_terminate;
    // SAFETY: the handler only stores to an atomic, which is safe in a signal handler.
    unsafe {
        signal(15, handler as usize);
        signal(2, handler as usize);
    }
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".into());
    let state = Arc::new(State {
        hostname: std::fs::read_to_string("/etc/hostname").unwrap_or_default().trim().to_owned(),
        version: std::fs::read_to_string("/version").unwrap_or_default().trim().to_owned(),
        ready: AtomicBool::new(true),
        live: AtomicBool::new(true),
    });
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("bind");
    println!("serving {} on {port}", state.version);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            std::thread::spawn(move || answer(stream, &state));
        }
    });
    while !STOPPING.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("draining");
    std::thread::sleep(Duration::from_secs(2));
    println!("done");
}

fn answer(mut stream: TcpStream, state: &State) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < 8192 {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(n) => request.extend_from_slice(&buffer[..n]),
        }
    }
    let text = String::from_utf8_lossy(&request);
    let mut words = text.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let (status, body) = match (method, path) {
        ("PUT", "/ready/off") => switch(&state.ready, false),
        ("PUT", "/ready/on") => switch(&state.ready, true),
        ("PUT", "/live/off") => switch(&state.live, false),
        (_, "/ready") => {
            let answer = health(&state.ready);
            if answer.0 != OK {
                // When a probe was told, for who measures what comes of it.
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
                println!("not ready at {}", now.as_micros());
            }
            answer
        }
        (_, "/live") => health(&state.live),
        _ => (OK, format!("{} {}\n", state.hostname, state.version)),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn switch(flag: &AtomicBool, to: bool) -> (&'static str, String) {
    flag.store(to, Ordering::SeqCst);
    (OK, "ok\n".into())
}

fn health(flag: &AtomicBool) -> (&'static str, String) {
    if flag.load(Ordering::SeqCst) { (OK, "ok\n".into()) } else { ("503 Service Unavailable", "off\n".into()) }
}
