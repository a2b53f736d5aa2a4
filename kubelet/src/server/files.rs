//! `/logs/`: the files below the host's log directory, for `kubectl get --raw /api/v1/nodes/NAME/proxy/logs/`.
//!
//! Nothing outside the directory is reachable: names with `..` are refused, and so are links that lead out of it.

use std::path::{Component, Path, PathBuf};

use http::StatusCode;

use super::answer::{self, Answer};

/// A larger file is cut: the kubelet holds it in memory while it is sent.
const MAX_FILE: u64 = 16 << 20;

/// The file or directory `path` below `root`.
pub fn serve(root: &Path, path: &str) -> Answer {
    let Some(found) = resolve(root, path) else {
        return answer::text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    if found.is_dir() { directory(&found) } else { file(&found) }
}

fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    let plain = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    let root = root.canonicalize().ok()?;
    let found = root.join(relative).canonicalize().ok()?;
    (plain && found.starts_with(&root)).then_some(found)
}

fn directory(path: &Path) -> Answer {
    let Ok(entries) = std::fs::read_dir(path) else {
        return answer::text(StatusCode::INTERNAL_SERVER_ERROR, "Error reading directory\n");
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|e| {
            let slash = if e.path().is_dir() { "/" } else { "" };
            format!("{}{slash}", e.file_name().to_string_lossy())
        })
        .collect();
    names.sort();
    let escape =
        |s: &str| s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;");
    let mut body =
        String::from("<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n");
    for name in names {
        let name = escape(&name);
        body.push_str(&format!("<a href=\"{name}\">{name}</a>\n"));
    }
    body.push_str("</pre>\n");
    answer::whole(StatusCode::OK, "text/html; charset=utf-8", body)
}

fn file(path: &Path) -> Answer {
    use std::io::Read as _;
    let mut content = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(MAX_FILE).read_to_end(&mut content));
    match read {
        Ok(_) => answer::whole(StatusCode::OK, "text/plain; charset=utf-8", content),
        Err(_) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_directory_is_found() {
        let root = std::env::temp_dir().join(format!("gantry-logs-{}", std::process::id()));
        std::fs::create_dir_all(root.join("pods")).unwrap();
        std::fs::write(root.join("a.log"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("out")).unwrap();
        for (path, expected) in [
            ("", true),
            ("a.log", true),
            ("pods/", true),
            ("missing", false),
            ("../etc/passwd", false),
            ("pods/../../etc", false),
            ("out", false),
        ] {
            assert_eq!(resolve(&root, path).is_some(), expected, "{path}");
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
