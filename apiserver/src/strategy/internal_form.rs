//! How upstream's messages show structured values: as the JSON of its internal Go types, which have no JSON names, so
//! every field appears under its Go name, empty ones too, in the order of the internal struct.
//!
//! The shape comes from the tables of the kinds; only where internal types differ from the published ones (a pod's host
//! settings stand in its security context, some orders) is it said here. Used for messages alone, so it may be slow.

use apimachinery::schema::{Scalar, Type, TypeKind};
use apimachinery::{Object, Value};

/// Go names that are not the JSON name with a capital.
const GO_NAMES: [(&str, &str); 38] = [
    ("apiGroup", "APIGroup"),
    ("apiVersion", "APIVersion"),
    ("awsElasticBlockStore", "AWSElasticBlockStore"),
    ("cephfs", "CephFS"),
    ("chapAuthDiscovery", "DiscoveryCHAPAuth"),
    ("chapAuthSession", "SessionCHAPAuth"),
    ("csi", "CSI"),
    ("diskURI", "DataDiskURI"),
    ("dnsConfig", "DNSConfig"),
    ("dnsPolicy", "DNSPolicy"),
    ("fc", "FC"),
    ("fsGroup", "FSGroup"),
    ("fsGroupChangePolicy", "FSGroupChangePolicy"),
    ("fsType", "FSType"),
    ("gcePersistentDisk", "GCEPersistentDisk"),
    ("gmsaCredentialSpec", "GMSACredentialSpec"),
    ("gmsaCredentialSpecName", "GMSACredentialSpecName"),
    ("grpc", "GRPC"),
    ("httpGet", "HTTPGet"),
    ("httpHeaders", "HTTPHeaders"),
    ("ip", "IP"),
    ("iqn", "IQN"),
    ("iscsi", "ISCSI"),
    ("iscsiInterface", "ISCSIInterface"),
    ("nfs", "NFS"),
    ("os", "OS"),
    ("pdID", "PdID"),
    ("pdName", "PDName"),
    ("podIP", "PodIP"),
    ("rbd", "RBD"),
    ("scaleIO", "ScaleIO"),
    ("seLinuxChangePolicy", "SELinuxChangePolicy"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("storageos", "StorageOS"),
    ("tcpSocket", "TCPSocket"),
    ("tty", "TTY"),
    ("uid", "UID"),
    ("wwids", "WWIDs"),
];

/// Orders of internal structs that differ from the published ones; fields that are not named follow.
const ORDERS: [(&str, &str); 4] = [
    (
        "PodSpec",
        "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds \
         activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName automountServiceAccountToken nodeName \
         securityContext imagePullSecrets hostname subdomain setHostnameAsFQDN affinity schedulerName tolerations \
         hostAliases priorityClassName priority preemptionPolicy dnsConfig readinessGates runtimeClassName overhead \
         enableServiceLinks topologySpreadConstraints os schedulingGates resourceClaims resources hostnameOverride \
         schedulingGroup",
    ),
    (
        "PodSecurityContext",
        "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy \
         fsGroup fsGroupChangePolicy sysctls seccompProfile appArmorProfile seLinuxChangePolicy",
    ),
    (
        "Volume",
        "name hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs \
         persistentVolumeClaim rbd quobyte flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap \
         vsphereVolume azureDisk photonPersistentDisk projected portworxVolume scaleIO storageos csi ephemeral image",
    ),
    ("PodDisruptionBudgetSpec", "minAvailable selector maxUnavailable unhealthyPodEvictionPolicy"),
];

/// Settings of a pod's spec that stand in the internal security context.
const HOST_FIELDS: [&str; 5] = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];
/// Published fields that the internal type does not have.
const DROPPED: [(&str, &str); 1] = [("PodSpec", "serviceAccount")];

/// The internal form of a value of a type of the core group, by the type's short name.
pub(crate) fn of(kind: &str, value: Option<&Value>) -> Value {
    of_type(&format!("io.k8s.api.core.v1.{kind}"), value)
}

/// As [`of`], for a type by its full name.
pub(crate) fn of_type(name: &str, value: Option<&Value>) -> Value {
    match kinds::Registry::builtin().type_named(name) {
        Some(ty) => convert(&ty, value.unwrap_or(&Value::NULL)),
        None => value.cloned().unwrap_or_default(),
    }
}

/// The internal form as one line of JSON.
pub(crate) fn text_of(kind: &str, value: Option<&Value>) -> String {
    of(kind, value).to_json_string()
}

/// The members of `fields` alone, in that order.
pub(crate) fn of_fields(type_name: &str, value: Option<&Value>, fields: &[&str]) -> Value {
    let whole = of_type(type_name, value);
    let mut part = Object::new();
    for field in fields {
        let name = go_name(field);
        if let Some(value) = whole.get(&name) {
            part.insert(&name, value.clone());
        }
    }
    part.into()
}

fn go_name(json: &str) -> String {
    if let Some((_, go)) = GO_NAMES.iter().find(|(name, _)| *name == json) {
        return (*go).into();
    }
    let mut chars = json.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

fn convert(ty: &Type, value: &Value) -> Value {
    let short = ty.name.rsplit('.').next().unwrap_or_default();
    // Types of the machinery have JSON names inside too.
    if ty.name.starts_with("io.k8s.apimachinery") {
        return value.clone();
    }
    match &ty.kind {
        TypeKind::Struct(of) => {
            let mut shown = Object::new();
            if short == "PodTemplateSpec" {
                // Metadata is embedded, and has JSON names.
                let metadata = value.get("metadata").and_then(Value::as_object);
                for (key, value) in metadata.into_iter().flat_map(Object::iter) {
                    shown.insert(key, value.clone());
                }
            }
            for name in field_order(short, of) {
                if short == "PodTemplateSpec" && name == "metadata" || DROPPED.contains(&(short, name)) {
                    continue;
                }
                if short == "PodSpec" && name == "securityContext" {
                    shown.insert("SecurityContext", pod_security_context(of, value));
                    continue;
                }
                let Some(field) = of.field(name) else { continue };
                let inner = value.get(name).unwrap_or(&Value::NULL);
                let form = if inner.is_null() && field.pointer {
                    Value::NULL
                } else {
                    convert(field.ty.get(), inner)
                };
                shown.insert(&go_name(name), form);
            }
            shown.into()
        }
        TypeKind::List(list) => match value.as_array() {
            Some(items) => {
                items.iter().map(|item| convert(list.element.get(), item)).collect::<Vec<_>>().into()
            }
            None => Value::NULL,
        },
        TypeKind::Map { value: element, .. } => match value.as_object() {
            Some(map) => map.sorted().into_iter().map(|(k, v)| (k, convert(element.get(), v))).collect(),
            None => Value::NULL,
        },
        TypeKind::Scalar(scalar) if value.is_null() => zero(*scalar),
        _ => value.clone(),
    }
}

/// The internal security context: the host settings of the spec, then the published one's fields.
fn pod_security_context(spec: &apimachinery::schema::Struct, value: &Value) -> Value {
    let mut shown = Object::new();
    for name in HOST_FIELDS {
        let inner = value.get(name).cloned().unwrap_or_default();
        let pointer = spec.field(name).is_some_and(|f| f.pointer);
        shown.insert(&go_name(name), if inner.is_null() && !pointer { Value::from(false) } else { inner });
    }
    let published = of("PodSecurityContext", value.get("securityContext"));
    for (key, value) in published.as_object().into_iter().flat_map(Object::iter) {
        shown.insert(key, value.clone());
    }
    shown.into()
}

fn field_order<'a>(short: &str, of: &'a apimachinery::schema::Struct) -> Vec<&'a str> {
    let published: Vec<&str> = of.fields.iter().map(|f| f.name.as_str()).collect();
    let Some((_, order)) = ORDERS.iter().find(|(name, _)| *name == short) else { return published };
    let mut ordered: Vec<&str> = order
        .split_ascii_whitespace()
        .filter_map(|name| published.iter().find(|p| **p == name).copied())
        .collect();
    let skip = |name: &str| short == "PodSpec" && HOST_FIELDS.contains(&name);
    ordered
        .extend(published.iter().filter(|p| !order.split_ascii_whitespace().any(|o| o == **p) && !skip(p)));
    ordered
}

fn zero(scalar: Scalar) -> Value {
    match scalar {
        Scalar::String | Scalar::Duration => "".into(),
        Scalar::Bool => false.into(),
        Scalar::Int32 | Scalar::Int64 | Scalar::Float64 | Scalar::IntOrString => 0.into(),
        Scalar::Quantity => "0".into(),
        Scalar::Bytes | Scalar::Time | Scalar::MicroTime | Scalar::FieldsV1 => Value::NULL,
    }
}

/// Go's `json.MarshalIndent` with one blank.
pub(crate) fn indented(value: &Value) -> String {
    let mut out = String::new();
    push_indented(&mut out, value, 0);
    out
}

fn push_indented(out: &mut String, value: &Value, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', depth));
    };
    if let Some(object) = value.as_object().filter(|o| !o.is_empty()) {
        out.push('{');
        for (at, (key, value)) in object.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            line(out, depth + 1);
            out.push_str(&Value::from(key).to_json_string());
            out.push_str(": ");
            push_indented(out, value, depth + 1);
        }
        line(out, depth);
        out.push('}');
    } else if let Some(array) = value.as_array().filter(|a| !a.is_empty()) {
        out.push('[');
        for (at, value) in array.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            line(out, depth + 1);
            push_indented(out, value, depth + 1);
        }
        line(out, depth);
        out.push(']');
    } else {
        out.push_str(&value.to_json_string());
    }
}
