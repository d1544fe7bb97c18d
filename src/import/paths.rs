//! Paths that a template gives: what they lead to, and that it lies inside the template's folder.

use super::env_file::is_env_file;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// No file of a template is larger than a ConfigMap can hold; whoever names a larger one means another.
const MAX_FILE: u64 = 16 << 20;

/// The folder of a template.
#[derive(Debug)]
pub struct Root(PathBuf);

/// Something inside the template's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its path from the template's folder, with `/`; empty for the folder itself.
    pub shown: String,
    /// Where it really is, free of symbolic links.
    pub real: PathBuf,
}

/// Why a path is not followed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is empty.
    Empty,
    /// It starts at the machine's root.
    Absolute(String),
    /// It has `..` where none is allowed.
    Climbs(String),
    /// It leaves the template's folder.
    Escapes(String),
    /// It leaves the template's folder through a symbolic link.
    Link(String),
    /// There is nothing.
    Missing(String),
    /// It is not of the kind that is needed.
    NotA(&'static str, String),
    /// It cannot be read.
    Unreadable(String, String),
    /// It is too large to be meant.
    TooLarge(String),
    /// A link leads back to a folder that it is in.
    Circle(String),
    /// A folder holds a file whose name is no text.
    NotUtf8(String, OsString),
    /// It holds secrets, and was to stand where anybody can read it.
    Secret(String),
    /// With this file a member has more than so many MiB.
    TooMuch(String, usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the path is empty: name a file inside the template's folder"),
            Self::Absolute(path) => {
                write!(f, "{path:?} is absolute: give a path relative to the template's folder")
            }
            Self::Climbs(path) => write!(f, "{path:?} has '..': give a path that only goes down"),
            Self::Escapes(path) => {
                write!(f, "{path:?} leaves the template's folder: bring the file into it and name that one")
            }
            Self::Link(path) => write!(
                f,
                "{path:?} leaves the template's folder through a symbolic link: put the file itself there"
            ),
            Self::Missing(path) => write!(f, "{path:?} does not exist: create it, or correct the path"),
            Self::NotA(kind, path) => write!(f, "{path:?} is not a {kind}: correct the path"),
            Self::Unreadable(path, why) => write!(f, "{path:?} cannot be read: {why}"),
            Self::TooLarge(path) => {
                write!(f, "{path:?} is larger than {} MiB: leave it out of the template", MAX_FILE >> 20)
            }
            Self::Circle(path) => {
                write!(f, "{path:?} is a symbolic link to a folder that it is in: take it away")
            }
            Self::NotUtf8(folder, name) => {
                let name = name.display();
                write!(f, "the name {name} in {folder:?} is not UTF-8: rename the file")
            }
            Self::Secret(path) => {
                write!(f, "{path:?} is an environment file, which is never written out: name another file")
            }
            Self::TooMuch(path, most) => write!(
                f,
                "with {path:?} this member has more than {most} MiB of files: put them into the runtime's image"
            ),
        }
    }
}

impl Root {
    /// The folder of a template.
    ///
    /// # Errors
    /// When it is not there.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::canonicalize(folder).map(Self)
    }

    /// The name of the folder.
    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What a path leads to that may not have `..`; `base` is a folder inside.
    ///
    /// # Errors
    /// When the path leaves the folder, or leads to nothing.
    pub fn below(&self, base: &str, path: &str) -> Result<Inside, Refused> {
        if Path::new(path).components().any(|c| c == Component::ParentDir) {
            return Err(Refused::Climbs(path.to_owned()));
        }
        self.from(base, path)
    }

    /// What a path leads to that may climb, as long as it stays inside; `base` is a folder inside.
    ///
    /// # Errors
    /// When the path leaves the folder, or leads to nothing.
    pub fn from(&self, base: &str, path: &str) -> Result<Inside, Refused> {
        if path.is_empty() {
            return Err(Refused::Empty);
        }
        let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
                Component::CurDir => {}
                Component::ParentDir => {
                    parts.pop().ok_or_else(|| Refused::Escapes(path.to_owned()))?;
                }
                Component::RootDir | Component::Prefix(_) => return Err(Refused::Absolute(path.to_owned())),
            }
        }
        self.real(&parts.join("/"))
    }

    /// What lies at a path that is known to have neither `..` nor a leading slash.
    ///
    /// # Errors
    /// When a symbolic link leads out of the folder, or to nothing.
    pub fn real(&self, shown: &str) -> Result<Inside, Refused> {
        let real = fs::canonicalize(self.0.join(shown)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refused::Missing(shown.to_owned()),
            _ => Refused::Unreadable(shown.to_owned(), error.to_string()),
        })?;
        if real.starts_with(&self.0) {
            Ok(Inside { shown: shown.to_owned(), real })
        } else {
            Err(Refused::Link(shown.to_owned()))
        }
    }
}

impl Inside {
    /// The bytes of a file.
    ///
    /// # Errors
    /// When it is no regular file, cannot be read, or is too large.
    pub fn read(&self) -> Result<Vec<u8>, Refused> {
        let unreadable = |error: io::Error| Refused::Unreadable(self.shown.clone(), error.to_string());
        // A pipe would keep us waiting, so ask before opening.
        if !fs::metadata(&self.real).map_err(unreadable)?.is_file() {
            return Err(Refused::NotA("file", self.shown.clone()));
        }
        let file = fs::File::open(&self.real).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(Refused::TooLarge(self.shown.clone()));
        }
        Ok(bytes)
    }

    /// Whether it holds secrets, by its own name or by that of what a link leads to.
    pub fn is_secret(&self) -> bool {
        is_env_file(Path::new(&self.shown)) || is_env_file(&self.real)
    }

    /// The text of a file that is to be written out.
    ///
    /// # Errors
    /// As `read`, and when it is not UTF-8 or holds secrets.
    pub fn text(&self) -> Result<String, Refused> {
        if self.is_secret() {
            return Err(Refused::Secret(self.shown.clone()));
        }
        String::from_utf8(self.read()?).map_err(|_| Refused::NotA("UTF-8 text file", self.shown.clone()))
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &str {
        self.shown.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::Folder;
    use std::os::unix::fs::symlink;

    fn root(folder: &Folder) -> Root {
        Root::new(&folder.path().join("template")).unwrap()
    }

    /// `template/` with something in it, and a secret beside it.
    fn scene() -> Folder {
        let folder = Folder::new();
        folder.write("secret.md", "not yours");
        folder.write("outside/secret.md", "not yours");
        folder.write("template/role/prompt.md", "a prompt");
        folder.write("template/teams/dev.yaml", "name: dev");
        folder
    }

    #[test]
    fn what_lies_inside_is_found_also_through_links_that_stay_inside() {
        let folder = scene();
        symlink("role", folder.path().join("template/linked")).unwrap();
        symlink("role/prompt.md", folder.path().join("template/prompt.md")).unwrap();
        let root = root(&folder);
        for path in ["role/prompt.md", "./role//prompt.md", "linked/prompt.md", "prompt.md"] {
            assert_eq!(root.below("", path).unwrap().text().unwrap(), "a prompt", "{path}");
        }
        assert_eq!(root.from("teams", "../role/prompt.md").unwrap().shown, "role/prompt.md");
        assert_eq!(root.below("role", "prompt.md").unwrap().folder(), "role");
    }

    #[test]
    fn no_path_leaves_the_folder() {
        let folder = scene();
        let template = folder.path().join("template");
        symlink("../secret.md", template.join("file-link.md")).unwrap();
        symlink(folder.path().join("outside"), template.join("folder-link")).unwrap();
        symlink("folder-link", template.join("link-to-link")).unwrap();
        // Its name starts as the template's does.
        folder.write("template-2/secret.md", "not yours");
        symlink("../template-2", template.join("neighbour")).unwrap();
        let root = root(&folder);
        let absolute = folder.path().join("secret.md").display().to_string();
        let table = [
            ("", Refused::Empty),
            (absolute.as_str(), Refused::Absolute(absolute.clone())),
            ("../secret.md", Refused::Climbs("../secret.md".into())),
            ("role/../../secret.md", Refused::Climbs("role/../../secret.md".into())),
            ("role/../role/prompt.md", Refused::Climbs("role/../role/prompt.md".into())),
            ("file-link.md", Refused::Link("file-link.md".into())),
            ("folder-link/secret.md", Refused::Link("folder-link/secret.md".into())),
            ("link-to-link/secret.md", Refused::Link("link-to-link/secret.md".into())),
            ("neighbour/secret.md", Refused::Link("neighbour/secret.md".into())),
            ("role/absent.md", Refused::Missing("role/absent.md".into())),
            ("role/prompt.md/x", Refused::Missing("role/prompt.md/x".into())),
        ];
        for (path, expected) in table {
            assert_eq!(root.below("", path), Err(expected), "{path}");
        }
        for path in ["../secret.md", "teams/../../secret.md", "teams/../../template/../secret.md"] {
            assert_eq!(root.from("", path), Err(Refused::Escapes(path.into())), "{path}");
        }
        // Out and in again is out: the folder's own name is no part of the template.
        assert!(matches!(root.from("teams", "../../template/role/prompt.md"), Err(Refused::Escapes(_))));
        assert_eq!(root.from("", "file-link.md"), Err(Refused::Link("file-link.md".into())));
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = scene();
        let root = root(&folder);
        assert_eq!(root.below("", "role").unwrap().read(), Err(Refused::NotA("file", "role".into())));
        folder.write_bytes("template/latin1.md", b"caf\xe9");
        let latin1 = root.below("", "latin1.md").unwrap();
        assert_eq!(latin1.text(), Err(Refused::NotA("UTF-8 text file", "latin1.md".into())));
        assert_eq!(latin1.read().unwrap(), b"caf\xe9");
    }

    #[test]
    fn no_file_with_secrets_is_written_out_whatever_its_name() {
        let folder = scene();
        folder.write("template/role/.env", "KEY=secret");
        symlink("role/.env", folder.path().join("template/notes.md")).unwrap();
        let root = root(&folder);
        for path in ["role/.env", "notes.md"] {
            assert_eq!(root.below("", path).unwrap().text(), Err(Refused::Secret(path.into())), "{path}");
        }
    }
}
