//! Rows of objects against what `kubectl get` shows of them.

use super::*;

#[track_caller]
fn check(group: &str, plural: &str, json: &str, expected: &str) {
    let columns = Columns::of(group, plural);
    // 2024-01-01T01:00:00Z, an hour after the objects here were made.
    let row = columns.row(&Value::from_json(json.as_bytes()).unwrap(), 1_704_070_800);
    assert_eq!(Value::from(row.cells.clone()), Value::from_json(expected.as_bytes()).unwrap());
    assert_eq!(row.cells.len(), columns.columns.len(), "as many cells as columns");
}

#[test]
fn durations_are_for_humans() {
    for (seconds, expected) in [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (7 * 3600 + 60, "7h1m"),
        (30 * 3600, "30h"),
        (49 * 3600, "2d1h"),
        (9 * 86_400, "9d"),
        (800 * 86_400, "2y70d"),
        (9 * 365 * 86_400, "9y"),
    ] {
        assert_eq!(human_duration(seconds), expected, "{seconds}");
    }
}

#[test]
fn every_defined_column_belongs_to_a_resource() {
    let registry = crate::Registry::builtin();
    let mut n_own = 0;
    for resource in registry.resources() {
        let columns = Columns::of(&resource.group, &resource.plural);
        assert!(columns.columns.iter().any(|c| c.format == "name"), "{}", resource.plural);
        n_own += usize::from(columns.columns.len() > 2);
    }
    assert!(n_own > 50, "{n_own}");
}

#[test]
fn pods_show_the_state_that_matters() {
    let made = r#""metadata":{"name":"p","creationTimestamp":"2024-01-01T00:00:00Z"}"#;
    let pod = |spec: &str, status: &str| format!(r#"{{{made},"spec":{spec},"status":{status}}}"#);
    let one = r#"{"containers":[{"name":"c"}],"nodeName":"n"}"#;
    check(
        "",
        "pods",
        &pod(one, r#"{"phase":"Pending"}"#),
        r#"["p","0/1","Pending","0","60m","<none>","n","<none>","<none>"]"#,
    );
    check(
        "",
        "pods",
        &pod(
            one,
            r#"{"phase":"Running","podIPs":[{"ip":"10.0.0.5"}],"containerStatuses":[{"name":"c","ready":true,"restartCount":2,"state":{"running":{}},"lastState":{"terminated":{"finishedAt":"2024-01-01T00:30:00Z"}}}]}"#,
        ),
        r#"["p","1/1","Running","2 (30m ago)","60m","10.0.0.5","n","<none>","<none>"]"#,
    );
    check(
        "",
        "pods",
        &pod(
            one,
            r#"{"phase":"Running","containerStatuses":[{"name":"c","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}"#,
        ),
        r#"["p","0/1","CrashLoopBackOff","3","60m","<none>","n","<none>","<none>"]"#,
    );
    check(
        "",
        "pods",
        &pod(
            r#"{"initContainers":[{"name":"a"},{"name":"b"}],"containers":[{"name":"c"}]}"#,
            r#"{"phase":"Pending","initContainerStatuses":[{"name":"a","state":{"terminated":{"exitCode":0}}},{"name":"b","state":{"running":{}}}]}"#,
        ),
        r#"["p","0/1","Init:1/2","0","60m","<none>","<none>","<none>","<none>"]"#,
    );
}

#[test]
fn ended_pods_carry_a_condition() {
    let row = Columns::of("", "pods").row(&Value::from_json(br#"{"status":{"phase":"Failed"}}"#).unwrap(), 0);
    assert_eq!(row.conditions[0].str_at(&["reason"]), Some("Failed"));
}

#[test]
fn common_kinds_have_upstreams_cells() {
    let made = r#""metadata":{"name":"x","namespace":"d","creationTimestamp":"2024-01-01T00:00:00Z"}"#;
    check(
        "apps",
        "deployments",
        &format!(
            r#"{{{made},"spec":{{"replicas":3,"selector":{{"matchLabels":{{"app":"a"}}}},"template":{{"spec":{{"containers":[{{"name":"c","image":"i"}},{{"name":"d","image":"j"}}]}}}}}},"status":{{"readyReplicas":1,"updatedReplicas":2,"availableReplicas":1}}}}"#
        ),
        r#"["x","1/3",2,1,"60m","c,d","i,j","app=a"]"#,
    );
    check(
        "",
        "services",
        &format!(
            r#"{{{made},"spec":{{"type":"LoadBalancer","clusterIPs":["10.0.0.1"],"ports":[{{"port":80,"nodePort":30000,"protocol":"TCP"}}],"selector":{{"b":"2","a":"1"}}}},"status":{{"loadBalancer":{{}}}}}}"#
        ),
        r#"["x","LoadBalancer","10.0.0.1","<pending>","80:30000/TCP","60m","a=1,b=2"]"#,
    );
    check(
        "",
        "nodes",
        r#"{"metadata":{"name":"n","labels":{"node-role.kubernetes.io/worker":""}},"spec":{"unschedulable":true},"status":{"conditions":[{"type":"Ready","status":"False"}],"nodeInfo":{"kernelVersion":"6.1","architecture":"amd64"}}}"#,
        r#"["n","NotReady,SchedulingDisabled","worker","<unknown>","","<none>","<none>","<unknown>","6.1 (amd64)","<unknown>"]"#,
    );
    check("", "limitranges", &format!("{{{made}}}"), r#"["x","2024-01-01T00:00:00Z"]"#);
    check(
        "batch",
        "jobs",
        &format!(
            r#"{{{made},"spec":{{"completions":3}},"status":{{"succeeded":3,"startTime":"2024-01-01T00:00:00Z","completionTime":"2024-01-01T00:01:00Z","conditions":[{{"type":"Complete","status":"True"}}]}}}}"#
        ),
        r#"["x","Complete","3/3","60s","60m","","",""]"#,
    );
}
