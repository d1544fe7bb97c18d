//! Org templates: imported by the command, applied by `kubectl`, and up.

use crate::support::scene::Scene;
use crate::support::script::{root, run};
use crate::support::wait::LATER;
use atelier::api::Team;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

trials![
    an_org_template_comes_up_and_importing_it_again_changes_nothing,
    a_company_of_forty_comes_up,
    odd_templates_come_up,
    every_text_arrives_as_it_was,
    a_folder_of_manifests_is_applied_with_its_secrets,
    a_bad_template_says_what_to_do_and_makes_nothing,
];

fn import(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atelier")).arg("import").args(arguments).output().unwrap()
}

/// What an import prints; it must succeed.
pub fn imported(arguments: &[&str]) -> Vec<u8> {
    let output = import(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// `kubectl apply --filename -` of what an import prints; answers what kubectl says.
fn apply(scene: &Scene, manifests: &[u8]) -> String {
    let mut child = scene
        .kubectl()
        .args(["apply", "--filename", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(manifests).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A scene whose platform has the runtime that the examples name, and room for a large Team.
pub async fn studio(topic: &str) -> (Scene, crate::support::operator::Operator) {
    let scene = Scene::new(topic).await;
    let mut config = scene.config();
    let mut demo = config["runtimes"][0].clone();
    demo["name"] = json!("demo");
    config["runtimes"].as_array_mut().unwrap().push(demo);
    config["docker"]["network"]["prefixLength"] = json!(26);
    scene.apply_config(config).await;
    let operator = scene.operator(&[]).await;
    (scene, operator)
}

fn example(name: &str) -> String {
    root().join("examples/org").join(name).display().to_string()
}

fn write(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A copy of a folder under a member's `/configs`.
fn configs(scene: &Scene, workspace: &str) -> PathBuf {
    let container = scene.container(workspace).id;
    let folder = scene.dir().join(format!("configs-of-{workspace}"));
    let from = format!("{container}:/configs");
    scene.engine().docker(&["cp", &from, folder.to_str().unwrap()]).unwrap();
    folder
}

async fn generations(scene: &Scene) -> BTreeMap<String, Option<i64>> {
    let teams = scene.api::<Team>().list(&ListParams::default()).await.unwrap();
    let workspaces = scene.workspaces().await;
    let of_teams = teams.items.iter().map(|team| (team.name_any(), team.metadata.generation));
    of_teams.chain(workspaces.iter().map(|ws| (ws.name_any(), ws.metadata.generation))).collect()
}

async fn an_org_template_comes_up_and_importing_it_again_changes_nothing() {
    let (scene, _operator) = studio("org").await;
    let manifests = imported(&[&example("design-studio")]);
    apply(&scene, &manifests);
    let team = scene.until_team_ready("design-studio").await;
    assert_eq!(team.status.unwrap().ready_summary.as_deref(), Some("7/7"));
    let director = scene.workspace("design-studio-design-director").await;
    let researcher = scene.workspace("design-studio-ux-researcher").await;
    assert_eq!(researcher.spec.parent_ref.unwrap().name, director.name_any());
    assert_eq!(researcher.spec.display_name.as_deref(), Some("UX Researcher"));

    // The box has what the folder of the role has.
    let folder = configs(&scene, "design-studio-design-director");
    let source = root().join("examples/org/design-studio/design-director");
    for file in ["system-prompt.md", "idle.md", "studio/definition-of-done.md"] {
        assert_eq!(fs::read(folder.join(file)).unwrap(), fs::read(source.join(file)).unwrap(), "{file}");
    }
    let config = fs::read_to_string(folder.join("config.yaml")).unwrap();
    assert!(config.contains("Introduce yourself") && config.contains("Unblock one of them"), "{config}");

    let (generations_before, boxes) = (generations(&scene).await, scene.containers());
    let again = imported(&[&example("design-studio")]);
    assert!(manifests == again, "the same input gives the same bytes");
    let said = apply(&scene, &again);
    assert!(said.lines().all(|line| line.ends_with(" unchanged")), "{said}");
    scene.until_team_ready("design-studio").await;
    assert_eq!(generations(&scene).await, generations_before);
    assert_eq!(scene.containers(), boxes);
}

async fn a_company_of_forty_comes_up() {
    let (scene, _operator) = studio("forty").await;
    apply(&scene, &imported(&["--strict", &example("product-company")]));
    let team = scene
        .within(2 * LATER, "forty are ready", async || {
            let team: Team = scene.api().get("product-company").await.map_err(|error| error.to_string())?;
            let ready = team.status.as_ref().and_then(|status| status.ready_summary.clone());
            if ready.as_deref() == Some("40/40") { Ok(team) } else { Err(format!("{ready:?}")) }
        })
        .await;
    assert!(team.annotations().contains_key("import.atelier.dev/schedules"));
    let names: Vec<String> = team.spec.members.iter().map(|member| member.name.clone()).collect();
    for name in ["a11y-seo-auditor", "web-engineer", "web-engineer-2", "support-agent-2", "uebersetzerin"] {
        assert!(names.iter().any(|member| member == name), "{name}: {names:?}");
    }
}

/// A role that a careless writer of YAML would break at.
const ROLE: &str = "Says: \"no\" & 'yes' - #1 {a: [b]} *c &d !e | > % @ ` \\ 100 %\n\t- tab\n  : colon\n";

async fn odd_templates_come_up() {
    let (scene, _operator) = studio("odd").await;
    let folder = scene.dir().join("odd");
    let long = "Principal Engineer for Everything that Has No Other Owner in the House";
    assert_eq!(long.chars().count(), 70);
    let names = ["Same Name", "Same Name", "same-name", "Büro & Café 🚀", "设计师", "工程师", long];
    let mut workspaces: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    workspaces[0]["role"] = json!(ROLE);
    workspaces[0]["files_dir"] = json!("heavy");
    // JSON is YAML, and leaves nothing to this test's own quoting.
    let org = json!({"name": "Ødd — Stüdio", "defaults": {"runtime": "demo", "tier": 1},
        "workspaces": workspaces});
    write(&folder, "org.yaml", org.to_string());
    let part = |n: usize| format!("<part {n}>\n{}", "é & <b>\"x\"</b>\n".repeat(6200));
    let parts: Vec<String> = (0..14).map(part).collect();
    let together: usize = parts.iter().map(String::len).sum();
    assert!(together > 13 * (1 << 20) / 10, "{together}");
    for (n, part) in parts.iter().enumerate() {
        write(&folder, &format!("heavy/knowledge/part {n:02}.html"), part);
    }
    for n in 0..100 {
        write(&folder, &format!("heavy/notes/{n:03}.md"), format!("note {n}\n"));
    }
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    write(&folder, "heavy/notes/noise.bin", &noise);

    apply(&scene, &imported(&["--strict", folder.to_str().unwrap()]));
    let team = scene.until_team_ready("oedd-stuedio").await;
    let members: Vec<&str> = team.spec.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(members[..4], ["same-name", "same-name-2", "same-name-3", "buero-cafe"]);
    assert_eq!(members[6], "principal-engineer-for-everything-that-has-no-othe");
    let first = scene.workspace("oedd-stuedio-same-name").await;
    assert_eq!(first.spec.role.as_deref(), Some(ROLE));
    let arrived = configs(&scene, "oedd-stuedio-same-name");
    for (n, part) in parts.iter().enumerate() {
        let file = arrived.join(format!("knowledge/part {n:02}.html"));
        assert!(fs::read_to_string(&file).unwrap() == *part, "{}", file.display());
    }
    assert_eq!(fs::read_to_string(arrived.join("notes/099.md")).unwrap(), "note 99\n");
    assert!(fs::read(arrived.join("notes/noise.bin")).unwrap() == noise);
}

/// Texts over which readers of YAML part ways.
async fn every_text_arrives_as_it_was() {
    let scene = Scene::new("texts").await;
    let texts = [
        "no",
        "on",
        "~",
        "null",
        "1e3",
        "0x1f",
        "1_000",
        "12:30:45",
        "2024-01-01",
        "=",
        "<<",
        ".inf",
        "- a",
        "a: b",
        "a #b",
        "'",
        "\"",
        "\\n",
        "a\r\nb\r\n",
        "\ta",
        " a\n b\n",
        "a \nb\n",
        "a\n\n\n",
        "\n\na",
        "---\na\n",
        "...\n",
        "# a\nb\n",
        "a\n---\nb\n",
        "a\u{85}b\nc\n",
        "a\u{2028}b\nc\n",
        "a\u{2029}b",
        "\u{feff}a\nb\n",
        "\u{1b}[31mred\n",
        "\u{7f}\n",
        "é\u{a0}ü\n",
        "💡\n",
        "a\n\tb\n",
        "%a\n",
        "@a",
        "`a`",
        "|\na\n",
        ">",
    ];
    let folder = scene.dir().join("texts");
    write(&folder, "org.yaml", "name: texts\nworkspaces: [{name: a, files_dir: role}]\n");
    for (n, text) in texts.iter().enumerate() {
        write(&folder, &format!("role/file-{n:02}"), text);
    }
    apply(&scene, &imported(&[folder.to_str().unwrap()]));
    let maps = scene.api::<ConfigMap>().list(&ListParams::default()).await.unwrap();
    let stored: BTreeMap<String, String> =
        maps.items.into_iter().filter_map(|map| map.data).flatten().collect();
    for (n, text) in texts.iter().enumerate() {
        assert_eq!(stored[&format!("file-{n:02}")], *text, "{text:?}");
    }
}

async fn a_folder_of_manifests_is_applied_with_its_secrets() {
    let (scene, _operator) = studio("folder").await;
    let folder = scene.dir().join("template");
    write(
        &folder,
        "org.yml",
        "name: Keys\ndefaults: {runtime: demo, tier: 1, required_env: [SHARED_KEY]}\n\
         workspaces:\n- {name: a, files_dir: a, required_env: [OWN_KEY]}\n- {name: b}\n",
    );
    write(&folder, ".env", "SHARED_KEY=from-all\nOWN_KEY=from-all\n");
    write(&folder, "a/.env", "OWN_KEY='from a'\n");
    let out = scene.dir().join("manifests");
    let arguments = ["--output-dir", out.to_str().unwrap(), "--namespace", &scene.name, "--name", "keys"];
    let with_secrets = [&arguments[..], &["--with-secrets", folder.to_str().unwrap()]].concat();
    assert!(imported(&with_secrets).is_empty());
    run(scene.kubectl().arg("apply").arg("--filename").arg(&out)).unwrap();
    scene.until_team_ready("keys").await;
    let env = |workspace: &str| {
        let container = scene.engine().inspect(&scene.container(workspace).id).unwrap();
        container["Config"]["Env"].to_string()
    };
    assert!(env("keys-a").contains("OWN_KEY=from a"), "{}", env("keys-a"));
    assert!(env("keys-b").contains("OWN_KEY=from-all"), "{}", env("keys-b"));
}

async fn a_bad_template_says_what_to_do_and_makes_nothing() {
    let scene = Scene::new("bad").await;
    let folder = scene.dir().join("bad");
    let case = |org: &str| {
        let _ = fs::remove_dir_all(&folder);
        write(&folder, "org.yaml", org);
        write(&folder, "a.yaml", "name: a\nchildren:\n- !include b.yaml\n");
        write(&folder, "b.yaml", "name: b\nchildren:\n- !include a.yaml\n");
        for n in 1..=17 {
            write(
                &folder,
                &format!("deep/{n}.yaml"),
                format!("name: d{n}\nchildren: [!include {}.yaml]\n", n + 1),
            );
        }
        write(&folder, "deep/18.yaml", "name: end\n");
        symlink("/etc", folder.join("linked")).unwrap();
        import(&[folder.to_str().unwrap()])
    };
    let workspace = |field: &str| format!("workspaces:\n- name: a\n  {field}\n");
    let table = [
        (
            workspace("files_dir: ../../etc"),
            "error: org.yaml:3: workspaces[0].files_dir: \"../../etc\" has '..'",
        ),
        (workspace("files_dir: linked"), "error: org.yaml:3: workspaces[0].files_dir: \"linked\" leaves the"),
        (
            workspace("initial_prompt_file: gone.md"),
            "error: org.yaml:3: workspaces[0].initial_prompt_file: \"gone.md\" does not exist: create it",
        ),
        (
            "workspaces:\n- !include a.yaml\n".to_owned(),
            "error: b.yaml:3: workspaces[0].children[0].children[0]: files include each other in a circle: \
             a.yaml -> b.yaml -> a.yaml; take one !include out",
        ),
        (
            "workspaces:\n- !include deep/1.yaml\n".to_owned(),
            ": includes are nested more than 16 deep here: include \"deep/17.yaml\" from a file further up",
        ),
        (
            "workspaces:\n- !include ../../x.yaml\n".to_owned(),
            "error: org.yaml:2: workspaces[0]: \"../../x.yaml\" leaves the template's folder",
        ),
    ];
    for (org, words) in table {
        let output = case(&org);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{org}: {said}");
        assert!(said.contains(words), "{org}: {said}");
        assert!(output.stdout.is_empty(), "{org}");
    }
}
