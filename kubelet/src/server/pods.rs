//! The handlers that concern pods: their list, logs, and streams into their containers.

use std::sync::Arc;

use cri::v1;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::log_format::{LineOptions, StreamFilter};
use super::log_reader::{Follow, LogOptions, LogReader};
use super::route::{Container, Query};
use super::{Server, stream};
use crate::api::Pod;
use crate::pod::observed::labels;

/// A refusal as an answer.
type Refused = Box<Answer>;

fn refuse(status: StatusCode, text: impl Into<String>) -> Refused {
    Box::new(answer::text(status, text))
}

fn bad_request(text: impl Into<String>) -> Refused {
    refuse(StatusCode::BAD_REQUEST, text)
}

fn runtime_error(error: &cri::Error) -> Refused {
    let status = if error.is_not_found() { StatusCode::NOT_FOUND } else { StatusCode::INTERNAL_SERVER_ERROR };
    refuse(status, error.to_string())
}

/// What the query of a log request says.
fn log_options(query: &Query, now: jiff::Timestamp) -> Result<LogOptions, Refused> {
    let number = |name: &str| -> Result<Option<u64>, Refused> {
        let parse =
            |text: &str| text.parse::<u64>().map_err(|_| bad_request(format!("invalid {name} {text:?}")));
        query.get(name).filter(|t| !t.is_empty()).map(parse).transpose()
    };
    let since = match (query.get("sinceTime"), number("sinceSeconds")?) {
        (Some(text), _) if !text.is_empty() => {
            Some(text.parse().map_err(|_| bad_request(format!("invalid sinceTime {text:?}")))?)
        }
        (_, Some(seconds)) => {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            now.checked_sub(jiff::SignedDuration::from_secs(seconds)).ok()
        }
        _ => None,
    };
    let stream = match query.get("stream") {
        None | Some("" | "All") => StreamFilter::All,
        Some("Stdout") => StreamFilter::Stdout,
        Some("Stderr") => StreamFilter::Stderr,
        Some(other) => return Err(bad_request(format!("invalid stream {other:?}"))),
    };
    // `all` is how clients used to say that they want every line.
    let tail = if query.get("tailLines") == Some("all") { None } else { number("tailLines")? };
    Ok(LogOptions {
        line: LineOptions { timestamps: query.flag("timestamps"), since, stream },
        tail,
        limit: number("limitBytes")?,
    })
}

impl Server {
    /// `/pods`: the node's pods as the API has them.
    pub(super) async fn pods(&self) -> Answer {
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.config.node_name);
        match self.deps.client.request::<Value>(http::Method::GET, &path, None).await {
            Ok(pods) => answer::json(&pods),
            Err(error) => answer::text(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }

    /// `/runningpods`: what the runtime has, whether the API knows of it or not.
    pub(super) async fn running_pods(&self) -> Answer {
        let listed = async {
            let sandboxes = self.deps.runtime.list_sandboxes(&[]).await?;
            Ok::<_, cri::Error>((sandboxes, self.deps.runtime.list_containers(&[]).await?))
        };
        let (sandboxes, containers) = match listed.await {
            Ok(listed) => listed,
            Err(error) => return *runtime_error(&error),
        };
        let ready = sandboxes.iter().filter(|s| s.state() == v1::PodSandboxState::SandboxReady);
        let items = ready.map(|sandbox| {
            let meta = sandbox.metadata.clone().unwrap_or_default();
            let of_it = containers.iter().filter(|c| {
                c.pod_sandbox_id == sandbox.id && c.state() == v1::ContainerState::ContainerRunning
            });
            let containers: Vec<Value> = of_it
                .map(|c| {
                    let name = c.metadata.as_ref().map_or("", |m| m.name.as_str());
                    json!({"name": name, "image": c.image_ref, "resources": {}})
                })
                .collect();
            json!({
                "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid, "creationTimestamp": null},
                "spec": {"containers": containers},
                "status": {},
            })
        });
        let items: Vec<Value> = items.collect();
        answer::json(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
    }

    fn pod(&self, wanted: &Container) -> Result<Arc<Pod>, Refused> {
        let found = self.deps.pods.pod(&wanted.namespace, &wanted.pod);
        let found = found.filter(|p| wanted.uid.is_empty() || p.metadata.uid == wanted.uid);
        found.ok_or_else(|| refuse(StatusCode::NOT_FOUND, format!("pod {:?} does not exist\n", wanted.pod)))
    }

    /// A pod's containers of one name, the newest first.
    async fn containers(&self, pod: &Pod, name: &str) -> Result<Vec<v1::Container>, Refused> {
        let wanted = [(labels::POD_UID, pod.metadata.uid.as_str()), (labels::CONTAINER_NAME, name)];
        let mut found = self.deps.runtime.list_containers(&wanted).await.map_err(|e| runtime_error(&e))?;
        found
            .sort_by_key(|c| std::cmp::Reverse((c.metadata.as_ref().map_or(0, |m| m.attempt), c.created_at)));
        Ok(found)
    }

    async fn running_container(&self, wanted: &Container) -> Result<String, Refused> {
        let pod = self.pod(wanted)?;
        let found = self.containers(&pod, &wanted.name).await?;
        let running = found.into_iter().find(|c| c.state() == v1::ContainerState::ContainerRunning);
        let missing = || refuse(StatusCode::NOT_FOUND, format!("container not found ({:?})", wanted.name));
        running.map(|c| c.id).ok_or_else(missing)
    }

    pub(super) async fn logs(&self, wanted: &Container, query: &Query) -> Answer {
        self.try_logs(wanted, query).await.unwrap_or_else(|refused| *refused)
    }

    async fn try_logs(&self, wanted: &Container, query: &Query) -> Result<Answer, Refused> {
        let pod = self.pod(wanted)?;
        if pod.spec.container(&wanted.name).is_none() {
            let text = format!("container {:?} not found in pod {:?}\n", wanted.name, wanted.pod);
            return Err(refuse(StatusCode::NOT_FOUND, text));
        }
        let options = log_options(query, self.deps.env.clock.now())?;
        // Before the look at the container: an end in between is not missed.
        let events = self.deps.runtime.events();
        let container = self.logged_container(&pod, wanted, query.flag("previous")).await?;
        let status =
            self.deps.runtime.container_status(&container.id).await.map_err(|e| runtime_error(&e))?;
        let running = status.state() == v1::ContainerState::ContainerRunning;
        let follow = (query.flag("follow") && running).then(|| Follow {
            runtime: Arc::clone(&self.deps.runtime),
            container_id: container.id.clone(),
            events,
        });
        match LogReader::open(status.log_path.clone().into(), options, follow) {
            Ok(reader) => Ok(answer::log(reader)),
            Err(error) => {
                let text = format!("failed to open log file {:?}: {error}", status.log_path);
                Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, text))
            }
        }
    }

    /// The container whose log is wanted, or why there is none yet, in upstream's words.
    async fn logged_container(
        &self,
        pod: &Pod,
        wanted: &Container,
        previous: bool,
    ) -> Result<v1::Container, Refused> {
        let (container, pod_name) = (&wanted.name, &wanted.pod);
        let mut found = self.containers(pod, container).await?.into_iter();
        if previous {
            return found.nth(1).ok_or_else(|| {
                bad_request(format!(
                    "previous terminated container {container:?} in pod {pod_name:?} not found"
                ))
            });
        }
        // One that was made and has not been started has nothing to tell; the one before it may have.
        let started = |c: &v1::Container| c.state() != v1::ContainerState::ContainerCreated;
        if let Some(found) = found.find(started) {
            return Ok(found);
        }
        let status = pod.status.container(container);
        let reason = status.and_then(|s| s.state.waiting.as_ref()).map(|w| w.reason.as_str());
        Err(bad_request(match reason {
            Some("ErrImagePull") => {
                format!(
                    "container {container:?} in pod {pod_name:?} is waiting to start: image can't be pulled"
                )
            }
            Some("ImagePullBackOff") => format!(
                "container {container:?} in pod {pod_name:?} is waiting to start: trying and failing to pull image"
            ),
            Some(reason) if !reason.is_empty() => {
                format!("container {container:?} in pod {pod_name:?} is waiting to start: {reason}")
            }
            _ => format!("container {container:?} in pod {pod_name:?} is not available"),
        }))
    }

    pub(super) async fn exec(&self, wanted: &Container, query: &Query, request: Request<Incoming>) -> Answer {
        self.try_exec(wanted, query, request).await.unwrap_or_else(|refused| *refused)
    }

    async fn try_exec(
        &self,
        wanted: &Container,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Answer, Refused> {
        let streams = stream::requested_streams(query).map_err(bad_request)?;
        let upgrade = stream::requested_upgrade(request.headers(), false).map_err(bad_request)?;
        let id = self.running_container(wanted).await?;
        let url = self.deps.runtime.exec_url(stream::exec_request(&id, query.all("command"), streams)).await;
        let url = url.map_err(|e| runtime_error(&e))?;
        let purpose = stream::Purpose::Command(streams);
        Ok(stream::connect(&self.deps.tasks, request, upgrade, &url, purpose).await)
    }

    pub(super) async fn attach(
        &self,
        wanted: &Container,
        query: &Query,
        request: Request<Incoming>,
    ) -> Answer {
        self.try_attach(wanted, query, request).await.unwrap_or_else(|refused| *refused)
    }

    async fn try_attach(
        &self,
        wanted: &Container,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Answer, Refused> {
        let streams = stream::requested_streams(query).map_err(bad_request)?;
        let upgrade = stream::requested_upgrade(request.headers(), false).map_err(bad_request)?;
        let id = self.running_container(wanted).await?;
        let url = self.deps.runtime.attach_url(stream::attach_request(&id, streams)).await;
        let url = url.map_err(|e| runtime_error(&e))?;
        let purpose = stream::Purpose::Command(streams);
        Ok(stream::connect(&self.deps.tasks, request, upgrade, &url, purpose).await)
    }

    pub(super) async fn port_forward(
        &self,
        wanted: &Container,
        query: &Query,
        request: Request<Incoming>,
    ) -> Answer {
        self.try_port_forward(wanted, query, request).await.unwrap_or_else(|refused| *refused)
    }

    async fn try_port_forward(
        &self,
        wanted: &Container,
        query: &Query,
        request: Request<Incoming>,
    ) -> Result<Answer, Refused> {
        let upgrade = stream::requested_upgrade(request.headers(), true).map_err(bad_request)?;
        let ports = stream::requested_ports(query, &upgrade).map_err(bad_request)?;
        let pod = self.pod(wanted)?;
        let uid = [(labels::POD_UID, pod.metadata.uid.as_str())];
        let sandboxes = self.deps.runtime.list_sandboxes(&uid).await.map_err(|e| runtime_error(&e))?;
        let ready = sandboxes.into_iter().find(|s| s.state() == v1::PodSandboxState::SandboxReady);
        let missing = || {
            refuse(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("failed to find sandbox for pod {:?}", wanted.pod),
            )
        };
        let pod_sandbox_id = ready.ok_or_else(missing)?.id;
        let port = ports.iter().copied().map(i32::from).collect();
        let asked = v1::PortForwardRequest { pod_sandbox_id, port };
        let url = self.deps.runtime.port_forward_url(asked).await.map_err(|e| runtime_error(&e))?;
        Ok(stream::connect(&self.deps.tasks, request, upgrade, &url, stream::Purpose::PortForward(ports))
            .await)
    }

    /// `/run`: a command to its end, and everything that it printed.
    pub(super) async fn run_command(&self, wanted: &Container, query: &Query) -> Answer {
        let ran = async {
            let id = self.running_container(wanted).await?;
            let command: Vec<String> =
                query.get("cmd").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            let output = self.deps.runtime.exec_sync(&id, &command, std::time::Duration::ZERO).await;
            output.map_err(|e| runtime_error(&e))
        };
        match ran.await {
            Ok(output) => {
                let all = [output.stdout, output.stderr].concat();
                answer::whole(StatusCode::OK, "text/plain; charset=utf-8", all)
            }
            Err(refused) => *refused,
        }
    }
}
