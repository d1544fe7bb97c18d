//! A template from its folder to its manifests, and what a user reads when something is wrong with it.

use super::testing::Folder;
use super::*;
use crate::api::team::Team;
use crate::api::workspace::{File, Tier};
use crate::team::validate::validate;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn args(folder: &Folder) -> ImportArgs {
    ImportArgs { path: folder.path().to_owned(), ..ImportArgs::default() }
}

fn imported(args: &ImportArgs) -> Imported {
    import(args).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn problems(folder: &Folder) -> Vec<String> {
    import(&args(folder)).map(|imported| imported.told).unwrap_err()
}

/// The objects of a kind, read back from the YAML.
fn objects<T: DeserializeOwned>(imported: &Imported, kind: &str) -> Vec<T> {
    let of_kind = imported.documents.iter().filter(|d| d.file.starts_with(&format!("{kind}-")));
    of_kind.map(|document| serde_saphyr::from_str(&document.yaml).unwrap()).collect()
}

fn team(imported: &Imported) -> Team {
    objects(imported, "team").remove(0)
}

/// Text by ConfigMap and key.
fn texts(imported: &Imported) -> BTreeMap<(String, String), String> {
    let mut texts = BTreeMap::new();
    for map in objects::<ConfigMap>(imported, "configmap") {
        let name = map.metadata.name.unwrap();
        texts.extend(map.data.into_iter().flatten().map(|(key, text)| ((name.clone(), key), text)));
    }
    texts
}

fn scene() -> Folder {
    let folder = Folder::new();
    folder.write(
        "org.yaml",
        r"
name: Small Studio
description: Makes small things.
defaults:
  runtime: demo
  tier: 1
  plugins: [careful-bash]
  initial_prompt_file: hello.md
  idle_prompt: Look around.
  required_env: [{any_of: [A_KEY, B_KEY]}]
  category_routing: {ui: [Maker]}
workspaces:
- name: Director
  role: Leads.
  files_dir: director
  tier: 2
  canvas: {x: 1, y: 2}
  children:
  - name: Maker
    files_dir: maker
    initial_prompt_file: start.md
    plugins: ['!careful-bash', browser]
    idle_interval_seconds: 60
    max_concurrent_tasks: 3
    category_routing: {ui: []}
    schedules: [{name: daily, cron_expr: '0 8 * * *', prompt_file: daily.md}]
  - name: Later
    spawning: false
    children: [{name: Much Later}]
",
    );
    folder.write("hello.md", "Hello all.\n");
    folder.write("director/system-prompt.md", "You lead.\n");
    folder.write("director/skills/review/SKILL.md", "Review.\n");
    folder.write("director/config.yaml", "model: x\n");
    folder.write("maker/system-prompt.md", "You make.\n");
    folder.write("maker/start.md", "Start.\n");
    folder.write("maker/daily.md", "Daily.\n");
    folder.write("maker/.env", "MAKER_KEY=secret-1\n");
    folder.write("maker/tools/prod.env", "TOOL_KEY=secret-2\n");
    folder.write(".env", "A_KEY=secret-0\n");
    folder
}

#[test]
fn a_template_becomes_a_team_that_says_the_same() {
    let imported = imported(&args(&scene()));
    let team = team(&imported);
    assert_eq!(validate(&team.spec), Ok(()));
    assert_eq!(team.metadata.name.as_deref(), Some("small-studio"));
    assert_eq!(team.spec.description.as_deref(), Some("Makes small things."));
    let defaults = team.spec.defaults.as_ref().unwrap();
    assert_eq!((defaults.runtime.as_deref(), defaults.tier), (Some("demo"), Some(Tier::T1)));
    assert_eq!(defaults.required_env[0].any_of, ["A_KEY", "B_KEY"]);
    let [director, maker] = &team.spec.members[..] else { panic!("{team:#?}") };
    assert_eq!((director.name.as_str(), director.reports_to.as_deref()), ("director", None));
    assert_eq!((maker.name.as_str(), maker.reports_to.as_deref()), ("maker", Some("director")));
    assert_eq!(director.template.tier, Some(Tier::T2));
    assert_eq!(director.template.display_name.as_deref(), Some("Director"));
    assert_eq!(maker.exclude_plugins, ["careful-bash"]);
    assert_eq!(maker.template.plugins[0].name, "browser");
    assert_eq!(maker.template.max_concurrent_tasks, Some(3));

    let texts = texts(&imported);
    let text = |from: &crate::api::workspace::KeyRef| texts[&(from.name.clone(), from.key.clone())].as_str();
    let prompts = |member: &crate::api::team::Member| member.template.prompts.clone().unwrap();
    assert_eq!(text(&prompts(director).system_from.unwrap().config_map_key_ref), "You lead.\n");
    assert_eq!(text(&prompts(maker).system_from.unwrap().config_map_key_ref), "You make.\n");
    assert_eq!(text(&prompts(maker).initial_from.unwrap().config_map_key_ref), "Start.\n");
    let all = defaults.prompts.as_ref().unwrap();
    assert_eq!(text(&all.initial_from.as_ref().unwrap().config_map_key_ref), "Hello all.\n");
    assert!(prompts(director).initial_from.is_none(), "left to the defaults");
    assert_eq!(all.idle.as_ref().unwrap().interval_seconds, 600);
    let idle = prompts(maker).idle.unwrap();
    assert_eq!((idle.prompt.as_str(), idle.interval_seconds), ("Look around.", 60));

    let paths = |member: &crate::api::team::Member| -> Vec<String> {
        member.template.files.iter().map(|file| file.path.clone()).collect()
    };
    assert_eq!(paths(director), ["skills/review/SKILL.md"]);
    assert_eq!(paths(maker), ["daily.md", "start.md"]);
    for file in &maker.template.files {
        let wanted = if file.path == "start.md" { "Start.\n" } else { "Daily.\n" };
        assert_eq!(text(file.config_map_key_ref.as_ref().unwrap()), wanted);
    }
}

#[test]
fn what_has_no_home_is_kept_and_told() {
    let imported = imported(&args(&scene()));
    let annotations = team(&imported).metadata.annotations.unwrap();
    let expected = [
        ("import.atelier.dev/canvas", r#"{"director":{"x":1,"y":2}}"#),
        ("import.atelier.dev/category-routing", r#"{"director":{"ui":["Maker"]}}"#),
        (
            "import.atelier.dev/schedules",
            r#"{"maker":[{"cron_expr":"0 8 * * *","name":"daily","prompt_file":"daily.md"}]}"#,
        ),
    ];
    assert_eq!(annotations, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let expected = "\
warning: org.yaml:15: workspaces[0].files_dir: \"director/config.yaml\" is left out: Atelier writes \
/configs/config.yaml itself
Team small-studio: 2 members, 1 root
  prompts of members: 2 system prompts, 1 initial prompt, 1 idle prompt
  prompts for all: initial, idle
  prompts and files: 6 in 3 ConfigMaps
  left out: .env, maker/.env, maker/tools/prod.env (--with-secrets makes Secrets of them)
  needs before it starts: A_KEY or B_KEY
  not made: \"Later\", 2 workspaces (spawning: false)
  without a home in the API, kept in annotations import.atelier.dev/…: canvas (1), category-routing (1), \
schedules (1)
";
    assert_eq!(imported.told, expected);
}

#[test]
fn secrets_are_made_only_when_asked_for() {
    let folder = scene();
    let without = imported(&args(&folder));
    let all: String = without.documents.iter().map(|document| document.yaml.as_str()).collect();
    assert!(!all.contains("secret-") && !all.contains("Secret"), "{all}");
    let with = imported(&ImportArgs { with_secrets: true, ..args(&folder) });
    let secrets: BTreeMap<String, Secret> = objects::<Secret>(&with, "secret")
        .into_iter()
        .map(|secret| (secret.metadata.name.clone().unwrap(), secret))
        .collect();
    let value = |name: &str, key: &str| {
        String::from_utf8(secrets[name].data.as_ref().unwrap()[key].0.clone()).unwrap()
    };
    assert_eq!(value("small-studio.env", "A_KEY"), "secret-0");
    assert_eq!(value("small-studio-maker.env", "MAKER_KEY"), "secret-1");
    assert_eq!(value("small-studio-maker.files", "file-1"), "TOOL_KEY=secret-2\n");
    let team = team(&with);
    let secret = |from: &crate::api::workspace::EnvFrom| from.secret_ref.clone().unwrap().name;
    assert_eq!(secret(&team.spec.defaults.as_ref().unwrap().env_from[0]), "small-studio.env");
    let maker = &team.spec.members[1].template;
    assert_eq!(secret(&maker.env_from[0]), "small-studio-maker.env");
    let tool = maker.files.iter().find(|file| file.path == "tools/prod.env").unwrap();
    assert_eq!(tool.secret_key_ref.as_ref().unwrap().name, "small-studio-maker.files");
    let others = with.documents.iter().filter(|document| !document.secret);
    assert!(others.into_iter().all(|document| !document.yaml.contains("secret-0")));
}

#[test]
fn the_same_template_gives_the_same_bytes_and_a_namespace_goes_everywhere() {
    let folder = scene();
    let named = ImportArgs { name: Some("mine".into()), namespace: Some("ours".into()), ..args(&folder) };
    let bytes = |args: &ImportArgs| -> Vec<(String, String)> {
        imported(args).documents.into_iter().map(|document| (document.file, document.yaml)).collect()
    };
    assert_eq!(bytes(&named), bytes(&named));
    for (file, yaml) in bytes(&named) {
        assert!(yaml.contains("\n  namespace: ours\n"), "{file}: {yaml}");
        assert!(file.contains("-mine"), "{file}");
    }
    assert!(bytes(&args(&folder)).iter().all(|(_, yaml)| !yaml.contains("namespace")));
    // The file itself is as good as its folder.
    let file = ImportArgs { path: folder.path().join("org.yaml"), ..args(&folder) };
    assert_eq!(bytes(&file), bytes(&args(&folder)));
}

#[test]
fn strict_makes_nothing_of_a_template_with_warnings() {
    let folder = scene();
    let strict = ImportArgs { strict: true, ..args(&folder) };
    assert!(import(&strict).unwrap_err()[0].contains("director/config.yaml"));
    fs::remove_file(folder.path().join("director/config.yaml")).unwrap();
    imported(&strict);
}

/// A template of one workspace, with a field.
fn with(field: &str) -> Folder {
    let folder = Folder::new();
    folder.write("org.yaml", &format!("name: x\nworkspaces:\n- name: a\n  {field}\n"));
    folder.write("role/prompt.md", "p");
    folder
}

#[test]
fn each_bad_template_is_refused_with_file_line_key_and_fix() {
    let outside = Folder::new();
    outside.write("secret.md", "not yours");
    let table: [(&str, &str); 12] = [
        (
            "files_dir: ../..",
            "org.yaml:4: workspaces[0].files_dir: \"../..\" has '..': give a path that only goes down",
        ),
        (
            "files_dir: /etc",
            "org.yaml:4: workspaces[0].files_dir: \"/etc\" is absolute: give a path relative to the template's folder",
        ),
        (
            "initial_prompt_file: link.md",
            "org.yaml:4: workspaces[0].initial_prompt_file: \"link.md\" leaves the template's folder through a \
             symbolic link: put the file itself there",
        ),
        (
            "files_dir: linked",
            "org.yaml:4: workspaces[0].files_dir: \"linked\" leaves the template's folder through a symbolic \
             link: put the file itself there",
        ),
        (
            "files_dir: within",
            "org.yaml:4: workspaces[0].files_dir: \"within/link.md\" leaves the template's folder through a \
             symbolic link: put the file itself there",
        ),
        (
            "initial_prompt_file: absent.md",
            "org.yaml:4: workspaces[0].initial_prompt_file: \"absent.md\" does not exist: create it, or correct \
             the path",
        ),
        (
            "files_dir: role\n  idle_prompt_file: absent.md",
            "org.yaml:5: workspaces[0].idle_prompt_file: \"role/absent.md\" does not exist: create it, or \
             correct the path",
        ),
        (
            "files_dir: role\n  initial_prompt_file: ../secret.md",
            "org.yaml:5: workspaces[0].initial_prompt_file: \"../secret.md\" has '..': give a path that only \
             goes down",
        ),
        (
            "initial_prompt_file: .env",
            "org.yaml:4: workspaces[0].initial_prompt_file: \".env\" is an environment file, which is never \
             written out: name another file",
        ),
        (
            "files_dir: role/prompt.md",
            "org.yaml:4: workspaces[0].files_dir: \"role/prompt.md\" is not a folder: correct the path",
        ),
        (
            "schedules: [{name: s, prompt_file: link.md}]",
            "org.yaml:4: workspaces[0].schedules[0].prompt_file: \"link.md\" leaves the template's folder \
             through a symbolic link: put the file itself there",
        ),
        (
            "files_dir: large",
            "org.yaml:4: workspaces[0].files_dir: \"large/x.bin\" takes 400 KiB in a manifest, and a ConfigMap \
             that kubectl can apply holds 250: make it shorter, or put it into the runtime's image",
        ),
    ];
    for (field, expected) in table {
        let folder = with(field);
        folder.write(".env", "KEY=x");
        folder.write("within/a.md", "a");
        folder.write_bytes("large/x.bin", &vec![0xff; 300 * 1024]);
        symlink(outside.path().join("secret.md"), folder.path().join("link.md")).unwrap();
        symlink(outside.path().join("secret.md"), folder.path().join("within/link.md")).unwrap();
        symlink(outside.path(), folder.path().join("linked")).unwrap();
        assert_eq!(problems(&folder), [expected], "{field}");
    }
}

#[test]
fn a_missing_folder_and_a_schedules_missing_prompt_are_warnings() {
    let folder = with("files_dir: gone\n  schedules: [{name: s, cron_expr: x, prompt_file: daily.md}]");
    let told = imported(&args(&folder)).told;
    for words in [
        "warning: org.yaml:4: workspaces[0].files_dir: the folder \"gone\" does not exist",
        "warning: org.yaml:5: workspaces[0].schedules[0].prompt_file: the prompt \"gone/daily.md\" does not exist",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_schedules_prompt_that_is_no_file_of_the_member_is_kept_with_it() {
    let folder = with("schedules: [{name: s, cron_expr: x, prompt_file: role/prompt.md}]");
    let annotations = team(&imported(&args(&folder))).metadata.annotations.unwrap();
    let expected = r#"{"a":[{"cron_expr":"x","name":"s","prompt":"p"}]}"#;
    assert_eq!(annotations["import.atelier.dev/schedules"], expected);
}

#[test]
fn an_inline_system_prompt_stands_instead_of_the_file() {
    let folder = with("files_dir: role\n  system_prompt: Inline.");
    folder.write("role/system-prompt.md", "From the file.");
    let imported = imported(&args(&folder));
    assert_eq!(texts(&imported)[&("x-a".to_owned(), "system-prompt.md".to_owned())], "Inline.");
    assert!(imported.told.contains("org.yaml:5: workspaces[0].system_prompt: stands instead of"));
}

#[test]
fn an_empty_prompt_file_is_no_prompt() {
    let folder = with("initial_prompt_file: role/empty.md\ndefaults: {initial_prompt: All.}");
    folder.write("role/empty.md", "");
    let imported = imported(&args(&folder));
    assert!(team(&imported).spec.members[0].template.prompts.is_none());
    assert_eq!(texts(&imported)[&("x.defaults".to_owned(), "initial-prompt.md".to_owned())], "All.");
}

#[test]
fn many_and_odd_files_all_arrive_in_maps_that_kubectl_can_apply() {
    let folder = with("files_dir: role");
    for n in 0..13 {
        folder.write(&format!("role/data/part-{n:02}.html"), &"<p>a & b</p>\n".repeat(8 * 1024));
    }
    folder.write_bytes("role/data/logo.png", b"\x89PNG\xff\0");
    folder.write("role/data/odd name é.txt", "odd");
    let imported = imported(&args(&folder));
    let maps: Vec<ConfigMap> = objects(&imported, "configmap");
    assert!(maps.len() > 5, "{}", maps.len());
    for map in &maps {
        let size = kept::annotations_when_applied(&serde_json::json!(map));
        assert!(size < 262_144, "{:?} comes to {size}", map.metadata.name);
    }
    let member = &team(&imported).spec.members[0].template;
    let odd: Vec<&File> = member.files.iter().filter(|file| file.path.contains("odd")).collect();
    assert_eq!(odd[0].path, "data/odd name é.txt");
    let stored: usize = maps
        .iter()
        .map(|map| {
            map.data.as_ref().map_or(0, BTreeMap::len) + map.binary_data.as_ref().map_or(0, BTreeMap::len)
        })
        .sum();
    assert_eq!(stored, 13 + 1 + 1 + 1);
}

#[test]
fn what_annotations_cannot_hold_is_kept_in_config_maps() {
    let folder = Folder::new();
    let mut text = "name: x\nworkspaces:\n".to_owned();
    for n in 0..40 {
        let prompt = "p".repeat(5000);
        writeln!(text, "- name: m{n}\n  schedules: [{{name: s, cron_expr: x, prompt: {prompt}}}]").unwrap();
    }
    folder.write("org.yaml", &text);
    let imported = imported(&args(&folder));
    let team = team(&imported);
    assert!(kept::annotations_when_applied(&serde_json::json!(team)) < 262_144);
    assert_eq!(team.metadata.annotations.unwrap()["import.atelier.dev/kept-in"], "x.import");
    assert!(texts(&imported)[&("x.import".to_owned(), "schedules.m39.json".to_owned())].contains("ppp"));
    assert!(imported.told.contains("kept in ConfigMap x.import: schedules (40)"), "{}", imported.told);
}

#[test]
fn a_team_that_kubectl_could_not_apply_is_refused() {
    let folder = Folder::new();
    let member = |n: i32| format!("- name: m{n}\n  role: {}\n", "r".repeat(8000));
    folder.write("org.yaml", &format!("workspaces:\n{}", (0..40).map(member).collect::<String>()));
    let said = problems(&folder);
    assert!(said[0].starts_with("org.yaml: the Team takes 31"), "{said:?}");
    assert!(said[0].contains("split the template"), "{said:?}");
}

#[test]
fn who_runs_elsewhere_is_kept_and_no_member() {
    let folder = with("children: [{name: Partner, external: true, url: 'https://example.com'}]");
    let imported = imported(&args(&folder));
    let team = team(&imported);
    assert_eq!(team.spec.members.len(), 1);
    let expected =
        r#"{"*":[{"also":{"url":"https://example.com"},"name":"Partner","reports_to":"a","role":null}]}"#;
    assert_eq!(team.metadata.annotations.unwrap()["import.atelier.dev/external"], expected);
    assert!(imported.told.contains("not made: \"Partner\", which runs elsewhere"));
}

#[test]
fn names_on_the_command_line_are_checked() {
    let folder = scene();
    for (name, namespace) in [("Mine", "ours"), ("mine", "Ours"), ("-x", "ours"), ("mine", "")] {
        let bad = ImportArgs { name: Some(name.into()), namespace: Some(namespace.into()), ..args(&folder) };
        assert_eq!(import(&bad).unwrap_err().len(), 1, "{name} {namespace}");
    }
    let nowhere = ImportArgs { path: folder.path().join("maker"), ..ImportArgs::default() };
    assert!(import(&nowhere).unwrap_err()[0].contains("there is no org.yaml"));
}

#[test]
fn a_folder_gets_one_file_an_object_and_loses_what_is_no_longer_made() {
    let folder = scene();
    let out = Folder::new();
    out.write("kustomization.yaml", "resources: []\n");
    let with_dir =
        |with_secrets| ImportArgs { output_dir: Some(out.path().join(".")), with_secrets, ..args(&folder) };
    let files = || -> Vec<String> {
        let mut files: Vec<String> = fs::read_dir(out.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    };
    let mut told = Vec::new();
    run(&with_dir(true), &mut told).unwrap();
    let all = [
        "configmap-small-studio-director.yaml",
        "configmap-small-studio-maker.yaml",
        "configmap-small-studio.defaults.yaml",
        "kustomization.yaml",
        "secret-small-studio-maker.env.yaml",
        "secret-small-studio-maker.files.yaml",
        "secret-small-studio.env.yaml",
        "team-small-studio.yaml",
    ];
    assert_eq!(files(), all);
    let mode = |file: &str| fs::metadata(out.path().join(file)).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode("secret-small-studio.env.yaml"), 0);
    assert!(String::from_utf8(told).unwrap().contains("Team small-studio"));
    run(&with_dir(false), &mut Vec::new()).unwrap();
    assert_eq!(files(), all.into_iter().filter(|file| !file.starts_with("secret")).collect::<Vec<_>>());
    // What somebody else has put there is not written over.
    out.write("team-small-studio.yaml", "mine");
    let refused = run(&with_dir(false), &mut Vec::new()).unwrap_err();
    assert!(refused.contains("was not made by an import"), "{refused}");
    assert_eq!(fs::read_to_string(out.path().join("team-small-studio.yaml")).unwrap(), "mine");
}
