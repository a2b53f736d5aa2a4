//! Node ports: a bitmap of those in use, stored as upstream stores it (`RangeAllocation`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use apimachinery::{FieldError, Path, Status, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::{Cond, Guard, Op};

use super::cidr::band;
use super::{Services, Writes, may_have_node_ports, needs_health_check_port, needs_node_port, refuse};
use crate::seams::Objects;
use crate::value;
use crate::values::text;

const KEY: &str = "/registry/ranges/servicenodeports";
/// Tries of the repair against Services that are written at the same time.
const REPAIR_ATTEMPTS_MAX: usize = 16;
const TAKEN: &str = "provided port is already allocated";

/// The ports in use, and where they were read.
#[derive(Debug)]
pub(super) struct PortMap {
    range: RangeInclusive<u16>,
    used: BTreeSet<u16>,
    /// Read from the store at this revision; `None` when there was nothing.
    revision: Option<store::Revision>,
    changed: bool,
}

impl PortMap {
    pub(super) fn read(objects: &dyn Objects, range: &RangeInclusive<u16>) -> Self {
        let mut map = Self { range: range.clone(), used: BTreeSet::new(), revision: None, changed: false };
        let Some((bytes, revision)) = objects.raw(KEY) else { return map };
        map.revision = Some(revision);
        let Ok(stored) = Value::from_json(&bytes) else { return map };
        // A range that the configuration has changed since is read as empty: the repair fills it from the Services.
        if text(&stored, &["range"]) == map.range_text() {
            map.used = decode(text(&stored, &["data"]), *map.range.start());
        }
        map
    }

    fn range_text(&self) -> String {
        format!("{}-{}", self.range.start(), self.range.end())
    }

    pub(super) fn clear(&mut self, port: u16) {
        self.changed |= self.used.remove(&port);
    }

    /// Marks a port; `Err` says why it cannot be had. A dry run does not look at the range, as upstream's does not.
    fn take(&mut self, port: i64, dry_run: bool) -> Result<u16, String> {
        let port = u16::try_from(port).ok().filter(|p| dry_run || self.range.contains(p));
        let Some(port) = port else {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {}",
                self.range_text()
            ));
        };
        if !self.used.insert(port) {
            return Err(TAKEN.into());
        }
        self.changed = true;
        Ok(port)
    }

    /// A free port: from a random place of the dynamic band on, around it, and then from the static band.
    fn take_next(&mut self, rng: &dyn env::Rng) -> Result<u16, Status> {
        let (first, last) = (u64::from(*self.range.start()), u64::from(*self.range.end()));
        let size = last - first + 1;
        let band = band(size, 32, 16, 128);
        let dynamic = size - band;
        let start = rng.below(dynamic);
        let upper = (0..dynamic).map(|i| band + (start + i) % dynamic);
        let found = upper
            .chain(0..band)
            .filter_map(|offset| u16::try_from(first + offset).ok())
            .find(|port| !self.used.contains(port));
        let port = found.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
        self.used.insert(port);
        self.changed = true;
        Ok(port)
    }

    /// Adds the bitmap to a transaction, if it changed.
    pub(super) fn write(&self, writes: &mut Writes) {
        if !self.changed {
            return;
        }
        let cond = self.revision.map_or(Cond::Absent, Cond::ModRevision);
        let object = value!({
            "kind": "RangeAllocation",
            "apiVersion": "v1",
            "metadata": {},
            "range": (self.range_text()),
            "data": (encode(&self.used, *self.range.start())),
        });
        writes.guards.push(Guard { key: KEY.into(), cond });
        writes.ops.push(Op::Put { key: KEY.into(), value: object.to_json().into(), expiry: None });
    }
}

/// Bit `i` stands for port `first + i`; the bytes are those of a big-endian number without leading zeros.
fn encode(used: &BTreeSet<u16>, first: u16) -> String {
    let last = used.last().map_or(0, |port| usize::from(port.saturating_sub(first)));
    let mut bytes = vec![0u8; last / 8 + 1];
    for port in used.iter().filter(|p| **p >= first) {
        let bit = usize::from(port - first);
        bytes[bit / 8] |= 1 << (bit % 8);
    }
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.reverse();
    STANDARD.encode(bytes)
}

fn decode(text: &str, first: u16) -> BTreeSet<u16> {
    let mut bytes = STANDARD.decode(text).unwrap_or_default();
    bytes.reverse();
    let mut used = BTreeSet::new();
    for (at, byte) in bytes.iter().enumerate() {
        for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
            used.extend(u16::try_from(at * 8 + bit).ok().and_then(|offset| first.checked_add(offset)));
        }
    }
    used
}

/// Every port that a Service has: node ports and the health check's.
pub(super) fn used_by(service: &Value) -> BTreeSet<u16> {
    let mut used = BTreeSet::new();
    if may_have_node_ports(service) {
        let ports = service.array_at(&["spec", "ports"]).iter();
        used.extend(ports.filter_map(|p| u16::try_from(p.i64_at(&["nodePort"])?).ok()).filter(|p| *p != 0));
    }
    if needs_health_check_port(service) {
        let port = service.i64_at(&["spec", "healthCheckNodePort"]).and_then(|p| u16::try_from(p).ok());
        used.extend(port.filter(|p| *p != 0));
    }
    used
}

impl Services {
    /// Gives a Service its node ports and takes back those that it no longer has.
    pub(super) fn allocate_ports(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
        writes: &mut Writes,
    ) -> Result<(), Status> {
        let before = old.map(used_by).unwrap_or_default();
        if before.is_empty() && !may_have_node_ports(service) {
            return Ok(());
        }
        let mut map = PortMap::read(&*self.objects, &self.ranges.node_ports);
        if may_have_node_ports(service) {
            self.node_ports(service, &before, &mut map, dry_run)?;
        }
        if needs_health_check_port(service) {
            self.health_check_port(service, &before, &mut map, dry_run)?;
        }
        let now = used_by(service);
        before.difference(&now).for_each(|port| map.clear(*port));
        map.write(writes);
        Ok(())
    }

    fn node_ports(
        &self,
        service: &mut Value,
        before: &BTreeSet<u16>,
        map: &mut PortMap,
        dry_run: bool,
    ) -> Result<(), Status> {
        let automatic = needs_node_port(service);
        let mut ports = service.array_at(&["spec", "ports"]).to_vec();
        // The same port in two protocols shares a node port, unless the client says otherwise.
        let mut by_port: BTreeMap<i64, u16> = BTreeMap::new();
        for port in &ports {
            let asked = port.i64_at(&["nodePort"]).unwrap_or(0);
            if let (Some(number), Ok(asked)) = (port.i64_at(&["port"]), u16::try_from(asked))
                && asked != 0
            {
                by_port.entry(number).or_insert(asked);
            }
        }
        let mut taken: BTreeSet<i64> = BTreeSet::new();
        for (at, port) in ports.iter_mut().enumerate() {
            let asked = port.i64_at(&["nodePort"]).unwrap_or(0);
            let number = port.i64_at(&["port"]).unwrap_or(0);
            if asked != 0 {
                let own = u16::try_from(asked).is_ok_and(|p| before.contains(&p));
                if !own && taken.insert(asked) {
                    map.take(asked, dry_run).map_err(|why| {
                        let field = Path::new("spec").child("ports").index(at).child("nodePort");
                        refuse(service, FieldError::invalid(&field, asked, &why))
                    })?;
                }
            } else if automatic {
                let chosen = match by_port.get(&number) {
                    Some(shared) => *shared,
                    None => map.take_next(&*self.rng)?,
                };
                by_port.insert(number, chosen);
                taken.insert(i64::from(chosen));
                port.set_at(&["nodePort"], i64::from(chosen));
            }
        }
        if !ports.is_empty() {
            service.set_at(&["spec", "ports"], ports);
        }
        Ok(())
    }

    fn health_check_port(
        &self,
        service: &mut Value,
        before: &BTreeSet<u16>,
        map: &mut PortMap,
        dry_run: bool,
    ) -> Result<(), Status> {
        let asked = service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or(0);
        if asked == 0 {
            let port = map.take_next(&*self.rng)?;
            service.set_at(&["spec", "healthCheckNodePort"], i64::from(port));
            return Ok(());
        }
        if u16::try_from(asked).is_ok_and(|p| before.contains(&p)) {
            return Ok(());
        }
        map.take(asked, dry_run).map(|_| ()).map_err(|why| {
            Status::internal(format!("failed to allocate requested HealthCheck NodePort {asked}: {why}"))
        })
    }
}

/// Makes the stored bitmap say exactly what the Services use.
pub(super) async fn repair(
    objects: &dyn Objects,
    range: &RangeInclusive<u16>,
    wanted: &BTreeSet<u16>,
) -> Result<(), Status> {
    let wanted: BTreeSet<u16> = wanted.iter().copied().filter(|p| range.contains(p)).collect();
    for _ in 0..REPAIR_ATTEMPTS_MAX {
        let mut map = PortMap::read(objects, range);
        if map.revision.is_some() && map.used == wanted {
            return Ok(());
        }
        map.used.clone_from(&wanted);
        map.changed = true;
        let mut writes = Writes::default();
        map.write(&mut writes);
        if objects.commit_raw(writes.guards, writes.ops).await? {
            return Ok(());
        }
    }
    // Services were written all the time: they keep the bitmap right themselves.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bitmap_is_upstreams() {
        let used: BTreeSet<u16> = [30_000, 30_009].into();
        assert_eq!(encode(&used, 30_000), STANDARD.encode([0b10, 0b1]));
        assert_eq!(decode(&encode(&used, 30_000), 30_000), used);
        assert_eq!(encode(&BTreeSet::new(), 30_000), "");
        assert!(decode("", 30_000).is_empty());
    }
}
