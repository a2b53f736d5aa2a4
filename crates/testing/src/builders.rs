//! Objects in the fewest words: `pod("a").cpu("500m").on("n1").build()`.
//!
//! Each builder starts from what the server demands and nothing more; defaults are the server's.

use serde_json::{Value, json};

/// An object under construction.
#[derive(Clone, Debug)]
pub struct Builder {
    object: Value,
    /// Where the pod's specification is in it.
    spec: &'static str,
}

/// A pod with one container `c`.
pub fn pod(name: &str) -> Builder {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "app:v1"}]},
    });
    Builder { object, spec: "/spec" }
}

/// A Deployment of one pod `c` whose pods are labelled `app=NAME`.
pub fn deployment(name: &str) -> Builder {
    let labels = json!({"app": name});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "app:v1"}]},
            },
        },
    });
    Builder { object, spec: "/spec/template/spec" }
}

/// A Service in front of the pods labelled `app=NAME`.
pub fn service(name: &str) -> Builder {
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    Builder { object, spec: "/spec" }
}

pub fn config_map(name: &str, data: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

impl Builder {
    pub fn build(self) -> Value {
        self.object
    }

    /// Sets the field at a JSON pointer, making the objects on the way.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let mut at = &mut self.object;
        for part in pointer.split('/').skip(1) {
            at = match part.parse::<usize>() {
                Ok(index) if at.is_array() => &mut at[index],
                _ => &mut at[part.replace("~1", "/").replace("~0", "~").as_str()],
            };
        }
        *at = value;
        self
    }

    fn set_in_pod(self, pointer: &str, value: Value) -> Self {
        let full = format!("{}{pointer}", self.spec);
        self.set(&full, value)
    }

    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.object["metadata"]["labels"][key] = value.into();
        self
    }

    #[must_use]
    pub fn image(self, image: &str) -> Self {
        self.set_in_pod("/containers/0/image", image.into())
    }

    /// Requests of CPU, such as `500m`.
    #[must_use]
    pub fn cpu(self, quantity: &str) -> Self {
        self.set_in_pod("/containers/0/resources/requests/cpu", quantity.into())
    }

    #[must_use]
    pub fn memory(self, quantity: &str) -> Self {
        self.set_in_pod("/containers/0/resources/requests/memory", quantity.into())
    }

    /// Binds the pod without a scheduler.
    #[must_use]
    pub fn on(self, node: &str) -> Self {
        self.set_in_pod("/nodeName", node.into())
    }

    #[must_use]
    pub fn grace(self, seconds: i64) -> Self {
        self.set_in_pod("/terminationGracePeriodSeconds", seconds.into())
    }

    #[must_use]
    pub fn replicas(mut self, n: u32) -> Self {
        self.object["spec"]["replicas"] = n.into();
        self
    }

    /// A Deployment's bounds while it rolls.
    #[must_use]
    pub fn rolling(mut self, max_surge: u32, max_unavailable: u32) -> Self {
        self.object["spec"]["strategy"] = json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": max_surge, "maxUnavailable": max_unavailable},
        });
        self
    }
}

/// The merge patch that gives a Deployment's first container another image.
pub fn image_patch(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_land_where_they_belong() {
        let made = pod("a").cpu("500m").on("n1").label("x", "y").build();
        assert_eq!(made["spec"]["containers"][0]["resources"]["requests"]["cpu"], "500m");
        assert_eq!(
            (&made["spec"]["nodeName"], &made["metadata"]["labels"]["x"]),
            (&json!("n1"), &json!("y"))
        );
        let made = deployment("web").image("app:v2").replicas(3).rolling(1, 0).build();
        assert_eq!(made["spec"]["template"]["spec"]["containers"][0]["image"], "app:v2");
        assert_eq!(made["spec"]["strategy"]["rollingUpdate"]["maxSurge"], 1);
    }
}
