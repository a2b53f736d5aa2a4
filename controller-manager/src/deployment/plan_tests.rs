//! Tables for the deployment controller's plan: each line is a state and what must be done about it.

use serde_json::json;

use super::*;
use crate::objects::Condition;

const NOW: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

/// A Deployment of `replicas` with the given surge and unavailability, of template "v2".
fn deployment(replicas: i32, surge: &Value, unavailable: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "x"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 10,
        },
    }))
    .unwrap()
}

/// Template "vN" has age N and revision N: `spec/available` pods.
fn set(version: i64, replicas: i32, available: i32) -> Set {
    let mut set = Set {
        replicas,
        template: template(&format!("v{version}")),
        status: crate::objects::ReplicaSetStatus {
            replicas,
            ready_replicas: available,
            available_replicas: available,
            ..Default::default()
        },
        ..Set::default()
    };
    set.meta.name = format!("web-v{version}");
    set.meta.uid = format!("v{version}");
    set.meta.creation_timestamp = Timestamp::from_second(version).ok();
    set.meta.annotations.insert(REVISION.into(), version.to_string());
    set
}

fn made_for(mut set: Set, desired: i32, most: i32) -> Set {
    set.meta.annotations.insert(DESIRED_REPLICAS.into(), desired.to_string());
    set.meta.annotations.insert(MAX_REPLICAS.into(), most.to_string());
    set
}

fn run(deployment: &Deployment, sets: &[Set]) -> Plan {
    run_with(deployment, sets, &[])
}

fn run_with(deployment: &Deployment, sets: &[Set], running: &[&str]) -> Plan {
    plan(&Observed {
        deployment,
        template: template("v2"),
        sets: sets.to_vec(),
        running: running.iter().map(|s| (*s).to_owned()).collect(),
        now: now(),
    })
}

/// The sizes after the plan.
fn sizes(sets: &[Set], plan: &Plan) -> Vec<i32> {
    let mut sizes: Vec<i32> = sets.iter().map(|s| s.replicas).collect();
    for action in &plan.actions {
        if let Action::Update { index, replicas, .. } = action {
            sizes[*index] = *replicas;
        }
    }
    sizes
}

#[track_caller]
fn check_roll(replicas: i32, surge: Value, unavailable: Value, sets: [(i32, i32); 2], expected: [i32; 2]) {
    let sets = [set(1, sets[0].0, sets[0].1), set(2, sets[1].0, sets[1].1)];
    let plan = run(&deployment(replicas, &surge, &unavailable), &sets);
    assert_eq!(sizes(&sets, &plan), expected, "{plan:?}");
}

#[test]
fn rolls_within_its_limits() {
    // The new set grows into the surge first.
    check_roll(10, json!(3), json!(2), [(10, 10), (0, 0)], [10, 3]);
    // Full: the old one gives up what may be unavailable, less what the new one still lacks.
    check_roll(10, json!(3), json!(2), [(10, 10), (3, 0)], [8, 3]);
    check_roll(10, json!(3), json!(2), [(10, 10), (3, 3)], [5, 3]);
    // Room again: grow.
    check_roll(10, json!(3), json!(2), [(5, 5), (3, 3)], [5, 8]);
    // Unavailable old pods go at once: they protect nothing.
    check_roll(10, json!(0), json!(2), [(10, 8), (0, 0)], [8, 0]);
    // Percentages: surge up, unavailability down.
    check_roll(3, json!("25%"), json!("25%"), [(3, 3), (0, 0)], [3, 1]);
    check_roll(3, json!("25%"), json!("25%"), [(3, 3), (1, 0)], [3, 1]);
    check_roll(3, json!("25%"), json!("25%"), [(3, 3), (1, 1)], [2, 1]);
    // Both nothing would never move: one may be unavailable.
    check_roll(3, json!(0), json!(0), [(3, 3), (0, 0)], [2, 0]);
    // Done.
    check_roll(3, json!(1), json!(0), [(0, 0), (3, 3)], [0, 3]);
    // Too many new ones.
    check_roll(3, json!(1), json!(0), [(0, 0), (5, 5)], [0, 3]);
}

#[test]
fn creates_the_set_of_a_new_template() {
    let plan = run(&deployment(4, &json!(1), &json!(0)), &[set(1, 4, 4)]);
    let [Action::Create { name, hash, replicas, annotations }, Action::SetRevision(revision)] =
        &plan.actions[..]
    else {
        panic!("{plan:?}");
    };
    assert_eq!((name, *replicas), (&format!("web-{hash}"), 1));
    assert_eq!(revision, "2");
    let expected = [(REVISION, "2"), (DESIRED_REPLICAS, "4"), (MAX_REPLICAS, "5")];
    assert_eq!(*annotations, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let progressing = Condition::find(&plan.status.conditions, "Progressing").unwrap();
    assert_eq!(progressing.reason, "NewReplicaSetCreated");
    // A count of collisions makes another name.
    let mut collided = deployment(4, &json!(1), &json!(0));
    collided.status.collision_count = Some(1);
    let other = run(&collided, &[set(1, 4, 4)]);
    assert!(!matches!(&other.actions[0], Action::Create { name: n, .. } if n == name));
}

#[test]
fn going_back_raises_the_revision() {
    let old = set(3, 3, 3);
    let plan = run(&deployment(3, &json!(1), &json!(0)), &[set(2, 0, 0), old]);
    let update = plan.actions.iter().find_map(|a| match a {
        Action::Update { index: 0, annotations, .. } => Some(annotations),
        _ => None,
    });
    let annotations = update.unwrap();
    assert_eq!((annotations[REVISION].as_str(), annotations[REVISION_HISTORY].as_str()), ("4", "2"));
    assert!(plan.actions.contains(&Action::SetRevision("4".into())));
}

#[track_caller]
fn check_scale(replicas: i32, surge: i32, sets: &[Set], expected: &[i32]) {
    let plan = run(&deployment(replicas, &json!(surge), &json!(0)), sets);
    assert_eq!(sizes(sets, &plan), expected, "{plan:?}");
}

#[test]
fn scales_in_proportion() {
    let sets = |a: (i32, i32), b: (i32, i32), desired: i32, most: i32| {
        [made_for(set(1, a.0, a.1), desired, most), made_for(set(2, b.0, b.1), desired, most)]
    };
    // One set: it takes all.
    check_scale(7, 1, &[made_for(set(2, 5, 5), 5, 6)], &[7]);
    // 10+3 made for 10 become 20+3 in the same proportion, what rounding leaves goes to the larger.
    check_scale(20, 3, &sets((8, 8), (5, 2), 10, 13), &[14, 9]);
    check_scale(5, 3, &sets((8, 8), (5, 2), 10, 13), &[5, 3]);
    check_scale(0, 3, &sets((8, 8), (5, 2), 10, 13), &[0, 0]);
    // The new set is all there: the old ones go.
    check_scale(10, 3, &sets((8, 8), (10, 10), 10, 13), &[0, 10]);
}

#[test]
fn a_paused_deployment_scales_but_does_not_roll() {
    let mut paused = deployment(5, &json!(1), &json!(0));
    paused.spec.paused = true;
    let sets = [made_for(set(1, 3, 3), 3, 4)];
    let plan = run(&paused, &sets);
    assert_eq!(sizes(&sets, &plan), [5]);
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::Create { .. })));
    assert_eq!(Condition::find(&plan.status.conditions, "Progressing").unwrap().reason, "DeploymentPaused");
}

#[test]
fn recreate_waits_for_the_old_pods() {
    let mut recreate = deployment(3, &json!(1), &json!(0));
    recreate.spec.strategy.kind = "Recreate".into();
    let sets = [set(1, 3, 3)];
    assert_eq!(sizes(&sets, &run_with(&recreate, &sets, &["v1"])), [0]);
    let mut gone = set(1, 0, 0);
    let plan = run_with(&recreate, &[gone.clone()], &["v1"]);
    assert!(!plan.actions.iter().any(|a| matches!(a, Action::Create { .. })), "a pod still runs");
    gone.status.replicas = 0;
    let plan = run_with(&recreate, &[gone], &[]);
    assert!(matches!(plan.actions[0], Action::Create { replicas: 3, .. }), "{plan:?}");
}

#[test]
fn cleans_up_beyond_the_history_limit() {
    let mut done = deployment(1, &json!(1), &json!(0));
    done.spec.revision_history_limit = Some(1);
    let mut new = set(2, 1, 1);
    new.meta.annotations.insert(REVISION.into(), "9".into());
    let sets = [set(1, 0, 0), set(3, 0, 0), set(4, 0, 0), new];
    let first = run(&done, &sets);
    assert!(!first.actions.iter().any(|a| matches!(a, Action::Delete { .. })), "not before it is complete");
    done.status = first.status;
    let plan = run(&done, &sets);
    let deleted: Vec<&Action> = plan.actions.iter().filter(|a| matches!(a, Action::Delete { .. })).collect();
    assert_eq!(deleted, [&Action::Delete { index: 0 }, &Action::Delete { index: 1 }]);
}

/// (type, status, reason) of the conditions after a rollout step.
fn conditions(plan: &Plan) -> Vec<(&str, &str, &str)> {
    plan.status.conditions.iter().map(|c| (c.kind.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

#[test]
fn conditions_through_a_rollout() {
    let mut d = deployment(2, &json!(1), &json!(0));
    let plan = run(&d, &[set(2, 2, 0)]);
    assert_eq!(
        conditions(&plan),
        [("Available", "False", "MinimumReplicasUnavailable"), ("Progressing", "True", "ReplicaSetUpdated")]
    );
    assert_eq!(plan.again_in_secs, Some(601));
    d.status = plan.status;
    let plan = run(&d, &[set(2, 2, 2)]);
    assert_eq!(
        conditions(&plan),
        [
            ("Available", "True", "MinimumReplicasAvailable"),
            ("Progressing", "True", "NewReplicaSetAvailable")
        ]
    );
    let message = &Condition::find(&plan.status.conditions, "Progressing").unwrap().message;
    assert_eq!(message, "ReplicaSet \"web-v2\" has successfully progressed.");
    assert_eq!(plan.again_in_secs, None);
    d.status = plan.status.clone();
    assert_eq!(run(&d, &[set(2, 2, 2)]).status, plan.status, "nothing changes any more");
}

#[test]
fn the_deadline_passes() {
    let mut d = deployment(2, &json!(1), &json!(0));
    d.status = run(&d, &[set(2, 2, 0)]).status;
    for condition in &mut d.status.conditions {
        condition.last_update_time = Timestamp::from_second(NOW - 601).ok();
    }
    let plan = run(&d, &[set(2, 2, 0)]);
    assert_eq!(conditions(&plan)[1], ("Progressing", "False", "ProgressDeadlineExceeded"));
    let message = &Condition::find(&plan.status.conditions, "Progressing").unwrap().message;
    assert_eq!(message, "ReplicaSet \"web-v2\" has timed out progressing.");
    // A pod becomes ready after all: progress again.
    d.status = plan.status;
    let plan = run(&d, &[set(2, 2, 1)]);
    assert_eq!(conditions(&plan)[1], ("Progressing", "True", "ReplicaSetUpdated"));
}

#[test]
fn failures_of_the_set_are_shown() {
    let d = deployment(2, &json!(1), &json!(0));
    let mut failing = set(2, 2, 0);
    failing.status.conditions.push(Condition {
        kind: "ReplicaFailure".into(),
        status: "True".into(),
        reason: "FailedCreate".into(),
        ..Condition::default()
    });
    assert!(conditions(&run(&d, &[failing])).contains(&("ReplicaFailure", "True", "FailedCreate")));
}

#[test]
fn templates_compare_without_the_hash() {
    let mut with_hash = template("v1");
    with_hash["metadata"]["labels"][TEMPLATE_HASH] = "abc".into();
    with_hash["metadata"]["creationTimestamp"] = Value::Null;
    assert_eq!(comparable(with_hash), comparable(template("v1")));
    assert_ne!(comparable(template("v1")), comparable(template("v2")));
}
