//! Print columns: how an object of each kind looks as a row of a `Table`. Definitions are data (`tables/columns`); what a
//! cell shows is a function here, and every kind without one has its name and its time of creation, as upstream.
//!
//! Custom resources' columns come from their definitions.

use std::sync::Arc;

use apimachinery::{Object, Value};

use crate::blob::Blob;
use crate::custom::Version;
use crate::scalar;

mod cluster;
mod config;
mod extensions;
mod network;
mod pods;
mod storage;
mod workloads;

/// `metav1.TableColumnDefinition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// `string`, `integer`, `boolean` or `date`.
    pub kind: String,
    /// `name` for the column that identifies the object.
    pub format: String,
    pub description: String,
    /// Over 0 is shown by wide output only.
    pub priority: i64,
}

/// The cells of one object and the row's conditions, which are empty for most.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub cells: Vec<Value>,
    pub conditions: Vec<Value>,
}

/// Makes the cells of an object, given the time in seconds since 1970.
type RowFn = fn(&Value, i64) -> Row;

/// The columns of one resource.
#[derive(Clone, Debug)]
pub struct Columns {
    pub columns: Vec<Column>,
    row: Maker,
}

/// What makes rows.
#[derive(Clone, Debug)]
enum Maker {
    BuiltIn(RowFn),
    Custom(Arc<Version>),
}

impl Columns {
    /// The columns of a built-in resource in any of its versions.
    pub fn of(group: &str, plural: &str) -> Self {
        match definitions(group, plural) {
            Some(columns) => Self { columns, row: Maker::BuiltIn(row_of(group, plural)) },
            None => Self::default(),
        }
    }

    /// The columns of a custom resource: its name, and what its definition says.
    pub fn custom(version: &Arc<Version>) -> Self {
        let mut columns = Self::default().columns;
        columns.truncate(1);
        columns.extend(version.columns.iter().map(|c| c.column.clone()));
        Self { columns, row: Maker::Custom(Arc::clone(version)) }
    }

    /// The row of an object as it is served; `now` is in seconds since 1970.
    pub fn row(&self, object: &Value, now: i64) -> Row {
        match &self.row {
            Maker::BuiltIn(row) => row(object, now),
            Maker::Custom(version) => crate::custom::row(&version.columns, object, now),
        }
    }
}

/// Name and time of creation.
impl Default for Columns {
    fn default() -> Self {
        let columns =
            definitions("", "limitranges").expect("the tables have a kind without columns of its own");
        Self { columns, row: Maker::BuiltIn(plain) }
    }
}

/// Reads a resource's definitions from the tables.
fn definitions(group: &str, plural: &str) -> Option<Vec<Column>> {
    let mut reader = Blob::packed().columns();
    for _ in 0..reader.number() {
        let found = reader.string() == group;
        let found = reader.string() == plural && found;
        let columns: Vec<_> = (0..reader.number())
            .map(|_| [reader.string(), reader.string(), reader.string(), reader.string(), reader.string()])
            .collect();
        if found {
            return Some(columns.into_iter().map(column).collect());
        }
    }
    None
}

fn column([name, kind, format, priority, description]: [&'static str; 5]) -> Column {
    let description = Value::from_json(description.as_bytes()).expect("the importer quotes descriptions");
    Column {
        name: name.into(),
        kind: kind.into(),
        format: format.into(),
        description: description.into_string().unwrap_or_default(),
        priority: priority.parse().expect("priorities are numbers"),
    }
}

fn row_of(group: &str, plural: &str) -> RowFn {
    match (group, plural) {
        ("", "pods") => pods::row,
        ("", "podtemplates") => pods::template,
        ("", "services") => network::service,
        ("", "endpoints") => network::endpoints,
        ("", "nodes") => cluster::node,
        ("", "namespaces") => cluster::namespace,
        ("" | "events.k8s.io", "events") => cluster::event,
        ("", "componentstatuses") => cluster::component_status,
        ("", "configmaps") => config::config_map,
        ("", "secrets") => config::secret,
        ("", "serviceaccounts") => name_and_age,
        ("", "resourcequotas") => config::resource_quota,
        ("", "replicationcontrollers") => workloads::replication_controller,
        ("", "persistentvolumes") => storage::volume,
        ("", "persistentvolumeclaims") => storage::claim,
        ("apps", "deployments") => workloads::deployment,
        ("apps", "replicasets") => workloads::replica_set,
        ("apps", "statefulsets") => workloads::stateful_set,
        ("apps", "daemonsets") => workloads::daemon_set,
        ("apps", "controllerrevisions") => workloads::controller_revision,
        ("batch", "jobs") => workloads::job,
        ("batch", "cronjobs") => workloads::cron_job,
        ("autoscaling", "horizontalpodautoscalers") => workloads::autoscaler,
        ("policy", "poddisruptionbudgets") => workloads::disruption_budget,
        ("networking.k8s.io", "ingresses") => network::ingress,
        ("networking.k8s.io", "ingressclasses") => network::ingress_class,
        ("networking.k8s.io", "networkpolicies") => network::network_policy,
        ("networking.k8s.io", "servicecidrs") => network::service_cidr,
        ("networking.k8s.io", "ipaddresses") => network::ip_address,
        ("discovery.k8s.io", "endpointslices") => network::endpoint_slice,
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => config::role_binding,
        ("storage.k8s.io", "storageclasses") => storage::class,
        ("storage.k8s.io", "csidrivers") => storage::csi_driver,
        ("storage.k8s.io", "csinodes") => storage::csi_node,
        ("storage.k8s.io", "volumeattachments") => storage::attachment,
        ("storage.k8s.io", "volumeattributesclasses") => storage::attributes_class,
        ("coordination.k8s.io", "leases") => cluster::lease,
        ("scheduling.k8s.io", "priorityclasses") => cluster::priority_class,
        ("node.k8s.io", "runtimeclasses") => cluster::runtime_class,
        ("certificates.k8s.io", "certificatesigningrequests") => cluster::signing_request,
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => cluster::flow_schema,
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => cluster::priority_level,
        ("apiregistration.k8s.io", "apiservices") => extensions::api_service,
        ("admissionregistration.k8s.io", plural) => extensions::admission(plural),
        ("resource.k8s.io", "resourceclaims") => extensions::resource_claim,
        ("resource.k8s.io", "resourceslices") => extensions::resource_slice,
        ("resource.k8s.io", "deviceclasses" | "resourceclaimtemplates") => name_and_age,
        _ => plain,
    }
}

fn plain(object: &Value, _now: i64) -> Row {
    let created = object.str_at(&["metadata", "creationTimestamp"]);
    cells([name(object), created.map_or(Value::NULL, Value::from)])
}

fn name_and_age(object: &Value, now: i64) -> Row {
    cells([name(object), age(object, now)])
}

fn cells<const N: usize>(cells: [Value; N]) -> Row {
    Row { cells: cells.into(), conditions: Vec::new() }
}

fn name(object: &Value) -> Value {
    text(object, &["metadata", "name"]).into()
}

fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    object.str_at(path).unwrap_or_default()
}

/// The text at a path, or what stands for none.
fn text_or<'a>(object: &'a Value, path: &[&str], none: &'a str) -> &'a str {
    match text(object, path) {
        "" => none,
        text => text,
    }
}

fn number(object: &Value, path: &[&str]) -> i64 {
    object.i64_at(path).unwrap_or(0)
}

fn flag(object: &Value, path: &[&str]) -> bool {
    object.bool_at(path).unwrap_or(false)
}

fn size(object: &Value, path: &[&str]) -> i64 {
    let size = match object.at(path) {
        Some(value) => {
            value.as_array().map_or_else(|| value.as_object().map_or(0, Object::len), <[Value]>::len)
        }
        None => 0,
    };
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn deleted(object: &Value) -> bool {
    object.str_at(&["metadata", "deletionTimestamp"]).is_some()
}

/// How long ago the object was made.
fn age(object: &Value, now: i64) -> Value {
    since(object, &["metadata", "creationTimestamp"], now).unwrap_or_else(|| "<unknown>".into()).into()
}

/// How long ago the time at a path was.
fn since(object: &Value, path: &[&str], now: i64) -> Option<String> {
    Some(human_duration(now - seconds(object, path)?))
}

fn seconds(object: &Value, path: &[&str]) -> Option<i64> {
    scalar::parse_time(object.str_at(path)?, false).ok().map(|moment| moment.seconds)
}

/// A duration with two units at most, the coarser the longer: `119s`, `9m59s`, `2h5m`, `7d3h`, `2y10d`.
pub fn human_duration(seconds: i64) -> String {
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match () {
        () if seconds < -1 => "<invalid>".into(),
        () if seconds < 0 => "0s".into(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 24 * 8 => two(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", hours / 24 % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}

/// `a=b,c=d` in the order of the keys, `<none>` for no labels.
fn labels(object: &Value, path: &[&str]) -> String {
    match object.at(path).and_then(Value::as_object) {
        Some(labels) if !labels.is_empty() => {
            let pairs: Vec<_> = labels
                .sorted()
                .iter()
                .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
                .collect();
            pairs.join(",")
        }
        _ => "<none>".into(),
    }
}

/// A label selector as upstream prints one: requirements in the order of their keys. `none` stands for one without any.
fn selector(object: &Value, path: &[&str], none: &str) -> String {
    let Some(selector) = object.at(path) else { return none.into() };
    let mut requirements: Vec<(String, String)> = Vec::new();
    if let Some(equal) = selector.get("matchLabels").and_then(Value::as_object) {
        for (key, value) in equal.iter() {
            requirements.push((key.to_owned(), format!("{key}={}", value.as_str().unwrap_or_default())));
        }
    }
    for expression in selector.array_at(&["matchExpressions"]) {
        let key = text(expression, &["key"]);
        let mut values: Vec<_> = expression.array_at(&["values"]).iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let requirement = match text(expression, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        };
        requirements.push((key.to_owned(), requirement));
    }
    if requirements.is_empty() {
        return none.into();
    }
    requirements.sort_by(|a, b| a.0.cmp(&b.0));
    requirements.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// The first `max` of a list, and how many more there are.
fn shortened(list: &[String], max: usize, separator: &str) -> String {
    if list.len() <= max {
        return list.join(separator);
    }
    format!("{} + {} more...", list[..max].join(separator), list.len() - max)
}

/// The status of the condition of a type: `True`, `False`, `Unknown`.
fn condition<'a>(object: &'a Value, path: &[&str], kind: &str) -> Option<&'a Value> {
    object.array_at(path).iter().find(|c| text(c, &["type"]) == kind)
}

/// Names and images of a pod spec's containers.
fn containers(spec: Option<&Value>) -> [Value; 2] {
    let list = spec.map_or(&[][..], |spec| spec.array_at(&["containers"]));
    ["name", "image"]
        .map(|key| list.iter().map(|container| text(container, &[key])).collect::<Vec<_>>().join(",").into())
}

/// Texts joined, of the elements for which there is one.
fn joined<'a>(list: &'a [Value], separator: &str, of: impl Fn(&'a Value) -> Option<&'a str>) -> String {
    list.iter().filter_map(of).collect::<Vec<_>>().join(separator)
}

/// An int-or-string as text.
fn int_or_string(object: &Value, path: &[&str], none: &str) -> String {
    match object.at(path) {
        Some(value) if !value.is_null() => match value.as_i64() {
            Some(number) => number.to_string(),
            None => value.as_str().unwrap_or_default().to_owned(),
        },
        _ => none.into(),
    }
}

#[cfg(test)]
mod tests;
