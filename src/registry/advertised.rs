//! The url that an agent advertises: it must be its own box's, or peers would be sent elsewhere.

use crate::api::{Workspace, names};
use crate::backend::A2A_PORT;
use kube::ResourceExt;
use reqwest::Url;
use std::net::IpAddr;

/// The longest url, in bytes.
const URL_MAX_BYTES: usize = 512;

/// The url in its normal form.
///
/// # Errors
/// When it is not of this box; the text says what was expected.
pub fn check(url: &str, workspace: &Workspace) -> Result<String, String> {
    let own = own_hosts(workspace);
    let expected = || {
        let urls: Vec<_> = own.iter().map(|host| format!("http://{}:{A2A_PORT}", bracketed(host))).collect();
        format!("`url` is {url:?}: expected {}, without user and password", urls.join(" or "))
    };
    let parsed = Url::parse(url).map_err(|_| expected())?;
    let host = parsed.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_ours = url.len() <= URL_MAX_BYTES
        && parsed.scheme() == "http"
        && parsed.port_or_known_default() == Some(A2A_PORT)
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && own.iter().any(|own| is_same_host(own, host));
    if !is_ours {
        return Err(expected());
    }
    let normal = String::from(parsed);
    Ok(normal.strip_suffix('/').unwrap_or(&normal).to_owned())
}

/// The names and addresses of the box. The planned name holds before its addresses are recorded.
fn own_hosts(workspace: &Workspace) -> Vec<String> {
    let instance = workspace.status.as_ref().and_then(|status| status.instance.as_ref());
    let recorded = instance.map(|instance| instance.addresses.as_slice()).unwrap_or_default();
    let planned = names::host(&workspace.uid().unwrap_or_default());
    let mut hosts = vec![planned];
    for address in recorded {
        if !hosts.contains(address) {
            hosts.push(address.clone());
        }
    }
    hosts
}

fn is_same_host(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one.to_canonical() == other.to_canonical(),
        (Err(_), Err(_)) => one.eq_ignore_ascii_case(other),
        _ => false,
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workspace(addresses: &[&str]) -> Workspace {
        serde_json::from_value(json!({
            "apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace",
            "metadata": {"name": "w", "uid": "0f8fad5b-d9cb-469f-a165-70867728950e"},
            "spec": {"runtime": "r"},
            "status": {"instance": {"state": "running", "addresses": addresses}},
        }))
        .unwrap()
    }

    #[test]
    fn the_box_s_own_urls_are_accepted_in_their_normal_form() {
        let known = workspace(&["10.201.0.2", "Box-1", "fd00::2"]);
        for (url, normal) in [
            ("http://ws-0f8fad5bd9cb:8000", "http://ws-0f8fad5bd9cb:8000"),
            ("http://WS-0f8fad5bd9cb:8000/", "http://ws-0f8fad5bd9cb:8000"),
            ("http://10.201.0.2:8000", "http://10.201.0.2:8000"),
            ("http://box-1:8000/a2a", "http://box-1:8000/a2a"),
            ("http://[fd00:0::2]:8000", "http://[fd00::2]:8000"),
            ("http://box-1:8000\n", "http://box-1:8000"),
        ] {
            assert_eq!(check(url, &known).as_deref(), Ok(normal), "{url}");
        }
        let unknown = workspace(&[]);
        assert!(check("http://ws-0f8fad5bd9cb:8000", &unknown).is_ok());
        assert!(check("http://10.201.0.2:8000", &unknown).is_err());
    }

    #[test]
    fn any_other_url_is_refused_and_the_expected_ones_are_named() {
        let known = workspace(&["10.201.0.2"]);
        let long = format!("http://10.201.0.2:8000/{}", "a".repeat(URL_MAX_BYTES));
        for url in [
            "",
            "10.201.0.2:8000",
            "http://10.201.0.3:8000",
            "http://10.201.0.2",
            "http://10.201.0.2:8001",
            "https://10.201.0.2:8000",
            "ftp://10.201.0.2:8000",
            "http://me@10.201.0.2:8000",
            "http://me:secret@10.201.0.2:8000",
            "http://10.201.0.2:8000@evil.example:8000",
            "http://evil.example:8000/10.201.0.2",
            "http://169.254.169.254:8000",
            "http://localhost:8000",
            "http://127.0.0.1:8000",
            "http://ws-0f8fad5bd9cb.evil.example:8000",
            "file:///etc/passwd",
            &long,
        ] {
            let error = check(url, &known).unwrap_err();
            assert!(error.contains("`url`"), "{error}");
            assert!(error.contains("http://ws-0f8fad5bd9cb:8000 or http://10.201.0.2:8000"), "{error}");
        }
    }
}
