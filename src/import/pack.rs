//! Pack: files into ConfigMaps that `kubectl apply` takes. Pure.
//!
//! Client-side apply keeps a copy of the object in one annotation, as JSON, and annotations end at 262,144
//! bytes together. So what counts is not the size of a file but that of its text in that copy.

use std::collections::{BTreeMap, BTreeSet};

/// What the data of one object may weigh; the rest of the copy is names and labels.
pub const BUDGET: usize = 250 * 1024;
/// How many files of a member are listed one by one. Each costs a line in the Team, whose own copy must fit
/// as well; a folder of its own costs one line however much is in it.
const MAX_LISTED: usize = 16;
/// The longest key of a ConfigMap.
const MAX_KEY: usize = 253;

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, readable in the manifest.
    Text(String),
    /// Anything else.
    Binary(Vec<u8>),
}

impl Content {
    /// Text where it can be, and where its text does not weigh more than one ConfigMap holds.
    pub fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') && in_json(&text) <= BUDGET => Self::Text(text),
            Ok(text) => Self::Binary(text.into_bytes()),
            Err(error) => Self::Binary(error.into_bytes()),
        }
    }

    /// What it takes in the copy.
    pub fn weight(&self) -> usize {
        match self {
            Self::Text(text) => in_json(text),
            Self::Binary(bytes) => bytes.len().div_ceil(3) * 4,
        }
    }
}

/// The bytes of a text in JSON as `kubectl` writes it, which escapes what HTML would read as its own.
pub fn in_json(text: &str) -> usize {
    let bytes = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        _ => c.len_utf8(),
    };
    text.chars().map(bytes).sum::<usize>() + 2
}

/// A file and the path that it gets under `/configs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path.
    pub path: String,
    /// What is in it.
    pub content: Content,
}

/// A key of one of the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The map's index.
    pub map: usize,
    /// The key.
    pub key: String,
}

/// Files and prompts in maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The data of each map.
    pub maps: Vec<BTreeMap<String, Content>>,
    /// Files that are listed one by one, by path.
    pub listed: BTreeMap<String, Place>,
    /// Maps that stand for a folder, by index: its path, empty for `/configs` itself.
    pub folders: BTreeMap<usize, String>,
    /// Where each prompt is, by the key that was asked for.
    pub prompts: BTreeMap<String, Place>,
    /// Where each file is, by path.
    pub files: BTreeMap<String, Place>,
}

/// Packs prompts, each under a key, and files; none may weigh more than the budget.
pub fn pack(prompts: &BTreeMap<String, Content>, files: Vec<File>, budget: usize) -> Packed {
    let mut packed = Packed::default();
    let whole = whole_folders(&files);
    let (foldered, listed): (Vec<File>, Vec<File>) =
        files.into_iter().partition(|file| whole.contains(folder(&file.path)) && is_key(name(&file.path)));
    let mut shared = Filling::new(&mut packed.maps, budget);
    for (key, content) in prompts {
        let place = shared.put(key, content.clone());
        packed.prompts.insert(key.clone(), place);
    }
    for file in listed {
        let place = shared.put(&key(&file.path), file.content);
        packed.files.insert(file.path.clone(), place.clone());
        packed.listed.insert(file.path, place);
    }
    let mut by_folder: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in foldered {
        by_folder.entry(folder(&file.path).to_owned()).or_default().push(file);
    }
    for (folder, files) in by_folder {
        let mut filling = Filling::new(&mut packed.maps, budget);
        for file in files {
            let place = filling.put(name(&file.path), file.content);
            packed.folders.insert(place.map, folder.clone());
            packed.files.insert(file.path, place);
        }
    }
    packed
}

/// Folders whose files are not listed one by one: those with the most files, until few enough are left.
fn whole_folders(files: &[File]) -> BTreeSet<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files.iter().filter(|file| is_key(name(&file.path))) {
        *counts.entry(folder(&file.path)).or_default() += 1;
    }
    let mut fullest: Vec<(&str, usize)> = counts.into_iter().collect();
    // A stable sort: folders of the same size stay in the order of their names.
    fullest.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut listed = files.len();
    let mut whole = BTreeSet::new();
    for (folder, count) in fullest {
        if listed <= MAX_LISTED {
            break;
        }
        listed -= count;
        whole.insert(folder.to_owned());
    }
    whole
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn is_key(name: &str) -> bool {
    key(name) == name && name.len() <= MAX_KEY
}

/// A key that says as much of a path as a key can.
fn key(path: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let key = path.replace('/', "__").replace(|c| !allowed(c), "_");
    if key == "." || key.starts_with("..") { format!("_{key}") } else { key }
}

/// Maps that are filled one after the other.
struct Filling<'m> {
    maps: &'m mut Vec<BTreeMap<String, Content>>,
    budget: usize,
    /// What the last map still takes; nothing before the first.
    left: usize,
    keys: BTreeSet<String>,
}

impl<'m> Filling<'m> {
    fn new(maps: &'m mut Vec<BTreeMap<String, Content>>, budget: usize) -> Self {
        Self { maps, budget, left: 0, keys: BTreeSet::new() }
    }

    fn put(&mut self, wanted: &str, content: Content) -> Place {
        let key = self.unused(wanted);
        // Quotes, colon and comma come to four.
        let weight = content.weight() + key.len() + 4;
        if self.keys.is_empty() || weight > self.left {
            self.maps.push(BTreeMap::new());
            self.left = self.budget;
        }
        self.left = self.left.saturating_sub(weight);
        let map = self.maps.len() - 1;
        self.maps[map].insert(key.clone(), content);
        self.keys.insert(key.clone());
        Place { map, key }
    }

    fn unused(&self, wanted: &str) -> String {
        let start = |most: usize| &wanted[..wanted.len().min(most)];
        let mut key = start(MAX_KEY).to_owned();
        let mut number = 1;
        while self.keys.contains(&key) {
            number += 1;
            let suffix = format!("-{number}");
            key = format!("{}{suffix}", start(MAX_KEY - suffix.len()));
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), content: Content::Text(text.into()) }
    }

    fn prompts(keys: &[&str]) -> BTreeMap<String, Content> {
        keys.iter().map(|&key| (key.to_owned(), Content::Text("p".into()))).collect()
    }

    #[test]
    fn a_few_files_share_one_map_with_the_prompts() {
        let files = vec![file("CLAUDE.md", "a"), file("skills/x/SKILL.md", "b"), file("odd name é.md", "c")];
        let packed = pack(&prompts(&["system-prompt.md"]), files, BUDGET);
        let keys: Vec<_> = packed.maps[0].keys().map(String::as_str).collect();
        assert_eq!(keys, ["CLAUDE.md", "odd_name__.md", "skills__x__SKILL.md", "system-prompt.md"]);
        assert_eq!(packed.listed["skills/x/SKILL.md"].key, "skills__x__SKILL.md");
        assert_eq!((packed.maps.len(), packed.folders.len(), packed.listed.len()), (1, 0, 3));
    }

    #[test]
    fn paths_that_make_the_same_key_stay_apart() {
        let packed = pack(&prompts(&[]), vec![file("a/b", "1"), file("a__b", "2"), file("a b", "3")], BUDGET);
        assert_eq!(packed.maps[0]["a__b"], Content::Text("1".into()));
        assert_eq!(packed.maps[0]["a__b-2"], Content::Text("2".into()));
        assert_eq!(packed.maps[0]["a_b"], Content::Text("3".into()));
    }

    #[test]
    fn a_folder_of_many_files_gets_maps_of_its_own() {
        let mut files: Vec<File> = (0..40).map(|n| file(&format!("data/{n:02}.txt"), "x")).collect();
        files.push(file("data/odd name", "x"));
        files.push(file("README.md", "x"));
        let packed = pack(&prompts(&["system-prompt.md"]), files, 120);
        assert_eq!(packed.listed.keys().collect::<Vec<_>>(), ["README.md", "data/odd name"]);
        assert!(packed.folders.len() > 1, "{packed:?}");
        assert!(packed.folders.values().all(|folder| folder == "data"));
        // The prompt is a file of Atelier's own, which a map that stands for a folder must not bring.
        assert!(!packed.folders.contains_key(&packed.prompts["system-prompt.md"].map));
    }

    #[test]
    fn a_texts_weight_is_that_of_kubectls_copy() {
        for (text, weight) in [("abc", 5), ("a\nb", 6), ("\"\\", 6), ("<&>", 20), ("é", 4), ("\u{2028}", 8)]
        {
            assert_eq!(in_json(text), weight, "{text:?}");
        }
        // Markup weighs six times its size as text, and a third more than it as binary data.
        let markup = vec![b'<'; 100 * 1024];
        assert!(matches!(Content::of(markup), Content::Binary(bytes) if bytes.len() == 100 * 1024));
        assert_eq!(Content::of(b"caf\xe9".to_vec()), Content::Binary(b"caf\xe9".to_vec()));
        assert_eq!(Content::of(b"a\0b".to_vec()), Content::Binary(b"a\0b".to_vec()));
        assert_eq!(Content::of(b"plain".to_vec()), Content::Text("plain".into()));
    }

    proptest! {
        #[test]
        fn every_file_is_found_where_it_was_put_and_no_map_is_too_heavy(
            paths in proptest::collection::btree_set("([a-c]{1,2}/){0,2}[a-d .é]{1,3}", 0..60),
            size in 0..40usize,
        ) {
            let files: Vec<File> = paths.iter().map(|path| file(path, &"x".repeat(size))).collect();
            let budget = 200;
            let packed = pack(&prompts(&["p"]), files.clone(), budget);
            for file in &files {
                let place = &packed.files[&file.path];
                prop_assert_eq!(&packed.maps[place.map][&place.key], &file.content);
                if let Some(listed) = packed.listed.get(&file.path) {
                    prop_assert_eq!(listed, place);
                } else {
                    // The operator makes the path from the folder and the key.
                    let folder = &packed.folders[&place.map];
                    let path = format!("{folder}/{}", place.key);
                    prop_assert_eq!(path.trim_start_matches('/'), &file.path);
                }
            }
            let stored: usize = packed.maps.iter().map(BTreeMap::len).sum();
            prop_assert_eq!(stored, files.len() + 1);
            for map in &packed.maps {
                let weight: usize = map.iter().map(|(key, content)| content.weight() + key.len() + 4).sum();
                prop_assert!(weight <= budget, "{weight}");
                prop_assert!(map.keys().all(|k| key(k) == *k));
            }
            prop_assert_eq!(&packed, &pack(&prompts(&["p"]), files, budget));
        }
    }
}
