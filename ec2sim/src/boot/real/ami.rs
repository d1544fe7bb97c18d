//! The machine image: links into the host's `/usr`, a few files, and the program that boots.

use std::io;
use tar::{Builder, EntryType, Header};

/// The program that boots a machine.
pub const INIT: &str = "/ec2sim/init";

const FOLDERS: [(&str, u32); 22] = [
    ("dev", 0o755),
    ("ec2sim", 0o755),
    ("ec2sim/bin", 0o755),
    ("ec2sim/images", 0o755),
    ("ec2sim/volumes", 0o755),
    ("etc", 0o755),
    ("etc/alternatives", 0o755),
    ("etc/ssl", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
    ("var/lib/docker", 0o710),
];
const LINKS: [(&str, &str); 6] = [
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("sbin", "usr/sbin"),
    ("var/run", "/run"),
    ("etc/mtab", "/proc/self/mounts"),
];
const FILES: [(&str, u32, &str); 7] = [
    ("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"),
    ("etc/group", 0o644, "root:x:0:\ndocker:x:999:\nnogroup:x:65534:\n"),
    ("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("ec2sim/init", 0o755, include_str!("init.sh")),
    ("ec2sim/bin/poweroff", 0o755, include_str!("poweroff.sh")),
    ("ec2sim/bin/shutdown", 0o755, include_str!("poweroff.sh")),
    ("ec2sim/bin/halt", 0o755, include_str!("poweroff.sh")),
];

/// The root file system of a machine, as a tar archive.
pub fn archive() -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (path, mode) in FOLDERS {
        let mut header = header(EntryType::Directory, mode, 0);
        tar.append_data(&mut header, path, io::empty())?;
    }
    for (path, target) in LINKS {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, path, target)?;
    }
    for (path, mode, text) in FILES {
        append(&mut tar, path, mode, text.as_bytes())?;
    }
    tar.into_inner()
}

/// What is put into a machine before its first boot.
pub fn user_data(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, "var/lib/cloud/instance/user-data.txt", 0o700, text)?;
    tar.into_inner()
}

fn append(tar: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}
