//! A folder of files: everything under a `files_dir`, wherever links lead inside the template.

use super::paths::{Inside, Refused, Root};
use std::fs;
use std::path::PathBuf;

/// What one member may bring, in bytes: what as many ConfigMaps as a Team may name can hold.
const MAX_TOGETHER: usize = 64 * 250 * 1024;

/// A file that was found.
#[derive(Debug)]
pub struct Found {
    /// Its path from the folder, with `/`.
    pub path: String,
    /// Where it is.
    pub inside: Inside,
}

/// What was found under a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files, in the order of their paths.
    pub files: Vec<Found>,
    /// Folders of version control, from the template's folder, which are left out.
    pub left_out: Vec<String>,
}

/// Everything under a folder.
///
/// # Errors
/// When a link leads out of the template, to nothing or round in a circle, when something is neither file nor
/// folder, or when it is more than a member can have.
pub fn list(root: &Root, folder: &Inside) -> Result<Listing, Refused> {
    let mut listing = Listing::default();
    let mut walk = Walk { root, listing: &mut listing, open: Vec::new(), bytes: 0 };
    walk.folder(folder, "")?;
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

struct Walk<'r, 'l> {
    root: &'r Root,
    listing: &'l mut Listing,
    /// The folders that are being read, each inside the one before.
    open: Vec<PathBuf>,
    bytes: usize,
}

impl Walk<'_, '_> {
    fn folder(&mut self, folder: &Inside, path: &str) -> Result<(), Refused> {
        if self.open.contains(&folder.real) {
            return Err(Refused::Circle(folder.shown.clone()));
        }
        self.open.push(folder.real.clone());
        let unreadable = |error: std::io::Error| Refused::Unreadable(folder.shown.clone(), error.to_string());
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder.real).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let text = name.clone().into_string();
            names.push(text.map_err(|_| Refused::NotUtf8(folder.shown.clone(), name))?);
        }
        names.sort();
        for name in names {
            self.entry(&under(&folder.shown, &name), &under(path, &name), &name)?;
        }
        self.open.pop();
        Ok(())
    }

    fn entry(&mut self, shown: &str, path: &str, name: &str) -> Result<(), Refused> {
        let inside = self.root.real(shown)?;
        let about = fs::metadata(&inside.real)
            .map_err(|error| Refused::Unreadable(shown.to_owned(), error.to_string()))?;
        if name == ".git" {
            self.listing.left_out.push(shown.to_owned());
        } else if about.is_dir() {
            self.folder(&inside, path)?;
        } else if about.is_file() {
            self.bytes = self.bytes.saturating_add(usize::try_from(about.len()).unwrap_or(usize::MAX));
            if self.bytes > MAX_TOGETHER {
                return Err(Refused::TooMuch(shown.to_owned(), MAX_TOGETHER >> 20));
            }
            self.listing.files.push(Found { path: path.to_owned(), inside });
        } else {
            return Err(Refused::NotA("file or folder", shown.to_owned()));
        }
        Ok(())
    }
}

fn under(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::Folder;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn listed(folder: &Folder) -> Result<Listing, Refused> {
        let root = Root::new(&folder.path().join("template")).unwrap();
        list(&root, &root.below("", "role").unwrap())
    }

    fn scene() -> Folder {
        let folder = Folder::new();
        folder.write("outside/secret.md", "not yours");
        folder.write("template/role/b.md", "b");
        folder.write("template/role/a/z.md", "z");
        folder.write("template/shared/tone.md", "calm");
        folder
    }

    #[test]
    fn everything_under_it_is_found_in_order_also_through_links_inside() {
        let folder = scene();
        let role = folder.path().join("template/role");
        symlink("../shared", role.join("common")).unwrap();
        symlink("../shared/tone.md", role.join("tone.md")).unwrap();
        folder.write("template/role/.git/config", "x");
        folder.write("template/role/.hidden", "x");
        let listing = listed(&folder).unwrap();
        let paths: Vec<_> = listing.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".hidden", "a/z.md", "b.md", "common/tone.md", "tone.md"]);
        assert_eq!(listing.left_out, ["role/.git"]);
    }

    #[test]
    fn a_link_that_leads_out_is_refused_by_its_path() {
        for target in ["../../../outside/secret.md", "../../../outside", "/etc/hostname"] {
            let folder = scene();
            symlink(target, folder.path().join("template/role/a/link")).unwrap();
            assert_eq!(listed(&folder).unwrap_err(), Refused::Link("role/a/link".into()), "{target}");
        }
    }

    #[test]
    fn a_link_to_nothing_and_a_link_round_are_refused() {
        let folder = scene();
        symlink("nothing", folder.path().join("template/role/link")).unwrap();
        assert_eq!(listed(&folder).unwrap_err(), Refused::Missing("role/link".into()));
        let folder = scene();
        symlink("..", folder.path().join("template/role/a/round")).unwrap();
        assert_eq!(listed(&folder).unwrap_err(), Refused::Circle("role/a/round".into()));
    }

    #[test]
    fn what_is_no_file_and_a_name_that_is_no_text_are_refused() {
        let folder = scene();
        let _socket = UnixListener::bind(folder.path().join("template/role/socket")).unwrap();
        assert_eq!(listed(&folder).unwrap_err(), Refused::NotA("file or folder", "role/socket".into()));
        let folder = scene();
        let name = std::ffi::OsString::from_vec(b"caf\xe9".to_vec());
        fs::write(folder.path().join("template/role").join(name), "x").unwrap();
        assert!(matches!(listed(&folder).unwrap_err(), Refused::NotUtf8(..)));
    }

    #[test]
    fn more_than_a_member_can_have_is_refused_before_it_is_read() {
        let folder = scene();
        let large = fs::File::create(folder.path().join("template/role/large.bin")).unwrap();
        large.set_len(17 << 20).unwrap();
        assert_eq!(listed(&folder).unwrap_err(), Refused::TooMuch("role/large.bin".into(), 15));
    }
}
