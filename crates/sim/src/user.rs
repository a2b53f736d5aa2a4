//! The user: rolls a Deployment out, and writes ConfigMaps while remembering every answer.
//!
//! A write whose answer was lost is settled by reading: what is read then counts as acknowledged too, for a linearizable
//! read must not be taken back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, DeleteParams, Error, PartialObject, Patch, ResourceType, resources};
use env::Rng;
use env::rng::SeededRng;
use parking_lot::Mutex;
use serde_json::{Value, json};
use testing::builders::{config_map, deployment, image_patch};

use crate::monitor::Monitor;

const NAMESPACE: &str = "default";
pub const DEPLOYMENT: &str = "web";
/// ConfigMaps that are written.
const N_MAPS: u64 = 4;
/// Writes of them between two steps of the rollout.
const WRITES: u64 = 4;
/// Between two attempts, in milliseconds.
const RETRY_MAX: u64 = 500;
/// Between two steps of the rollout, in milliseconds.
const STEP_MAX: u64 = 8_000;

/// What the Deployment must look like in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub image: String,
    pub replicas: i64,
}

/// A ConfigMap as last acknowledged or read: its value and revision; `None`: it does not exist.
type Known = Option<(String, u64)>;

/// What is done to the Deployment.
enum Step {
    Create(Value),
    Patch(Patch),
}

/// See the module. Clones are the same user.
#[derive(Clone, Debug)]
pub struct User(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    rng: SeededRng,
    monitor: Monitor,
    maps: Mutex<BTreeMap<String, Known>>,
    wanted: Mutex<Wanted>,
    done: Mutex<bool>,
}

impl User {
    pub fn new(seed: u64, client: Client, monitor: Monitor) -> Self {
        Self(Arc::new(Inner {
            client,
            rng: SeededRng::new(seed ^ 0x05e7),
            monitor,
            maps: Mutex::default(),
            wanted: Mutex::default(),
            done: Mutex::default(),
        }))
    }

    pub fn wanted(&self) -> Wanted {
        self.0.wanted.lock().clone()
    }

    pub fn is_done(&self) -> bool {
        *self.0.done.lock()
    }

    async fn pause(&self, max_millis: u64) {
        tokio::time::sleep(Duration::from_millis(1 + self.0.rng.below(max_millis))).await;
    }

    /// The whole story.
    pub async fn run(self) {
        let surge = 1 + u32::try_from(self.0.rng.below(2)).unwrap_or(0);
        let unavailable = u32::try_from(self.0.rng.below(2)).unwrap_or(0);
        let made = deployment(DEPLOYMENT).replicas(3).rolling(surge, unavailable).grace(2).build();
        self.write_maps().await;
        self.want("app:v1", 3);
        self.until_done(&Step::Create(made)).await;
        for (image, replicas) in [("app:v2", 3), ("app:v2", 5), ("app:v1", 5)] {
            self.pause(STEP_MAX).await;
            self.write_maps().await;
            if self.0.rng.below(2) == 0 {
                self.delete_a_pod().await;
            }
            self.want(image, replicas);
            let mut patch = image_patch(image);
            patch["spec"]["replicas"] = replicas.into();
            self.until_done(&Step::Patch(Patch::Strategic(patch))).await;
        }
        *self.0.done.lock() = true;
    }

    fn want(&self, image: &str, replicas: i64) {
        *self.0.wanted.lock() = Wanted { image: image.into(), replicas };
    }

    async fn attempt_step(&self, step: &Step) -> Result<(), Error> {
        const TYPE: ResourceType = resources::DEPLOYMENTS;
        let result: Result<Value, Error> = match step {
            Step::Create(object) => self.0.client.create(&TYPE, NAMESPACE, object).await,
            Step::Patch(patch) => self.0.client.patch(&TYPE, NAMESPACE, DEPLOYMENT, "", patch).await,
        };
        match result {
            Err(error) if !error.is_already_exists() => Err(error),
            _ => Ok(()),
        }
    }

    /// Repeats a step, which may be repeated, until it is acknowledged.
    async fn until_done(&self, step: &Step) {
        while let Err(error) = self.attempt_step(step).await {
            if !is_uncertain(&error) {
                self.0.monitor.violate(format!("the user was refused: {error}"));
                return;
            }
            self.pause(RETRY_MAX).await;
        }
    }

    async fn delete_a_pod(&self) {
        let pods: Vec<_> = self.0.monitor.pods().into_iter().filter(|p| p.is_active()).collect();
        if pods.is_empty() {
            return;
        }
        let chosen = usize::try_from(self.0.rng.below(pods.len() as u64)).expect("an index is small");
        let meta = &pods[chosen].metadata;
        // Whether it happened does not matter.
        let _ = self
            .0
            .client
            .delete(&resources::PODS, NAMESPACE, &meta.name, &DeleteParams::uid(&meta.uid))
            .await;
    }

    async fn write_maps(&self) {
        for _ in 0..WRITES {
            let name = format!("map-{}", self.0.rng.below(N_MAPS));
            let known = self.0.maps.lock().get(&name).cloned().flatten();
            let value = self.0.rng.below(1000).to_string();
            let new = if known.is_some() && self.0.rng.below(4) == 0 { None } else { Some(value) };
            let known = self.write_map(&name, known, new).await;
            self.0.maps.lock().insert(name, known);
        }
    }

    /// Brings a ConfigMap from `known` to `new`, and returns what it is then.
    async fn write_map(&self, name: &str, mut known: Known, new: Option<String>) -> Known {
        loop {
            let error = match self.attempt(name, &known, new.as_deref()).await {
                Ok(written) => {
                    // A write that changes nothing takes no revision.
                    let grew = match (&known, &written) {
                        (Some((old, before)), Some((new, after))) => {
                            after > before || (new == old && after == before)
                        }
                        _ => true,
                    };
                    if !grew {
                        self.0
                            .monitor
                            .violate(format!("{name}: {written:?} was acknowledged after {known:?}"));
                    }
                    return written;
                }
                Err(error) => error,
            };
            if !is_uncertain(&error) {
                self.0.monitor.violate(format!("{name}, known as {known:?}, to {new:?}: {error}"));
                return self.read(name).await;
            }
            self.pause(RETRY_MAX).await;
            let found = self.read(name).await;
            let value = found.as_ref().map(|(value, _)| value.clone());
            if value == new {
                return found;
            }
            if found != known {
                self.0
                    .monitor
                    .violate(format!("{name} is {found:?}; it was {known:?} and {new:?} was tried"));
            }
            known = found;
        }
    }

    async fn attempt(&self, name: &str, known: &Known, new: Option<&str>) -> Result<Known, Error> {
        const TYPE: ResourceType = resources::CONFIG_MAPS;
        let client = &self.0.client;
        match (known, new) {
            (None, None) => Ok(None),
            (None, Some(value)) => {
                let made: PartialObject =
                    client.create(&TYPE, NAMESPACE, &config_map(name, &[("value", value)])).await?;
                Ok(Some((value.to_owned(), made.metadata.revision())))
            }
            (Some((_, revision)), Some(value)) => {
                let mut object = config_map(name, &[("value", value)]);
                object["metadata"]["resourceVersion"] = revision.to_string().into();
                let changed: PartialObject = client.replace(&TYPE, NAMESPACE, name, "", &object).await?;
                Ok(Some((value.to_owned(), changed.metadata.revision())))
            }
            (Some((_, revision)), None) => {
                let params =
                    DeleteParams { resource_version: Some(revision.to_string()), ..DeleteParams::default() };
                client.delete(&TYPE, NAMESPACE, name, &params).await?;
                Ok(None)
            }
        }
    }

    /// What a ConfigMap is now; asks until there is an answer.
    async fn read(&self, name: &str) -> Known {
        loop {
            match self.0.client.get::<Value>(&resources::CONFIG_MAPS, NAMESPACE, name).await {
                Ok(found) => {
                    let revision = found["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse().ok());
                    let value = found["data"]["value"].as_str().unwrap_or_default();
                    return Some((value.to_owned(), revision.unwrap_or(0)));
                }
                Err(error) if error.is_not_found() => return None,
                Err(_) => self.pause(RETRY_MAX).await,
            }
        }
    }

    /// Reads everything back.
    pub async fn check(&self) {
        let maps = self.0.maps.lock().clone();
        for (name, known) in maps {
            let found = self.read(&name).await;
            if found != known {
                self.0.monitor.violate(format!("{name} is {found:?}; acknowledged was {known:?}"));
            }
        }
        let expected = json!(self.wanted().replicas);
        match self.0.client.get::<Value>(&resources::DEPLOYMENTS, NAMESPACE, DEPLOYMENT).await {
            Ok(found) if found["spec"]["replicas"] == expected => {}
            other => self.0.monitor.violate(format!("the Deployment is {other:?}, and not of {expected}")),
        }
    }
}

/// The answer was lost or says nothing of what happened.
fn is_uncertain(error: &Error) -> bool {
    match error.code() {
        Some(code) => code >= 500 || code == 429,
        None => true,
    }
}
