//! `!include`: the template as one tree, with what it includes in its place.

use super::findings::{Finding, Spot};
use super::paths::{Inside, Refused, Root};
use super::tree::{self, Budget, Mark, Node, Value, child, item};
use std::path::PathBuf;
use std::rc::Rc;

/// How deep includes may be nested.
const MAX_DEPTH: usize = 16;
/// How deep values may be nested, over all files: whoever reads the tree calls itself once a level.
const MAX_LEVELS: usize = 256;

/// Reads a template from its first file on.
///
/// # Errors
/// When a file cannot be read or is not YAML, an include leads out of the folder, back to itself or too deep,
/// or a tag is not known.
pub fn load(root: &Root, first: &str) -> Result<Node, Finding> {
    let at = Spot::of_file(first);
    let file = root.below("", first).map_err(|refused| Finding::new(at.clone(), refused.to_string()))?;
    let mut loading = Loading { root, budget: Budget::default(), open: Vec::new(), levels: 0 };
    loading.file(&file, &at)
}

struct Loading<'r> {
    root: &'r Root,
    budget: Budget,
    /// The files that are being read, each included by the one before: where it really is, and its name.
    open: Vec<(PathBuf, String)>,
    /// How deep in lists and mappings we are.
    levels: usize,
}

impl Loading<'_> {
    fn file(&mut self, file: &Inside, at: &Spot) -> Result<Node, Finding> {
        let refuse = |refused: Refused| Finding::new(at.clone(), refused.to_string());
        let name: Rc<str> = file.shown.as_str().into();
        let node = tree::parse(&name, &file.text().map_err(refuse)?, &at.key, &mut self.budget)?;
        self.open.push((file.real.clone(), file.shown.clone()));
        let node = self.expand(node, &at.key, file.folder());
        self.open.pop();
        node
    }

    fn expand(&mut self, node: Node, key: &str, folder: &str) -> Result<Node, Finding> {
        if self.levels > MAX_LEVELS {
            // The key itself is as long as the way to it.
            let text = format!("values are nested more than {MAX_LEVELS} deep here: take some levels out");
            return Err(Finding::new(node.mark.spot("…"), text));
        }
        self.levels += 1;
        let node = self.expand_level(node, key, folder);
        self.levels -= 1;
        node
    }

    fn expand_level(&mut self, node: Node, key: &str, folder: &str) -> Result<Node, Finding> {
        let Node { mark, value } = node;
        let value = match value {
            Value::Scalar { .. } => value,
            Value::List(items) => {
                let items = items.into_iter().enumerate();
                let items = items.map(|(index, node)| self.expand(node, &item(key, index), folder));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Value::Map(mut entries) => {
                for entry in &mut entries {
                    let nothing = Value::Scalar { text: String::new(), plain: true };
                    let empty = Node { mark: entry.mark.clone(), value: nothing };
                    let value = std::mem::replace(&mut entry.value, empty);
                    entry.value = self.expand(value, &child(key, &entry.key), folder)?;
                }
                Value::Map(entries)
            }
            Value::Tagged { tag, value } => return self.tagged(&mark, &tag, &value, key, folder),
        };
        Ok(Node { mark, value })
    }

    fn tagged(
        &mut self,
        mark: &Mark,
        tag: &str,
        value: &Node,
        key: &str,
        folder: &str,
    ) -> Result<Node, Finding> {
        let at = mark.spot(key);
        let refuse = |text: String| Err(Finding::new(at.clone(), text));
        match (tag, &value.value) {
            ("!include", Value::Scalar { text, .. }) => match self.root.from(folder, text) {
                Ok(file) => self.include(&file, &at),
                Err(refused) => refuse(refused.to_string()),
            },
            ("!include", _) => refuse(format!("!include takes a path, and this is {}", value.title())),
            ("!external", _) => refuse(
                "!external fetches from another repository, which an import does not do: \
                 copy what it names into the template and use !include"
                    .to_owned(),
            ),
            _ => refuse(format!("the tag {tag} is not known: take it out, or put the text in quotes")),
        }
    }

    fn include(&mut self, file: &Inside, at: &Spot) -> Result<Node, Finding> {
        if let Some(since) = self.open.iter().position(|(real, _)| *real == file.real) {
            let circle: Vec<&str> = self.open[since..].iter().map(|(_, name)| name.as_str()).collect();
            let text = format!(
                "files include each other in a circle: {} -> {}; take one !include out",
                circle.join(" -> "),
                file.shown
            );
            return Err(Finding::new(at.clone(), text));
        }
        if self.open.len() > MAX_DEPTH {
            let text = format!(
                "includes are nested more than {MAX_DEPTH} deep here: include {:?} from a file further up",
                file.shown
            );
            return Err(Finding::new(at.clone(), text));
        }
        self.file(file, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::testing::Folder;
    use serde_json::json;
    use std::os::unix::fs::symlink;

    fn read(folder: &Folder) -> Result<Node, Finding> {
        load(&Root::new(folder.path()).unwrap(), "org.yaml")
    }

    fn refusal(folder: &Folder) -> String {
        read(folder).unwrap_err().to_string()
    }

    /// `org.yaml` includes `1.yaml`, which includes `2.yaml`, and so on.
    fn nested(depth: usize) -> Folder {
        let folder = Folder::new();
        folder.write("org.yaml", "in: !include 1.yaml\n");
        for n in 1..depth {
            folder.write(&format!("{n}.yaml"), &format!("# a comment\nin: !include {}.yaml\n", n + 1));
        }
        folder.write(&format!("{depth}.yaml"), "end");
        folder
    }

    #[test]
    fn a_value_an_item_and_a_whole_workspace_can_be_included() {
        let folder = Folder::new();
        folder.write(
            "org.yaml",
            "name: !include texts/name.yaml\nworkspaces:\n- !include teams/dev.yaml\n- {name: c}\n",
        );
        folder.write("texts/name.yaml", "A studio\n");
        // Relative to the including file, and up again inside the template.
        folder.write(
            "teams/dev.yaml",
            "name: a\nchildren:\n- !include sub/b.yaml\n- !include ../texts/d.yaml\n",
        );
        folder.write("teams/sub/b.yaml", "name: b\n");
        folder.write("texts/d.yaml", "name: d\n");
        let expected = json!({"name": "A studio", "workspaces": [
            {"name": "a", "children": [{"name": "b"}, {"name": "d"}]}, {"name": "c"}]});
        let node = read(&folder).unwrap();
        assert_eq!(node.json(), expected);
    }

    #[test]
    fn an_included_value_knows_its_own_file() {
        let folder = Folder::new();
        folder.write("org.yaml", "ws:\n- !include a/b.yaml\n");
        folder.write("a/b.yaml", "\nname: a\nname: b\n");
        let expected = "a/b.yaml:3: ws[0].name: the key stands on line 2 already: keep one of the two";
        assert_eq!(refusal(&folder), expected);
    }

    #[test]
    fn sixteen_deep_is_fine_and_seventeen_is_not() {
        assert!(read(&nested(16)).is_ok());
        let said = refusal(&nested(17));
        assert!(said.starts_with("16.yaml:2: in.in.in."), "{said}");
        assert!(said.contains("more than 16 deep") && said.contains("\"17.yaml\""), "{said}");
    }

    #[test]
    fn a_circle_is_refused_and_named() {
        let folder = Folder::new();
        folder.write("org.yaml", "workspaces:\n- !include a.yaml\n");
        folder.write("a.yaml", "children:\n- !include sub/b.yaml\n");
        folder.write("sub/b.yaml", "children: [!include ../a.yaml]\n");
        let expected = "sub/b.yaml:1: workspaces[0].children[0].children[0]: files include each other in a \
                        circle: a.yaml -> sub/b.yaml -> a.yaml; take one !include out";
        assert_eq!(refusal(&folder), expected);
        // A link does not hide a circle, and the first file is part of it.
        folder.write("org.yaml", "in: !include link.yaml\n");
        symlink("org.yaml", folder.path().join("link.yaml")).unwrap();
        assert!(refusal(&folder).contains("org.yaml -> link.yaml"), "{}", refusal(&folder));
    }

    #[test]
    fn values_that_are_nested_without_end_are_refused() {
        let folder = Folder::new();
        let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(100), "]".repeat(100));
        folder.write("org.yaml", &nested("!include 1.yaml"));
        folder.write("1.yaml", &nested("!include 2.yaml"));
        folder.write("2.yaml", &nested("x"));
        assert!(refusal(&folder).starts_with("2.yaml:1: …: values are nested more than 256 deep"));
    }

    #[test]
    fn the_same_file_twice_is_no_circle() {
        let folder = Folder::new();
        folder.write("org.yaml", "[!include a.yaml, !include a.yaml]");
        folder.write("a.yaml", "x");
        assert_eq!(read(&folder).unwrap().json(), json!(["x", "x"]));
    }

    #[test]
    fn includes_that_double_themselves_are_refused() {
        let folder = Folder::new();
        folder.write("org.yaml", "[!include 1.yaml, !include 1.yaml]");
        for n in 1..16 {
            let next = vec![format!("!include {}.yaml", n + 1); 8].join(", ");
            folder.write(&format!("{n}.yaml"), &format!("[{next}]"));
        }
        folder.write("16.yaml", "end");
        assert!(refusal(&folder).contains("more than 100000 values"), "{}", refusal(&folder));
    }

    #[test]
    fn an_include_that_cannot_be_followed_names_key_and_fix() {
        let table = [
            ("a: !include ../x.yaml", "org.yaml:1: a: \"../x.yaml\" leaves the template's folder"),
            ("a: !include /etc/passwd", "\"/etc/passwd\" is absolute"),
            ("a:\n  b: !include x.yaml", "org.yaml:2: a.b: \"x.yaml\" does not exist: create it"),
            ("- !include ''", "org.yaml:1: [0]: the path is empty"),
            ("a: !include [x]", "!include takes a path, and this is a list"),
            ("a: !include sub", "\"sub\" is not a file"),
            ("a: !include link.yaml", "\"link.yaml\" leaves the template's folder through a symbolic link"),
            ("a: !external {repo: r, ref: main, path: p}", "org.yaml:1: a: !external fetches"),
            ("a: !secret x", "the tag !secret is not known"),
        ];
        for (text, words) in table {
            let folder = Folder::new();
            folder.write("sub/x.yaml", "x");
            symlink("/etc/hostname", folder.path().join("link.yaml")).unwrap();
            folder.write("org.yaml", text);
            let said = refusal(&folder);
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
