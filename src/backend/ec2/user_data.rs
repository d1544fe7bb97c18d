//! User-data: the script that turns a new EC2 instance into a box, in the order of its boot stages.
//!
//! A launch that is replayed must be the same launch, so what is rendered depends on nothing that can change
//! within an attempt: on [`VERSION`], the frozen container plan and the token. A version that was released is
//! never edited; the tests pin it. The next one is another file beside it.

#[cfg(test)]
mod tests;

use crate::backend::ContainerPlan;

/// The version of the script that new attempts are launched with.
pub const VERSION: u32 = 1;

/// The most that EC2 takes, in bytes before its encoding.
pub const MAX_BYTES: usize = 16_384;

/// The script's part that is the same for every launch.
const SCRIPT: &str = include_str!("user_data_v1.sh");

/// One attempt, as its instance is told of it. Nothing in it is secret but the bootstrap token.
#[derive(Clone, Copy)]
pub struct Boot<'a> {
    /// The container to run.
    pub container: &'a ContainerPlan,
    /// The Workspace's uid.
    pub workspace_id: &'a str,
    /// The launch attempt.
    pub attempt: i64,
    /// The URL at which the box reaches the registry.
    pub platform_url: &'a str,
    /// The token that is good for boot stages and the bundle, and for nothing else.
    pub bootstrap_token: &'a str,
    /// Certificates (PEM) that the box trusts for the registry besides the public ones.
    pub ca_bundle: Option<&'a str>,
}

/// The script does not fit into what EC2 takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "user-data would be {bytes} bytes long, and EC2 takes {MAX_BYTES}: {longest} alone takes {longest_bytes}; \
     shorten it by {}",
    bytes - MAX_BYTES
)]
pub struct TooLong {
    /// How long it would be.
    pub bytes: usize,
    /// What of the launch takes the most of it.
    pub longest: &'static str,
    /// How much that takes.
    pub longest_bytes: usize,
}

/// The user-data of one attempt: the launch as assignments of a shell, then the script.
///
/// # Errors
/// When it is longer than EC2 takes.
pub fn render(boot: &Boot<'_>) -> Result<String, TooLong> {
    let Boot { container, workspace_id, attempt, platform_url, bootstrap_token, ca_bundle } = *boot;
    let flag = |is_set: bool| if is_set { "1" } else { "" };
    let command: Vec<String> = container.command.iter().map(|word| quoted(word)).collect();
    let command = command.join(" ");
    let ca_bundle = quoted(&without_comments(ca_bundle.unwrap_or_default()));
    let mut text = String::from("#!/bin/sh\n");
    for (name, value) in [
        ("PLATFORM_URL", platform_url),
        ("WORKSPACE_ID", workspace_id),
        ("ATTEMPT", &attempt.to_string()),
        ("BOOTSTRAP_TOKEN", bootstrap_token),
        ("IMAGE", &container.image),
        ("NAME", &container.name),
        ("HOST", &container.alias),
        ("MEMORY_MIB", &container.memory_mib.to_string()),
        ("CPUS", &format!("{}.{:03}", container.cpu_milli / 1000, container.cpu_milli % 1000)),
        ("PIDS_LIMIT", &container.pids_limit.to_string()),
        ("READ_ONLY_ROOT", flag(container.read_only_root)),
        ("PRIVILEGED", flag(container.privileged)),
        ("ENGINE_SOCKET", flag(container.engine_socket)),
    ] {
        text.extend(["ATELIER_", name, "=", &quoted(value), "\n"]);
    }
    text.extend(["ATELIER_CA_BUNDLE=", &ca_bundle, "\nset -- ", &command, "\n"]);
    text.extend(short(SCRIPT));
    if text.len() <= MAX_BYTES {
        return Ok(text);
    }
    let parts = [
        ("the certificates in registry.caBundle", ca_bundle.len()),
        ("the runtime's command", command.len()),
        ("the runtime's image", container.image.len()),
        ("registry.advertiseURL", platform_url.len()),
    ];
    let (longest, longest_bytes) = parts.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or_default();
    Err(TooLong { bytes: text.len(), longest, longest_bytes })
}

/// A word of a shell that stands for exactly this text. NUL, which no word can hold, is left out.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

/// Certificates without what stands between them for people.
fn without_comments(pem: &str) -> String {
    let mut is_inside = false;
    let kept = pem.lines().map(str::trim).filter(|line| {
        is_inside |= line.starts_with("-----BEGIN");
        let is_kept = is_inside;
        is_inside &= !line.starts_with("-----END");
        is_kept
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// A script without comments and indentation: EC2 counts every byte.
fn short(script: &str) -> impl Iterator<Item = &str> {
    let lines = script.split_inclusive('\n').map(|line| line.trim_start_matches(' '));
    lines.filter(|line| !line.starts_with('#') && *line != "\n")
}
