//! A machine for one boot: a folder, commands that take notes, and a registry.

use super::AGENT_TOKEN;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The commands of a real machine that the script may use.
const REAL: [&str; 21] = [
    "cat", "chmod", "chown", "curl", "cut", "env", "grep", "head", "ln", "ls", "mkdir", "rm", "rmdir", "sed",
    "sh", "tail", "tar", "touch", "tr", "wc", "blkid",
];

/// An engine that takes notes. What it does depends on the files of its state.
const DOCKER: &str = r#"
note "docker $*"
case "$1 $2" in
"version "*) ! fails daemon || { echo "cannot connect to the engine"; exit 1; } ;;
"container inspect") [ -e "$STATE/container" ] ;;
"image inspect")
    [ -e "$STATE/image" ] || exit 1
    case $3 in -f) cat "$STATE/user" ;; esac ;;
"pull -q")
    ! fails pull || { echo "toomanyrequests: slow \"down\""; exit 1; }
    touch "$STATE/image" ;;
"create --name")
    ! fails create || { echo "bad \\ flag"; exit 125; }
    for word in "$@"; do printf '%s\0' "$word"; done >"$STATE/create"
    env -0 >"$STATE/environment"
    cat ../env.list >"$STATE/env.list"
    touch "$STATE/container" ;;
"create "*) echo template ;;
"cp template:/workspace") [ -e "$STATE/workspace" ] && tar -cf - -C "$STATE" workspace ;;
"start "*) ! fails start || { echo "port is already allocated"; exit 1; } ;;
esac
"#;

/// A registry that answers as it is told, and remembers what it was told.
#[derive(Default)]
pub struct Registry {
    /// What is answered to `/registry/bundle`; the last one stays.
    pub bundles: VecDeque<(u16, Vec<u8>)>,
    /// What is answered to boot stages before 204.
    pub refusals: VecDeque<u16>,
    /// Every boot stage that was accepted.
    pub stages: Vec<Value>,
    /// The first line and the token of each call.
    pub calls: Vec<(String, String)>,
}

/// How a run of the script ended.
pub struct Run {
    pub ok: bool,
    /// What it printed.
    pub output: String,
}

/// A machine that boots.
pub struct Machine {
    pub dir: PathBuf,
    url: String,
    shell: Vec<String>,
    registry: Arc<Mutex<Registry>>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Machine {
    /// One machine for each shell of this one. Each has an engine, and a registry with a small bundle.
    pub fn every() -> Vec<Self> {
        let shells = [&["sh"][..], &["dash"], &["bash", "--posix"], &["busybox", "sh"]];
        let there = shells.into_iter().filter(|shell| find(shell[0]).is_some());
        there.map(Self::with).collect()
    }

    /// A machine of the system's own shell.
    pub fn new() -> Self {
        Self::with(&["sh"])
    }

    fn with(shell: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("atelier-boot-{}-{count}", std::process::id()));
        for folder in ["bin", "state", "devices"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        fs::write(dir.join("console"), "").unwrap();
        fs::write(dir.join("fstab"), "# what was there").unwrap();
        fs::write(dir.join("state/user"), "\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = Registry { bundles: [(200, bundle(&[]))].into(), ..Registry::default() };
        let machine = Self {
            dir,
            url: format!("http://{}", listener.local_addr().unwrap()),
            shell: shell.iter().map(|word| find(word).unwrap_or_else(|| (*word).into())).collect(),
            registry: Arc::new(Mutex::new(registry)),
        };
        for name in REAL {
            machine.link(name);
        }
        machine.stub("docker", DOCKER);
        machine.stub("sleep", r#"note "sleep $*""#);
        machine.stub("mount", r#"note "mount $*""#);
        machine.stub("mountpoint", "exit 1");
        machine.stub("ip", "echo '192.0.2.1 via 10.0.0.1 dev ens5 src 10.0.0.7 uid 0'");
        machine.stub("hostname", "echo '10.0.0.8 172.17.0.1'");
        let state = machine.registry.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &state)));
        machine
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes or reads what the registry answers and was told.
    pub fn registry<T>(&self, look: impl FnOnce(&mut Registry) -> T) -> T {
        look(&mut self.registry.lock().unwrap())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Lets a command of the engine fail so often.
    pub fn fail(&self, what: &str, times: usize) {
        fs::write(self.path(&format!("state/{what}-fails")), "x\n".repeat(times)).unwrap();
    }

    /// Gives the machine a real command.
    pub fn link(&self, name: &str) {
        if let Some(path) = find(name) {
            symlink(path, self.path("bin").join(name)).unwrap();
        }
    }

    /// Takes a command away.
    pub fn lose(&self, name: &str) {
        fs::remove_file(self.path("bin").join(name)).unwrap();
    }

    /// Gives the machine a command of a test's own.
    pub fn stub(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        let _ = fs::remove_file(&path);
        let text = format!(
            "#!/bin/sh\nSTATE={0}/state\nnote() {{ printf '%s\\n' \"$1\" >>{0}/calls; }}\n\
             fails() {{ [ -s \"$STATE/$1-fails\" ] && sed -i 1d \"$STATE/$1-fails\"; }}\n{body}\n",
            self.dir.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs user-data, with its places on the disk moved into this machine's folder.
    pub fn run(&self, user_data: &str) -> Run {
        let mut text = user_data.to_owned();
        for (name, real, here) in [
            ("DIR", "/opt/atelier", "atelier"),
            ("DEVICES", "/dev/disk/by-id", "devices"),
            ("FSTAB", "/etc/fstab", "fstab"),
            ("CONSOLE", "/dev/console", "console"),
        ] {
            let line = format!("\n{name}={real}\n");
            assert_eq!(text.matches(&line).count(), 1, "{name}");
            text = text.replace(&line, &format!("\n{name}={}\n", self.path(here).display()));
        }
        if self.shell[0].ends_with("busybox") {
            // It takes its own commands before those of PATH, and functions before both.
            let own = ["sleep", "mount", "mountpoint", "ip", "hostname", "blkid"]
                .map(|name| format!("{name}() {{ {} \"$@\"; }}\n", self.path("bin").join(name).display()));
            text = text.replacen('\n', &format!("\n{}", own.concat()), 1);
        }
        let script = self.path("user-data");
        fs::write(&script, text).unwrap();
        let mut command = Command::new(&self.shell[0]);
        command.args(&self.shell[1..]).arg(&script).env_clear().env("PATH", self.path("bin"));
        let output = command.output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        Run { ok: output.status.success(), output: String::from_utf8_lossy(&printed).into_owned() }
    }

    /// What was run, in order.
    pub fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(str::to_owned).collect()
    }

    /// The stages that the registry heard: which, and whether it went well.
    pub fn stages(&self) -> Vec<(String, bool)> {
        let said =
            |stage: &Value| (stage["stage"].as_str().unwrap().to_owned(), stage["ok"].as_bool().unwrap());
        self.registry(|registry| registry.stages.iter().map(said).collect())
    }

    /// The detail of the last stage.
    pub fn detail(&self) -> String {
        self.registry(|registry| registry.stages.last().unwrap()["detail"].as_str().unwrap().to_owned())
    }

    /// The words of the container's create.
    pub fn created(&self) -> Vec<String> {
        let words = self.read("state/create");
        words.split_terminator('\0').map(str::to_owned).collect()
    }

    /// The environment that the container gets: from the file, and what is taken over by name.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).unwrap();
        // The engine's client drops the return before a line's end.
        let mut all: BTreeMap<_, _> = self.read("state/env.list").lines().map(pair).collect();
        let of_client = self.read("state/environment");
        let of_client: BTreeMap<_, _> = of_client.split_terminator('\0').map(pair).collect();
        for words in self.created().windows(2).filter(|words| words[0] == "-e") {
            let (name, value) = words[1].split_once('=').unwrap_or((&words[1], ""));
            let value = if words[1].contains('=') { value } else { &of_client[name] };
            assert!(all.insert(name.into(), value.into()).is_none(), "{name} is given twice");
        }
        all
    }
}

/// The archive of a bundle with these files besides the usual ones.
pub fn bundle(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let usual: [(&str, &[u8], u32); 3] = [
        ("configs/.auth_token", AGENT_TOKEN.as_bytes(), 0o600),
        ("configs/plugins/p/a.md", b"a", 0o644),
        ("env/HOSTNAME", b"ws-0f8fad5bd9cb", 0o600),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    let mut append = |path: &str, kind, mode, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes).unwrap();
    };
    for folder in ["configs", "configs/plugins", "configs/plugins/p", "env"] {
        append(folder, tar::EntryType::Directory, 0o755, &[]);
    }
    for (path, bytes, mode) in usual.iter().chain(files) {
        append(path, tar::EntryType::Regular, *mode, bytes);
    }
    tar.into_inner().unwrap()
}

/// The clients of HTTP that the script knows and this machine has.
pub fn clients() -> impl Iterator<Item = &'static str> {
    ["curl", "wget"].into_iter().filter(|name| find(name).is_some())
}

/// Where a command of this machine is.
pub fn find(name: &str) -> Option<String> {
    let folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(Path::new);
    let found = folders.map(|folder| folder.join(name)).into_iter().find(|path| path.exists())?;
    Some(found.to_string_lossy().into_owned())
}

/// Answers one call on a connection of its own.
fn answer(mut stream: TcpStream, registry: &Mutex<Registry>) {
    let mut reader = BufReader::new(&stream);
    let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => token = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut registry = registry.lock().unwrap();
    registry.calls.push((first.trim().trim_end_matches(" HTTP/1.1").to_owned(), token));
    let (status, body) = if first.starts_with("GET /registry/bundle ") {
        let next = registry.bundles[0].clone();
        if registry.bundles.len() > 1 {
            registry.bundles.pop_front();
        }
        next
    } else if let Some(refusal) = registry.refusals.pop_front() {
        (refusal, b"{}".to_vec())
    } else {
        registry.stages.push(serde_json::from_slice(&body).unwrap());
        (204, Vec::new())
    };
    // A status of 299 stands for a bundle that breaks off.
    let (status, length) = if status == 299 { (200, body.len() + 1) } else { (status, body.len()) };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // The script may be gone.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}
