//! The archive that fills the volumes of a box: uploaded before it starts, or fetched by the machine that runs it.

use super::BoxFile;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// Who owns what is uploaded: a user and a group inside the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u64,
    pub(crate) gid: u64,
}

impl Owner {
    /// The user that an image which starts as root steps down to.
    pub(crate) const STEPPED_DOWN: Self = Self { uid: 1000, gid: 1000 };
}

/// A tar archive: first these folders, then the files below `base`, with the folders on the way. All of it is
/// the owner's. The folder that an archive is unpacked in keeps its owner, whatever the archive says.
pub(crate) fn archive(folders: &[&str], base: &str, files: &[BoxFile], owner: Owner) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut there = BTreeSet::new();
    for folder in folders {
        append(&mut tar, Path::new(folder), EntryType::Directory, 0o755, owner, &[])?;
        there.insert(PathBuf::from(folder));
    }
    for file in files {
        let path = Path::new(base).join(&file.path);
        let on_the_way: Vec<_> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
        for folder in on_the_way.into_iter().rev() {
            if there.insert(folder.to_owned()) {
                append(&mut tar, folder, EntryType::Directory, 0o755, owner, &[])?;
            }
        }
        append(&mut tar, &path, EntryType::Regular, file.mode, owner, &file.bytes)?;
    }
    tar.into_inner()
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &Path,
    kind: EntryType,
    mode: u32,
    owner: Owner,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.uid);
    header.set_gid(owner.gid);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    const OWNER: Owner = Owner { uid: 1000, gid: 1001 };

    fn file(path: &str, text: &str, mode: u32) -> BoxFile {
        BoxFile { path: path.into(), bytes: text.into(), mode }
    }

    /// Path, folder or not, mode, content of each entry.
    fn unpack(bytes: &[u8]) -> Vec<(String, bool, u32, String)> {
        let mut tar = tar::Archive::new(bytes);
        let entries = tar.entries().expect("an archive");
        entries
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1000, 1001));
                let (folder, mode) = (header.entry_type().is_dir(), header.mode().unwrap());
                let path = entry.path().unwrap().to_string_lossy().into_owned();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                (path, folder, mode, text)
            })
            .collect()
    }

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let files = [
            file(".auth_token", "t", 0o600),
            file("skills/a/X.md", "x", 0o644),
            file("skills/b", "y", 0o644),
        ];
        let entries = unpack(&archive(&[], "", &files, OWNER).unwrap());
        let expected = [
            (".auth_token", false, 0o600, "t"),
            ("skills", true, 0o755, ""),
            ("skills/a", true, 0o755, ""),
            ("skills/a/X.md", false, 0o644, "x"),
            ("skills/b", false, 0o644, "y"),
        ];
        assert_eq!(entries, expected.map(|(p, d, m, t)| (p.into(), d, m, t.into())));
    }

    #[test]
    fn files_can_stand_below_a_folder() {
        let entries = unpack(&archive(&["a", "b"], "a", &[file("c/d", "x", 0o644)], OWNER).unwrap());
        let paths: Vec<_> = entries.into_iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, ["a", "b", "a/c", "a/c/d"]);
    }

    #[test]
    fn a_long_path_survives() {
        let path = format!("{}/{}", "d".repeat(120), "f".repeat(200));
        let entries = unpack(&archive(&[], "", &[file(&path, "z", 0o644)], OWNER).unwrap());
        assert_eq!(entries.last().unwrap().0, path);
    }
}
