//! A containerd of a test's own: directories, socket, CNI network and images in a temporary directory, stopped and
//! removed with everything that it started when dropped. Needs root, containerd, runc and the CNI plugins.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use component::Tasks;
use cri::image_tar::{FileContent, ImageConfig, ImageFile, build};
use cri::settings::{ContainerdSettings, may_lower_oom_score};
use cri::{ContainerdRuntime, Runtime as _};

pub(crate) const PAUSE: &str = "gantry.test/pause:1";
pub(crate) const BUSYBOX: &str = "gantry.test/busybox:1";

#[derive(Debug)]
pub(crate) struct Containerd {
    child: Option<Child>,
    pub(crate) dir: PathBuf,
    /// The cgroup below which this one's pods are.
    pub(crate) cgroup_root: String,
    pub(crate) runtime: ContainerdRuntime,
    pub(crate) tasks: Tasks,
}

impl Containerd {
    /// Starts one whose pods get addresses of `10.99.N.0/24` on a bridge of their own.
    pub(crate) async fn start(name: &str, n: u8) -> Self {
        let dir = std::env::temp_dir().join(format!("gc-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        for sub in ["root", "state", "cni"] {
            std::fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        let settings = ContainerdSettings {
            root: dir.join("root"),
            state: dir.join("state"),
            socket: dir.join("s"),
            sandbox_image: PAUSE.to_owned(),
            cni_bin_dirs: vec!["/usr/lib/cni".into()],
            cni_conf_dir: dir.join("cni"),
            snapshotter: "overlayfs".to_owned(),
            restrict_oom_score_adj: !may_lower_oom_score(&own),
            systemd_cgroup: false,
        };
        std::fs::write(dir.join("config.toml"), settings.render()).unwrap();
        if n > 0 {
            std::fs::write(dir.join("cni/10-test.conflist"), network(&dir, n)).unwrap();
        }
        let tasks = Tasks::new("containerd-test");
        let runtime = ContainerdRuntime::new(dir.join("s").to_str().unwrap(), &tasks);
        let mut made = Self {
            child: None,
            dir,
            cgroup_root: format!("/gc-{name}-{}", std::process::id()),
            runtime,
            tasks,
        };
        made.spawn();
        made.runtime.ready(Duration::from_secs(20)).await.unwrap();
        for (image, entrypoint) in [(PAUSE, vec!["/bin/sleep", "2147483647"]), (BUSYBOX, vec![])] {
            let tar = made.dir.join("image.tar");
            std::fs::write(&tar, busybox_tar(image, &entrypoint)).unwrap();
            let names = made.runtime.import_image(&env::Env::real(), &tar).await.unwrap();
            assert_eq!(names, [image]);
        }
        made
    }

    #[allow(clippy::disallowed_methods, reason = "a test's own long-running child")]
    pub(crate) fn spawn(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let child = std::process::Command::new("containerd")
            .arg("--config")
            .arg(self.dir.join("config.toml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Kills containerd; what it runs goes on.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[allow(dead_code, reason = "not every test file has pods of its own making")]
    /// Stops and removes all pods, so that dropping leaves nothing.
    pub(crate) async fn clear(&self) {
        for sandbox in self.runtime.list_sandboxes(&[]).await.unwrap() {
            self.runtime.stop_sandbox(&sandbox.id).await.unwrap();
            self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("containerd's last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        self.tasks.kill();
        self.kill();
        kill_shims(&self.dir);
        unmount_below(&self.dir);
        remove_cgroups(&self.cgroup_root);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn remove_cgroups(root: &str) {
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        remove_tree(&PathBuf::from(format!("{}{root}", hierarchy.path().display())));
    }
    remove_tree(&PathBuf::from(format!("/sys/fs/cgroup{root}")));
}

/// Control groups are removed from the leaves up; what still holds a process stays.
fn remove_tree(dir: &Path) {
    for child in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&child.path());
        }
    }
    let _ = std::fs::remove_dir(dir);
}

/// A test that failed leaves shims: those that were started for this socket, found by their command line, and the
/// processes whose cgroup they hold, which end with them.
#[allow(clippy::disallowed_methods, reason = "a test's clean-up")]
fn kill_shims(dir: &Path) {
    let socket = dir.join("s").display().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !line.contains("containerd-shim") || !line.contains(&socket) {
            continue;
        }
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for victim in children.split_whitespace().chain([pid.to_string().as_str()]) {
            let _ = std::process::Command::new("kill").args(["-9", victim]).status();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's clean-up")]
fn unmount_below(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let prefix = format!("{}/", dir.display());
    let mut points: Vec<&str> = mounts.lines().filter_map(|l| l.split(' ').nth(1)).collect();
    points.retain(|p| p.starts_with(&prefix));
    for point in points.into_iter().rev() {
        let _ = std::process::Command::new("umount").args(["-l", point]).status();
    }
}

fn network(dir: &Path, n: u8) -> String {
    format!(
        r#"{{"cniVersion":"0.4.0","name":"gctest{n}","plugins":[
  {{"type":"ptp","ipMasq":false,"ipam":{{"type":"host-local","dataDir":"{}","ranges":[[{{"subnet":"10.99.{n}.0/24"}}]],
    "routes":[{{"dst":"0.0.0.0/0"}}]}}}},
  {{"type":"portmap","capabilities":{{"portMappings":true}}}}]}}"#,
        dir.join("ipam").display()
    )
}

/// An image of the host's static busybox under the name `name`.
pub(crate) fn busybox_tar(name: &str, entrypoint: &[&str]) -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut files =
        vec![ImageFile { path: "bin/busybox".into(), mode: 0o755, content: FileContent::Bytes(busybox) }];
    for applet in [
        "sh", "sleep", "cat", "echo", "id", "ls", "stat", "httpd", "nc", "wget", "env", "true", "false",
        "kill", "touch", "mount", "head", "printf", "trap", "test", "grep", "hostname", "nslookup", "ps",
        "dd", "readlink", "cut", "date", "mkdir", "rm", "tail", "ip",
    ] {
        let content = FileContent::Symlink("busybox".into());
        files.push(ImageFile { path: format!("bin/{applet}"), mode: 0o777, content });
    }
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"),
        ("etc/group", "root:x:0:\napp:x:1000:\n"),
    ] {
        files.push(ImageFile { path: path.into(), mode: 0o644, content: FileContent::Bytes(text.into()) });
    }
    files.push(ImageFile { path: "tmp".into(), mode: 0o1777, content: FileContent::Directory });
    let config = ImageConfig {
        name: name.to_owned(),
        entrypoint: entrypoint.iter().map(|s| (*s).to_owned()).collect(),
        command: if entrypoint.is_empty() { vec!["sh".to_owned()] } else { Vec::new() },
        env: vec!["PATH=/bin".to_owned()],
        ..ImageConfig::default()
    };
    build(&config, &files)
}
