//! What is rendered: its words, its length, its version.

use super::*;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::process::Command;

/// What a shell makes of the words: printed back, one after the other.
fn read_back(user_data: &str, names: &[&str]) -> Vec<String> {
    let launch = user_data.split_once("\nDIR=").expect("the script begins after the launch").0;
    let values: Vec<_> = names.iter().map(|name| format!("\"$ATELIER_{name}\"")).collect();
    let script = format!("{launch}\nprintf '%s\\0' {} \"$@\"\n", values.join(" "));
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_shell_reads_every_value_as_it_was(
        image in "[^\0]{0,40}",
        url in r#"['"\\$`!&|;<>(){}\[\]*?~# \t\r\n=%a]{0,20}"#,
        command in prop::collection::vec(r#"['"\\$`\n\ta -]{0,12}"#, 0..4),
    ) {
        let plan = ContainerPlan { image: image.clone(), command: command.clone(), ..plan(Tier::T2, &[]) };
        let text = render(&Boot { workspace_id: &image, ..boot(&plan, &url) }).unwrap();
        let mut expected = vec![image.clone(), url, image, TOKEN.to_owned(), "2".to_owned()];
        let names = ["IMAGE", "PLATFORM_URL", "WORKSPACE_ID", "BOOTSTRAP_TOKEN", "ATTEMPT"];
        expected.extend(command);
        prop_assert_eq!(read_back(&text, &names), expected);
    }
}

#[test]
fn the_launch_stands_first_one_assignment_a_line() {
    let text = render(&boot(&plan(Tier::T1, &["a b", "c'd"]), "https://r:8443/")).unwrap();
    let expected = format!(
        "#!/bin/sh\nATELIER_PLATFORM_URL='https://r:8443/'\nATELIER_WORKSPACE_ID='{UID}'\nATELIER_ATTEMPT='2'\n\
         ATELIER_BOOTSTRAP_TOKEN='{TOKEN}'\nATELIER_IMAGE='agent:1'\nATELIER_NAME='ws-0f8fad5bd9cb-2'\n\
         ATELIER_HOST='ws-0f8fad5bd9cb'\nATELIER_MEMORY_MIB='256'\nATELIER_CPUS='0.500'\n\
         ATELIER_PIDS_LIMIT='1024'\nATELIER_READ_ONLY_ROOT='1'\nATELIER_PRIVILEGED=''\n\
         ATELIER_ENGINE_SOCKET=''\nATELIER_CA_BUNDLE=''\nset -- 'a b' 'c'\\''d'\nDIR=/opt/atelier\n"
    );
    assert!(text.starts_with(&expected), "{}", &text[..expected.len()]);
}

#[test]
fn certificates_lose_what_is_for_people() {
    let pem = "Subject: me's\n-----BEGIN CERTIFICATE-----\n  QUJD\r\n-----END CERTIFICATE-----\n\nnext\n\
               -----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----\n";
    let plan = plan(Tier::T2, &[]);
    let text = render(&Boot { ca_bundle: Some(pem), ..boot(&plan, "https://r") }).unwrap();
    let kept = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n\
                -----BEGIN CERTIFICATE-----\nREVG\n-----END CERTIFICATE-----";
    assert_eq!(read_back(&text, &["CA_BUNDLE"]), [kept]);
}

#[test]
fn what_is_too_long_is_named_and_nothing_longer_is_ever_rendered() {
    let plain = plan(Tier::T2, &[]);
    let base = render(&boot(&plain, "")).unwrap().len();
    assert!(base <= 9_000, "{base}: the script leaves less than 7 KiB to the launch");
    let fits = "u".repeat(MAX_BYTES - base);
    assert_eq!(render(&boot(&plain, &fits)).unwrap().len(), MAX_BYTES);
    let error = render(&boot(&plain, &format!("{fits}u"))).unwrap_err();
    assert_eq!((error.bytes, error.longest), (MAX_BYTES + 1, "registry.advertiseURL"));
    assert!(error.to_string().ends_with("shorten it by 1"), "{error}");

    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", "A".repeat(20_000));
    let error = render(&Boot { ca_bundle: Some(&pem), ..boot(&plain, "http://r") }).unwrap_err();
    assert!(error.to_string().contains("registry.caBundle alone takes 2005"), "{error}");
    let long = "x".repeat(9_000);
    let error = render(&boot(&plan(Tier::T2, &["sh", "-c", &long]), "http://r")).unwrap_err();
    assert_eq!(error.longest, "the runtime's command");
}

/// A launch is replayed with the user-data of its version, to the byte. If this fails, the script of a version
/// was changed: put it back, and make the change in a new version.
#[test]
fn a_version_is_never_edited() {
    let plan = plan(Tier::T2, &["run", "it"]);
    let pem = Some("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n");
    let text = render(&Boot { ca_bundle: pem, ..boot(&plan, "https://registry:8443") }).unwrap();
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(text));
    assert_eq!(
        (VERSION, hash.as_str()),
        (1, "5390440c963ed29e76ca2675bfc0bd399c6d0771a0508edd096dfb88cbdbfe3e")
    );
}
