//! Image names: the default tag, and what is no name at all. The runtime resolves the registry.

/// The name with `:latest` where it has neither tag nor digest.
pub fn normalise(image: &str) -> Result<String, String> {
    let invalid = || format!("couldn't parse image name {image:?}: invalid reference format");
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|d| !valid_digest(d)) {
        return Err(invalid());
    }
    let (path, tag) = match rest.rsplit_once(':') {
        // A colon before a slash belongs to a registry's port.
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|t| !valid_tag(t)) {
        return Err(invalid());
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() > 1 && is_domain(parts[0]) {
        parts.remove(0);
    }
    if !parts.iter().all(|p| valid_component(p)) {
        if parts.iter().any(|p| p.bytes().any(|b| b.is_ascii_uppercase())) {
            return Err(format!(
                "couldn't parse image name {image:?}: invalid reference format: repository name ({}) must be lowercase",
                parts.join("/")
            ));
        }
        return Err(invalid());
    }
    Ok(match (tag, digest) {
        (None, None) => format!("{image}:latest"),
        _ => image.to_owned(),
    })
}

/// The registry's host of a name: the first part when it looks like one, else Docker's.
pub fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if is_domain(first) => first,
        _ => "docker.io",
    }
}

fn is_domain(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
}

fn valid_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    !bytes.is_empty()
        && alphanumeric(bytes[0])
        && alphanumeric(bytes[bytes.len() - 1])
        && bytes.iter().all(|b| alphanumeric(*b) || matches!(b, b'.' | b'_' | b'-'))
        && !part.contains("..")
}

fn valid_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    (1..=128).contains(&bytes.len())
        && word(bytes[0])
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

fn valid_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let digest = format!("a/b@sha256:{}", "0".repeat(64));
        for (image, expected) in [
            ("busybox", Some("busybox:latest")),
            ("busybox:1.36", Some("busybox:1.36")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("registry.example.com/a:v1", Some("registry.example.com/a:v1")),
            (digest.as_str(), Some(digest.as_str())),
            ("", None),
            ("a b", None),
            ("a:", None),
            ("a/-b", None),
            ("a@sha256:xyz", None),
        ] {
            assert_eq!(normalise(image).ok().as_deref(), expected, "{image}");
        }
        assert!(normalise("busyBox").unwrap_err().contains("must be lowercase"));
    }

    #[test]
    fn registries() {
        assert_eq!(
            [registry("a"), registry("a/b"), registry("r.io/a"), registry("localhost/a")],
            ["docker.io", "docker.io", "r.io", "localhost"]
        );
    }
}
