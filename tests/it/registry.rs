//! The registry as boxes see it: whose calls it takes, and TLS with a private authority.

use crate::support::scene::Scene;
use crate::support::script::run;
use crate::team::team;
use atelier_wire::paths;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

trials![a_token_is_good_for_its_own_box_only, a_private_authority_is_enough];

/// The token that a box was given.
fn token(scene: &Scene, workspace: &str) -> String {
    let container = scene.container(workspace);
    let file = std::env::temp_dir().join(format!("{}.token", container.name));
    let from = format!("{}:/configs/.auth_token", container.id);
    scene.engine().docker(&["cp", &from, file.to_str().unwrap()]).unwrap();
    let token = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    token.trim().to_owned()
}

async fn a_token_is_good_for_its_own_box_only() {
    let (scene, operator) = Scene::running("tokens").await;
    scene.apply_team("studio", team(2)).await;
    scene.until_team_ready("studio").await;
    let all = scene.workspaces().await;
    let (one, other) = (&all[0], &all[1]);
    let (own_uid, other_uid) = (one.uid().unwrap(), other.uid().unwrap());
    let token = token(&scene, &one.name_any());
    let client = reqwest::Client::new();
    let call = async |path: &str, token: Option<&str>, body: Value| {
        let mut request = client.post(format!("http://{}{path}", operator.registry())).body(body.to_string());
        request = request.header("content-type", "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    let beat = |uid: &str| json!({"workspace_id": uid, "error_rate": 0.0, "uptime_seconds": 1});
    let register = |uid: &str, url: &str| json!({"id": uid, "url": url, "agent_card": {"name": "x"}});
    let own_url = one.status.as_ref().unwrap().agent.as_ref().unwrap().url.clone().unwrap();
    let table = [
        ("own heartbeat", paths::HEARTBEAT, Some(&token), beat(&own_uid), 200, ""),
        ("another's heartbeat", paths::HEARTBEAT, Some(&token), beat(&other_uid), 403, "workspace_id"),
        ("another's name", paths::REGISTER, Some(&token), register(&other_uid, &own_url), 403, "id"),
        (
            "another's url",
            paths::REGISTER,
            Some(&token),
            register(&own_uid, "http://192.0.2.1:8000"),
            400,
            "url",
        ),
        ("no token", paths::HEARTBEAT, None, beat(&own_uid), 401, ""),
        ("no sense", paths::HEARTBEAT, Some(&token), json!({"error_rate": 0.0}), 400, "workspace_id"),
    ];
    for (what, path, token, body, status, field) in table {
        let (answered, said) = call(path, token.map(String::as_str), body).await;
        assert_eq!(answered, status, "{what}: {said}");
        if status != 200 {
            let error: Value =
                serde_json::from_str(&said).unwrap_or_else(|_| panic!("{what}: no JSON: {said}"));
            assert!(
                error["error"].as_str().unwrap().contains(field),
                "{what}: {field:?} is not named: {said}"
            );
        }
    }
    let forged = format!("{}x", &token[..token.len() - 1]);
    let (answered, said) = call(paths::HEARTBEAT, Some(&forged), beat(&own_uid)).await;
    assert_eq!(answered, 401, "a forged token: {said}");
}

/// An authority and a server's certificate, with openssl's command line.
struct Authority {
    dir: PathBuf,
}

impl Authority {
    fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let it = Self { dir: dir.to_owned() };
        it.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=private authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        ]);
        it
    }

    fn openssl(&self, arguments: &[&str]) {
        run(Command::new("openssl").current_dir(&self.dir).args(arguments)).unwrap();
    }

    /// Writes `tls.crt` and `tls.key`, in place of former ones, with a serial number to know them by.
    fn issue(&self, serial: u32) {
        std::fs::write(self.dir.join("names"), "subjectAltName=DNS:host.docker.internal").unwrap();
        let serial = serial.to_string();
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=registry",
            "-keyout",
            "new.key",
            "-out",
            "new.csr",
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            "new.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-set_serial",
            &serial,
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "new.crt",
        ]);
        std::fs::rename(self.dir.join("new.key"), self.dir.join("tls.key")).unwrap();
        std::fs::rename(self.dir.join("new.crt"), self.dir.join("tls.crt")).unwrap();
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }
}

async fn a_private_authority_is_enough() {
    let scene = Scene::new("tls").await;
    let authority = Authority::new(&scene.dir().join("tls"));
    authority.issue(1001);
    let mut config = scene.config();
    config["registry"] = json!({
        "advertiseURL": format!("https://host.docker.internal:{}", scene.registry_port),
        "caBundle": std::fs::read_to_string(authority.file("ca.crt")).unwrap(),
    });
    scene.apply_config(config).await;
    let (cert, key) = (authority.file("tls.crt"), authority.file("tls.key"));
    let operator = scene.operator(&["--registry-tls-cert", &cert, "--registry-tls-key", &key]).await;
    scene.apply_team("studio", team(2)).await;
    scene.until_team_ready("studio").await;

    // A certificate that is renewed is served without a restart.
    let serial = || {
        let script = r#"openssl s_client -connect "$0" </dev/null 2>/dev/null | openssl x509 -noout -serial"#;
        run(Command::new("sh").args(["-c", script, &operator.registry().to_string()]))
    };
    assert_eq!(serial().unwrap().trim(), "serial=03E9");
    authority.issue(1002);
    scene
        .soon("the new certificate is served", async || match serial() {
            Ok(serial) if serial.trim() == "serial=03EA" => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
}
