//! A refused Job for each rule that the other tests leave out.

use expect_test::expect;

use super::job::Job;
use crate::strategy::testing::{check_invalid, check_invalid_sub};

#[test]
fn failure_policies() {
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, podFailurePolicy: {rules: [{onPodConditions: [{type: 'a b'}, {type: a, status: Zap}]}, {action: FailIndex, onExitCodes: {containerName: z, operator: In, values: [2, 1, 0, 1]}}, {action: Ignore, onExitCodes: {operator: Zap}}, {action: Ignore, onExitCodes: {}, onPodConditions: [{type: a, status: 'True'}]}]}}",
        expect![[r#"
            spec.podFailurePolicy.rules[0].action: Required value: valid values: "Count", "FailIndex", "FailJob", "Ignore"
            spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.podFailurePolicy.rules[0].onPodConditions[0].status: Required value: valid values: "False", "True", "Unknown"
            spec.podFailurePolicy.rules[0].onPodConditions[1].status: Unsupported value: "Zap": supported values: "False", "True", "Unknown"
            spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set
            spec.podFailurePolicy.rules[1].onExitCodes.containerName: Invalid value: "z": must be one of the container or initContainer names in the pod template
            spec.podFailurePolicy.rules[1].onExitCodes.values[2]: Invalid value: 0: must not be 0 for the In operator
            spec.podFailurePolicy.rules[1].onExitCodes.values[3]: Duplicate value: 1
            spec.podFailurePolicy.rules[1].onExitCodes.values: Invalid value: [2,1,0,1]: must be ordered
            spec.podFailurePolicy.rules[2].onExitCodes.operator: Unsupported value: "Zap": supported values: "In", "NotIn"
            spec.podFailurePolicy.rules[2].onExitCodes.values: Invalid value: null: at least one value is required
            spec.podFailurePolicy.rules[3].onExitCodes.operator: Required value: valid values: "In", "NotIn"
            spec.podFailurePolicy.rules[3].onExitCodes.values: Invalid value: null: at least one value is required
            spec.podFailurePolicy.rules[3]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, podFailurePolicy: {rules: [{action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}, {action: Count, onPodConditions: [{type: a, status: 'True'}]}]}}",
        expect![[r#"
            spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, podFailurePolicy: {rules: [{action: Count, onPodConditions: [{type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}, {type: a, status: 'True'}]}, {action: Count, onExitCodes: {operator: NotIn, values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255]}}]}}",
        expect![[r#"
            spec.podFailurePolicy.rules[0].onPodConditions: Too many: 21: must have at most 20 items
            spec.podFailurePolicy.rules[1].onExitCodes.values: Too many: 256: must have at most 255 items
        "#]],
    );
}

#[test]
fn success_policies() {
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed, completions: 2, successPolicy: {}}",
        expect![[r#"
            spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed, completions: 2, successPolicy: {rules: [{}, {succeededCount: 3}, {succeededCount: -1}]}}",
        expect![[r#"
            spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified
            spec.successPolicy.rules[1].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of specified completions)
            spec.successPolicy.rules[2].succeededCount: Invalid value: -1: must be greater than or equal to 0
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed, completions: 2, successPolicy: {rules: [{succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}, {succeededCount: 1}]}}",
        expect![[r#"
            spec.successPolicy.rules: Too many: 21: must have at most 20 items
        "#]],
    );
}

#[test]
fn indexes() {
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed}",
        expect![[r#"
            spec.completions: Required value: when completion mode is Indexed
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Zap, maxFailedIndexes: 1}",
        expect![[r#"
            spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified
            spec.completionMode: Unsupported value: "Zap": supported values: "Indexed", "NonIndexed"
            spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed, completions: 5, backoffLimitPerIndex: 1, maxFailedIndexes: 6, parallelism: 100001}",
        expect![[r#"
            spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed
            spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed, completions: 100001, backoffLimitPerIndex: 1, parallelism: 10001}",
        expect![[r#"
            spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index
            spec.maxFailedIndexes: Required value: must be specified when completions is above 100000
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, completionMode: Indexed, completions: 200000, backoffLimitPerIndex: 1, maxFailedIndexes: 100001}",
        expect![[r#"
            spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000
            spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index
        "#]],
    );
}

#[test]
fn managers_and_replacements() {
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, managedBy: zap, podReplacementPolicy: Zap}",
        expect![[r#"
            spec.podReplacementPolicy: Unsupported value: "Zap": supported values: "Failed", "TerminatingOrFailed"
            spec.managedBy: Invalid value: "zap": must be a domain-prefixed path (such as "acme.io/foo")
        "#]],
    );
    check_invalid(
        &Job,
        "spec: {template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}, selector: {matchLabels: {a: b}}, manualSelector: true, managedBy: a.b/cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc, podReplacementPolicy: TerminatingOrFailed, podFailurePolicy: {rules: []}}",
        expect![[r#"
            spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"
            spec.managedBy: Too long: may not be more than 63 bytes
        "#]],
    );
}

#[test]
fn status() {
    check_invalid_sub(
        &Job,
        "status",
        "{}",
        "status: {active: -1, ready: -1, terminating: -1, uncountedTerminatedPods: {succeeded: [a, ''], failed: [a]}}",
        expect![[r#"
            status.active: Invalid value: -1: must be greater than or equal to 0
            status.ready: Invalid value: -1: must be greater than or equal to 0
            status.terminating: Invalid value: -1: must be greater than or equal to 0
            status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty
            status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"
        "#]],
    );
}
