//! `/livez`, `/readyz`, `/healthz`: named checks, each alone, all together, verbose, with exclusions, in upstream's text.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use parking_lot::RwLock;

use crate::response::{self, Response};
use crate::routes::Query;

/// Says why it fails.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Which endpoints a check takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Livez,
    Readyz,
    Healthz,
}

struct Named {
    name: String,
    check: Check,
    /// Only readiness: what ends liveness would restart a server that merely drains.
    readiness_only: bool,
}

/// All checks of one server.
#[derive(Clone, Default)]
pub struct Health(Arc<RwLock<Vec<Named>>>);

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.read().iter().map(|c| c.name.clone())).finish()
    }
}

impl Health {
    /// Adds a check to all three endpoints, in order.
    pub fn add(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.0.write().push(Named { name: name.into(), check: Arc::new(check), readiness_only: false });
    }

    /// Adds a check to readiness alone.
    pub fn add_readiness(
        &self,
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.0.write().push(Named { name: name.into(), check: Arc::new(check), readiness_only: true });
    }

    /// Adds a start-up step (`poststarthook/NAME`): it fails until the returned flag is set.
    pub fn add_hook(&self, name: &str) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        self.add(format!("poststarthook/{name}"), move || {
            if seen.load(Ordering::Acquire) { Ok(()) } else { Err("not finished".into()) }
        });
        done
    }

    /// Whether every readiness check passes.
    pub fn ready(&self) -> bool {
        self.0.read().iter().all(|c| (c.check)().is_ok())
    }

    /// Answers a path below a health endpoint; `rest` is what follows the endpoint, such as `/etcd`.
    pub fn answer(&self, endpoint: Endpoint, rest: &str, query: &Query) -> Response {
        let path = match endpoint {
            Endpoint::Livez => "livez",
            Endpoint::Readyz => "readyz",
            Endpoint::Healthz => "healthz",
        };
        let checks = self.0.read();
        let mut of_endpoint = checks.iter().filter(|c| endpoint == Endpoint::Readyz || !c.readiness_only);
        if let Some(name) = rest.strip_prefix('/').filter(|n| !n.is_empty()) {
            return match of_endpoint.find(|c| c.name == name) {
                None => response::text(StatusCode::NOT_FOUND, "404 page not found\n"),
                Some(check) => match (check.check)() {
                    Ok(()) => response::text(StatusCode::OK, "ok"),
                    Err(why) => response::text(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        format!("internal server error: {why}\n"),
                    ),
                },
            };
        }
        let mut excluded: Vec<&str> =
            query.all("exclude").flat_map(|e| e.split(',')).filter(|e| !e.is_empty()).collect();
        let mut text = String::new();
        let mut failed = false;
        for named in of_endpoint {
            if let Some(at) = excluded.iter().position(|e| *e == named.name) {
                excluded.remove(at);
                text.push_str(&format!("[+]{} excluded: ok\n", named.name));
                continue;
            }
            match (named.check)() {
                Ok(()) => text.push_str(&format!("[+]{} ok\n", named.name)),
                Err(why) => {
                    failed = true;
                    tracing::warn!(check = %named.name, error = %why, "health check failed");
                    text.push_str(&format!("[-]{} failed: reason withheld\n", named.name));
                }
            }
        }
        if !excluded.is_empty() {
            let list: Vec<String> = excluded.iter().map(|e| format!("{e:?}")).collect();
            text.push_str(&format!(
                "warn: some health checks cannot be excluded: no matches for {}\n",
                list.join(", ")
            ));
        }
        if failed {
            text.push_str(&format!("{path} check failed\n"));
            return response::text(StatusCode::INTERNAL_SERVER_ERROR, text);
        }
        if query.get("verbose").is_none() {
            return response::text(StatusCode::OK, "ok");
        }
        text.push_str(&format!("{path} check passed\n"));
        response::text(StatusCode::OK, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        let health = Health::default();
        health.add("ping", || Ok(()));
        health.add_readiness("shutdown", || Err("stopping".into()));
        health
    }

    async fn check(endpoint: Endpoint, rest: &str, query: &str, code: u16, body: &str) {
        let response = health().answer(endpoint, rest, &Query::parse(query));
        assert_eq!(response.status().as_u16(), code);
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), body);
    }

    #[tokio::test]
    async fn answers() {
        check(Endpoint::Livez, "", "", 200, "ok").await;
        check(Endpoint::Livez, "", "verbose", 200, "[+]ping ok\nlivez check passed\n").await;
        check(
            Endpoint::Readyz,
            "",
            "",
            500,
            "[+]ping ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n",
        )
        .await;
        check(
            Endpoint::Readyz,
            "",
            "exclude=shutdown&verbose",
            200,
            "[+]ping ok\n[+]shutdown excluded: ok\nreadyz check passed\n",
        )
        .await;
        check(Endpoint::Readyz, "/ping", "", 200, "ok").await;
        check(Endpoint::Livez, "/shutdown", "", 404, "404 page not found\n").await;
    }
}
