//! How it shows that a parameter is looked at: a value that must be refused, or an answer that looks different.

use super::spec::Action;

/// What must happen to a request with the parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// 400 or 422, whatever else is asked for.
    Refused,
    /// The answer is indented; without the parameter it is not.
    Indented,
    /// 500 with words on the revision, which upstream gives for a revision that is no number where a list says 400.
    Unread,
    /// 405: what is computed when it is asked for cannot be watched.
    NotAllowed,
    /// The answer is a watch's.
    Stream,
    /// The watch begins with a bookmark that ends the initial events.
    Bookmark,
    /// The same answer as without it.
    Accepted,
}

/// More characters than a field manager may have.
const LONG_NAME: &str = "fieldManager=nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\
                         nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
const INITIAL_EVENTS: &str =
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=5";

/// As [`probes`], for a kind whose objects are not stored: lists of them are made anew, know no revision and have no pages.
pub fn probes_computed(action: Action, parameter: &str) -> Vec<(&'static str, Expect)> {
    match (action, parameter) {
        (Action::List, "watch") => vec![("watch=true", Expect::NotAllowed)],
        (Action::List, "continue") => vec![("continue=none", Expect::Accepted)],
        (Action::List, "resourceVersion") => vec![("resourceVersion=new", Expect::Accepted)],
        _ => probes(action, parameter),
    }
}

/// The queries that show a parameter of an action at work; none for a parameter that is not known here.
pub fn probes(action: Action, parameter: &str) -> Vec<(&'static str, Expect)> {
    use Expect::{Accepted, Bookmark, Indented, Refused, Stream};
    let watch = matches!(action, Action::Watch | Action::WatchList);
    match (action, parameter) {
        (Action::Connect, _) => connection(parameter),
        // The frames of a watch are lines.
        (_, "pretty") if watch => vec![("pretty=true", Accepted)],
        (_, "pretty") => vec![("pretty=true", Indented)],
        (_, "dryRun") => vec![("dryRun=Some", Refused)],
        (_, "fieldManager") => vec![(LONG_NAME, Refused)],
        (_, "fieldValidation") => vec![("fieldValidation=Perhaps", Refused)],
        (_, "force") => vec![("force=true", Refused)],
        (_, "gracePeriodSeconds") => vec![("gracePeriodSeconds=soon", Refused)],
        (_, "orphanDependents") => vec![("orphanDependents=true&propagationPolicy=Orphan", Refused)],
        (_, "propagationPolicy") => vec![("propagationPolicy=Perhaps", Refused)],
        (_, "limit") => vec![("limit=few", Refused)],
        (_, "timeoutSeconds") => vec![("timeoutSeconds=soon", Refused)],
        // A watch has no pages, and does not look at their token.
        (_, "continue") if watch => vec![("continue=", Accepted)],
        (_, "continue") => vec![("continue=none", Refused)],
        (_, "resourceVersion") if watch => vec![("resourceVersion=new", Expect::Unread)],
        (_, "resourceVersion") => vec![("resourceVersion=new", Refused)],
        (_, "resourceVersionMatch") => vec![("resourceVersionMatch=Perhaps&resourceVersion=1", Refused)],
        (_, "labelSelector") => vec![("labelSelector=a%20b%20c", Refused)],
        (_, "fieldSelector") => vec![("fieldSelector=no.such.field%3Dx", Refused)],
        (Action::List, "watch") => vec![("watch=true&timeoutSeconds=5", Stream)],
        (_, "watch") => vec![("watch=true", Accepted)],
        (Action::List | Action::DeleteCollection, "sendInitialEvents") => {
            vec![("sendInitialEvents=true", Refused)]
        }
        (Action::List, "allowWatchBookmarks") => vec![("allowWatchBookmarks=true", Accepted)],
        (_, "sendInitialEvents") => vec![("sendInitialEvents=true", Refused), (INITIAL_EVENTS, Bookmark)],
        (_, "allowWatchBookmarks") => vec![(INITIAL_EVENTS, Bookmark)],
        (_, "container") => vec![("container=nobody", Refused)],
        (_, "limitBytes") => vec![("limitBytes=0", Refused), ("limitBytes=some", Refused)],
        (_, "tailLines") => vec![("tailLines=-1", Refused), ("tailLines=some", Refused)],
        (_, "sinceSeconds") => vec![("sinceSeconds=0", Refused), ("sinceSeconds=some", Refused)],
        (_, "stream") => vec![("stream=Perhaps", Refused)],
        (_, "follow" | "previous" | "timestamps") => vec![match parameter {
            "follow" => ("follow=true", Accepted),
            "previous" => ("previous=true", Accepted),
            _ => ("timestamps=true", Accepted),
        }],
        (_, "insecureSkipTLSVerifyBackend") => vec![("insecureSkipTLSVerifyBackend=true", Accepted)],
        _ => Vec::new(),
    }
}

/// What a connection is asked; the kubelet hears the rest, which only a node can show.
fn connection(parameter: &str) -> Vec<(&'static str, Expect)> {
    use Expect::{Accepted, Refused};
    match parameter {
        "container" => vec![("container=nobody", Refused)],
        "command" => vec![("command=true", Accepted)],
        "stdin" => vec![("stdin=true", Accepted)],
        "stdout" => vec![("stdout=true", Accepted)],
        "stderr" => vec![("stderr=true", Accepted)],
        "tty" => vec![("tty=true", Accepted)],
        "ports" => vec![("ports=80", Accepted)],
        "path" => vec![("path=x", Accepted)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_too_long_are_too_long() {
        assert!(LONG_NAME.len() - "fieldManager=".len() > 128);
    }

    #[test]
    fn an_unknown_parameter_has_no_probe() {
        assert!(probes(Action::List, "colour").is_empty());
        assert!(probes(Action::Connect, "limit").is_empty());
    }
}
