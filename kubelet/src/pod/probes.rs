//! When probes run and what follows: startup before the others, delays, periods and thresholds, a verdict per container.
//! Pure bookkeeping; the worker drives the probes as futures of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::observed::{Instance, Observed, RunState};
use super::plan::Health;
use crate::api::pod::{Container, Pod, Probe};
use crate::backoff::after;

/// The first wait of a readiness probe that has not passed yet. It doubles up to the probe's period: what starts in
/// milliseconds is ready in milliseconds, whatever its period.
const EAGER: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// A probe to be done at `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) container: String,
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) at: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// The verdict on the running container of each name.
    pub(crate) health: BTreeMap<String, Health>,
    ids: BTreeMap<String, String>,
    counts: BTreeMap<(String, Kind), Count>,
}

#[derive(Debug, Default)]
struct Count {
    /// One is under way or scheduled.
    busy: bool,
    next: Option<Timestamp>,
    /// It has passed in this container's life.
    passed: bool,
    successes: i32,
    failures: i32,
}

impl Count {
    /// From the run that was counted last to the next.
    fn wait(&self, kind: Kind, probe: &Probe) -> Duration {
        let period = secs(probe.period_seconds.max(1));
        let doublings =
            u32::try_from(self.failures - 1).ok().filter(|_| kind == Kind::Readiness && !self.passed);
        let eager = |doublings| EAGER.saturating_mul(2u32.saturating_pow(doublings));
        doublings.map_or(period, |doublings| period.min(eager(doublings)))
    }
}

/// From the start of a container to its first probe. Liveness without a startup probe waits for one period: a container
/// that did not have the time to listen is not dead. Upstream's first comes at any moment within that period.
fn first_wait(kind: Kind, probe: &Probe, container: &Container) -> Duration {
    if kind == Kind::Liveness && container.startup_probe.is_none() && probe.initial_delay_seconds <= 0 {
        return secs(probe.period_seconds.max(1));
    }
    secs(probe.initial_delay_seconds)
}

impl Probes {
    /// Notices new and ended containers, and gives the probes that are to be scheduled now. While the pod stops only
    /// readiness goes on: nothing is restarted any more.
    pub(crate) fn sync(
        &mut self,
        pod: &Pod,
        observed: &Observed,
        stopping: bool,
        now: Timestamp,
    ) -> Vec<Due> {
        let mut due = Vec::new();
        for container in pod.spec.all_containers() {
            match observed.current(&container.name) {
                Some(instance) if instance.is_running() => {
                    if self.ids.get(&container.name) != Some(&instance.id) {
                        self.begin(pod, container, instance);
                    }
                    self.schedule(container, instance, stopping, now, &mut due);
                }
                _ => {
                    self.ids.remove(&container.name);
                    self.health.remove(&container.name);
                    self.counts.retain(|(name, _), _| *name != container.name);
                }
            }
        }
        due
    }

    fn begin(&mut self, pod: &Pod, container: &Container, instance: &Instance) {
        // A kubelet that was restarted believes what the last one knew of the same container, until a probe says more.
        let known = pod.status.container(&container.name).filter(|s| s.container_id.ends_with(&instance.id));
        let was = |flag: Option<bool>| flag.unwrap_or(false);
        let health = Health {
            started: container.startup_probe.is_none() || was(known.and_then(|s| s.started)),
            ready: container.readiness_probe.is_none() || was(known.map(|s| s.ready)),
            failed: None,
        };
        self.health.insert(container.name.clone(), health);
        self.ids.insert(container.name.clone(), instance.id.clone());
        self.counts.retain(|(name, _), _| *name != container.name);
    }

    fn schedule(
        &mut self,
        container: &Container,
        instance: &Instance,
        stopping: bool,
        now: Timestamp,
        due: &mut Vec<Due>,
    ) {
        let RunState::Running { started_at } = instance.state else { return };
        let Some(health) = self.health.get(&container.name) else { return };
        for kind in Kind::ALL {
            let Some(probe) = kind.of(container) else { continue };
            let wanted = match kind {
                Kind::Startup => !health.started && health.failed.is_none() && !stopping,
                Kind::Liveness => health.started && health.failed.is_none() && !stopping,
                Kind::Readiness => health.started,
            };
            let count = self.counts.entry((container.name.clone(), kind)).or_default();
            if !wanted || count.busy {
                continue;
            }
            count.busy = true;
            let at =
                count.next.unwrap_or_else(|| after(started_at, first_wait(kind, probe, container)).max(now));
            due.push(Due { container: container.name.clone(), id: instance.id.clone(), kind, at });
        }
    }

    /// Counts a result. Returns whether it changes the verdict.
    pub(crate) fn record(
        &mut self,
        container: &Container,
        due: &Due,
        success: Option<bool>,
        now: Timestamp,
    ) -> bool {
        if self.ids.get(&due.container) != Some(&due.id) {
            return false;
        }
        let Some(probe) = due.kind.of(container) else { return false };
        let count = self.counts.entry((due.container.clone(), due.kind)).or_default();
        count.busy = false;
        match success {
            Some(true) => (count.successes, count.failures) = (count.successes + 1, 0),
            Some(false) => (count.successes, count.failures) = (0, count.failures + 1),
            None => {}
        }
        let passed = success == Some(true) && count.successes >= probe.success_threshold.max(1);
        let failed = success == Some(false) && count.failures >= probe.failure_threshold.max(1);
        count.passed |= passed;
        // The beat is kept: a slow probe does not shift the next one, unless it took longer than a whole period.
        count.next = Some(after(due.at, count.wait(due.kind, probe)).max(now));
        let Some(health) = self.health.get_mut(&due.container) else { return false };
        let before = health.clone();
        let grace = probe.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok());
        match due.kind {
            Kind::Startup if passed => health.started = true,
            Kind::Startup | Kind::Liveness if failed => {
                let word = due.kind.word().to_lowercase();
                let message = format!("Container {} failed {word} probe, will be restarted", due.container);
                health.failed = Some((message, grace));
            }
            Kind::Readiness if passed => health.ready = true,
            Kind::Readiness if failed => health.ready = false,
            _ => {}
        }
        *health != before
    }
}

fn secs(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::observed::Instances;
    use serde_json::json;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    fn observed(id: &str) -> Observed {
        let state = RunState::Running { started_at: at(100) };
        let current = Instance { id: id.into(), state, ..Instance::default() };
        let instances = Instances { current: Some(current), previous: None };
        Observed { containers: [("c".to_owned(), instances)].into(), ..Observed::default() }
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({"spec": {"containers": [{"name": "c",
            "startupProbe": {"periodSeconds": 1, "failureThreshold": 2},
            "livenessProbe": {"periodSeconds": 10, "failureThreshold": 2, "terminationGracePeriodSeconds": 3},
            "readinessProbe": {"initialDelaySeconds": 5, "periodSeconds": 2, "successThreshold": 2, "failureThreshold": 1}}]}}))
        .unwrap()
    }

    #[test]
    fn startup_goes_first_then_thresholds_decide() {
        let (pod, seen) = (pod(), observed("1"));
        let c = &pod.spec.containers[0];
        let mut probes = Probes::default();
        let due = probes.sync(&pod, &seen, false, at(100));
        assert_eq!(due.iter().map(|d| (d.kind, d.at)).collect::<Vec<_>>(), [(Kind::Startup, at(100))]);
        assert!(probes.sync(&pod, &seen, false, at(100)).is_empty(), "one at a time");
        assert!(!probes.record(c, &due[0], Some(false), at(100)));
        let due = probes.sync(&pod, &seen, false, at(100));
        assert_eq!(due[0].at, at(101));
        assert!(probes.record(c, &due[0], Some(true), at(101)));
        let due = probes.sync(&pod, &seen, false, at(101));
        // Liveness need not wait: the startup probe passed.
        assert_eq!(
            due.iter().map(|d| (d.kind, d.at)).collect::<Vec<_>>(),
            [(Kind::Liveness, at(101)), (Kind::Readiness, at(105))]
        );
        let (live, ready) = (due[0].clone(), due[1].clone());
        assert!(!probes.record(c, &ready, Some(true), at(105)), "needs two");
        assert!(probes.record(c, &ready, Some(true), at(107)));
        assert!(probes.health["c"].ready);
        assert!(probes.record(c, &ready, Some(false), at(109)));
        assert!(!probes.record(c, &live, Some(false), at(111)));
        assert!(!probes.record(c, &live, None, at(121)), "an error counts neither way");
        assert!(probes.record(c, &live, Some(false), at(131)));
        let failed = probes.health["c"].failed.clone().unwrap();
        assert_eq!(failed, ("Container c failed liveness probe, will be restarted".to_owned(), Some(3)));
    }

    #[test]
    fn a_new_container_begins_anew_and_old_results_do_not_count() {
        let pod = pod();
        let mut probes = Probes::default();
        let due = probes.sync(&pod, &observed("1"), false, at(100));
        probes.sync(&pod, &observed("2"), false, at(200));
        assert!(!probes.record(&pod.spec.containers[0], &due[0], Some(true), at(200)));
        assert!(!probes.health["c"].started);
        probes.sync(&pod, &Observed::default(), false, at(201));
        assert!(probes.health.is_empty());
    }

    /// When each probe of `kind` runs that gives these results, in milliseconds after the container's start.
    #[track_caller]
    fn check_runs(kind: Kind, probe: serde_json::Value, results: &[Option<bool>], millis: &[i64]) {
        let field = format!("{}Probe", kind.word().to_lowercase());
        let pod =
            serde_json::from_value::<Pod>(json!({"spec": {"containers": [{"name": "c", field: probe}]}}));
        let pod = pod.expect("a pod with one probe");
        let (mut probes, mut now, mut seen) = (Probes::default(), at(100), Vec::new());
        for result in results {
            let due = probes.sync(&pod, &observed("1"), false, now).remove(0);
            now = due.at;
            seen.push(now.as_millisecond() - 100_000);
            let _ = probes.record(&pod.spec.containers[0], &due, *result, now);
        }
        assert_eq!(seen, millis);
    }

    #[test]
    fn readiness_hurries_until_it_passes_and_liveness_gives_time_to_start() {
        let (yes, no) = (Some(true), Some(false));
        let ten = json!({"periodSeconds": 10, "failureThreshold": 3});
        check_runs(
            Kind::Readiness,
            ten.clone(),
            &[no, no, no, yes, no, no],
            &[0, 100, 300, 700, 10_700, 20_700],
        );
        check_runs(Kind::Readiness, json!({"periodSeconds": 1}), &[no; 6], &[0, 100, 300, 700, 1500, 2500]);
        check_runs(
            Kind::Readiness,
            json!({"initialDelaySeconds": 5, "periodSeconds": 10}),
            &[no; 3],
            &[5000, 5100, 5300],
        );
        // An answer that is neither, and each pass of several that are needed, keep the period.
        check_runs(Kind::Readiness, ten.clone(), &[None, no, no], &[0, 10_000, 10_100]);
        let twice = json!({"periodSeconds": 10, "successThreshold": 2});
        check_runs(Kind::Readiness, twice, &[no, yes, yes, no], &[0, 100, 10_100, 20_100]);
        check_runs(Kind::Liveness, ten.clone(), &[no; 2], &[10_000, 20_000]);
        check_runs(
            Kind::Liveness,
            json!({"initialDelaySeconds": 3, "periodSeconds": 10, "failureThreshold": 3}),
            &[no; 2],
            &[3000, 13_000],
        );
        check_runs(Kind::Startup, ten, &[no; 2], &[0, 10_000]);
    }

    #[test]
    fn a_restarted_kubelet_believes_the_last_status() {
        let mut pod = pod();
        pod.status = serde_json::from_value(json!({"containerStatuses": [
            {"name": "c", "containerID": "containerd://1", "started": true, "ready": true}]}))
        .unwrap();
        let mut probes = Probes::default();
        probes.sync(&pod, &observed("1"), false, at(200));
        assert_eq!(probes.health["c"], Health { started: true, ready: true, failed: None });
    }
}
