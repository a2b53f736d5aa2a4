//! ServiceAccount: every pod runs as an account that exists, with its token, the cluster's root certificate and the
//! namespace mounted, and with its image pull secrets.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::{forbidden, is_main, is_mirror, push};
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::value;
use crate::values::text;

const DEFAULT: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// The account `default` is made by a controller when its namespace is: a pod that comes right after waits for it this
/// often, this long, as upstream.
const DEFAULT_ATTEMPTS: usize = 10;
const DEFAULT_RETRY: Duration = Duration::from_millis(100);
/// One hour and a little: the kubelet asks for this, and the token issuer knows it (see `special::token_request`).
const TOKEN_SECS: i64 = 3607;

#[derive(Debug)]
pub struct ServiceAccount {
    objects: Arc<dyn Objects>,
    rng: Arc<dyn env::Rng>,
}

impl ServiceAccount {
    pub fn new(objects: Arc<dyn Objects>, rng: Arc<dyn env::Rng>) -> Self {
        Self { objects, rng }
    }

    async fn find(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let attempts = if name == DEFAULT { DEFAULT_ATTEMPTS } else { 1 };
        for attempt in 0..attempts {
            if attempt > 0 {
                tokio::time::sleep(DEFAULT_RETRY).await;
            }
            if let Some(account) = self.objects.get("", "serviceaccounts", namespace, name) {
                return Some(account);
            }
        }
        None
    }

    fn mount_token(&self, pod: &mut Value) {
        let has = pod
            .array_at(&["spec", "volumes"])
            .iter()
            .map(|v| text(v, &["name"]))
            .find(|name| name.starts_with(VOLUME_PREFIX))
            .map(String::from);
        let name = has.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", self.rng.suffix(5)));
        let mut needed = false;
        for list in ["initContainers", "containers"] {
            let containers = pod.at_mut(&["spec", list]).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                // A mount of the user's own at this path wins.
                let taken = container
                    .array_at(&["volumeMounts"])
                    .iter()
                    .any(|m| text(m, &["mountPath"]) == MOUNT_PATH);
                if !taken {
                    let mount =
                        value!({ "name": (name.as_str()), "readOnly": true, "mountPath": (MOUNT_PATH) });
                    push(container, &["volumeMounts"], mount);
                    needed = true;
                }
            }
        }
        if needed && has.is_none() {
            push(pod, &["spec", "volumes"], token_volume(&name));
        }
    }
}

fn token_volume(name: &str) -> Value {
    value!({
        "name": (name),
        "projected": {
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": (TOKEN_SECS), "path": "token" } },
                { "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{ "key": "ca.crt", "path": "ca.crt" }],
                } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
            "defaultMode": 420,
        },
    })
}

impl Admission for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, "", "pods", &[Operation::Create])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if is_mirror(request.object) {
                return Ok(());
            }
            let mut name = text(request.object, &["spec", "serviceAccountName"]).to_owned();
            if name.is_empty() {
                name = DEFAULT.into();
                request.object.set_at(&["spec", "serviceAccountName"], DEFAULT);
            }
            // The deprecated field always says the same.
            request.object.set_at(&["spec", "serviceAccount"], name.as_str());
            let Some(account) = self.find(request.namespace, &name).await else {
                let why = format!(
                    "error looking up service account {}/{name}: serviceaccount {name:?} not found",
                    request.namespace
                );
                return Err(forbidden(request, &why));
            };
            let mounts = request
                .object
                .bool_at(&["spec", "automountServiceAccountToken"])
                .or_else(|| account.bool_at(&["automountServiceAccountToken"]))
                .unwrap_or(true);
            if mounts {
                self.mount_token(request.object);
            }
            let secrets = account.array_at(&["imagePullSecrets"]);
            if request.object.array_at(&["spec", "imagePullSecrets"]).is_empty() && !secrets.is_empty() {
                request.object.set_at(&["spec", "imagePullSecrets"], secrets.to_vec());
            }
            Ok(())
        })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = match is_mirror(request.object) {
            true => mirror_problem(request.object).map_or(Ok(()), |why| Err(forbidden(request, why))),
            false => Ok(()),
        };
        Box::pin(async move { outcome })
    }
}

fn mirror_problem(pod: &Value) -> Option<&'static str> {
    if !text(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Some("a mirror pod may not reference service accounts");
    }
    for volume in pod.array_at(&["spec", "volumes"]) {
        let sources = volume.array_at(&["projected", "sources"]);
        if sources.iter().any(|s| s.get("serviceAccountToken").is_some()) {
            return Some("a mirror pod may not use ServiceAccountToken volume projections");
        }
        if volume.get("secret").is_some() {
            return Some("a mirror pod may not reference secrets");
        }
    }
    None
}
