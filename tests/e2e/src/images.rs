//! The images of the tests, made on the spot: busybox, and our own server in it.

use cri::image_tar::{FileContent, ImageConfig, ImageFile, build};

/// A shell with its tools.
pub const BUSYBOX: &str = "gantry.local/busybox:1";
/// The test server, with busybox beside it.
pub const SERVER: &str = "gantry.local/server:1";
/// Images of the test server that differ in what they answer: `gantry.local/server:1` answers `v1`, and so on.
pub const SERVER_VERSIONS: u32 = 4;

const SERVER_PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/testserver"));

/// Tools that tests call by name.
const APPLETS: &[&str] = &[
    "sh",
    "cat",
    "ls",
    "echo",
    "sleep",
    "wget",
    "nslookup",
    "tar",
    "id",
    "env",
    "printf",
    "true",
    "false",
    "test",
    "head",
    "tail",
    "wc",
    "grep",
    "sed",
    "ps",
    "kill",
    "mkdir",
    "rm",
    "cp",
    "touch",
    "stat",
    "md5sum",
    "sha256sum",
    "nc",
    "hostname",
    "date",
    "mount",
    "df",
    "ip",
    "dd",
    "sort",
    "find",
    "httpd",
    "stty",
    "tty",
    "seq",
    "readlink",
    "chmod",
    "awk",
    "cut",
    "tr",
    "yes",
    "sync",
    "uname",
    "vi",
];

/// The image whose server answers `v` and `number`.
pub fn server(number: u32) -> String {
    assert!((1..=SERVER_VERSIONS).contains(&number), "there is no version {number}");
    format!("gantry.local/server:{number}")
}

/// (name, tar) of each image.
pub fn all() -> Vec<(String, Vec<u8>)> {
    let base = busybox_files();
    let env = vec!["PATH=/bin".to_owned()];
    let busybox = ImageConfig {
        name: BUSYBOX.into(),
        command: vec!["/bin/sh".into()],
        env: env.clone(),
        ..ImageConfig::default()
    };
    let mut images = vec![("busybox".to_owned(), build(&busybox, &base))];
    images.extend((1..=SERVER_VERSIONS).map(|number| {
        let config = ImageConfig {
            name: server(number),
            entrypoint: vec!["/server".into()],
            env: env.clone(),
            ..ImageConfig::default()
        };
        let mut files = base.clone();
        files.push(file("server", 0o755, SERVER_PROGRAM.to_vec()));
        files.push(file("version", 0o644, format!("v{number}\n").into_bytes()));
        (format!("server-{number}"), build(&config, &files))
    }));
    images
}

fn busybox_files() -> Vec<ImageFile> {
    let program = ["/usr/bin/busybox", "/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .expect("busybox-static is installed: cargo xtask deps --test");
    let directory = |path: &str, mode| ImageFile { path: path.into(), mode, content: FileContent::Directory };
    let mut files = vec![
        directory("bin", 0o755),
        directory("etc", 0o755),
        directory("tmp", 0o1777),
        directory("proc", 0o555),
        directory("sys", 0o555),
        file("bin/busybox", 0o755, program),
        file(
            "etc/passwd",
            0o644,
            b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n".to_vec(),
        ),
        file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n".to_vec()),
    ];
    files.extend(APPLETS.iter().map(|name| ImageFile {
        path: format!("bin/{name}"),
        mode: 0o777,
        content: FileContent::Symlink("busybox".into()),
    }));
    files
}

fn file(path: &str, mode: u32, bytes: Vec<u8>) -> ImageFile {
    ImageFile { path: path.into(), mode, content: FileContent::Bytes(bytes) }
}
