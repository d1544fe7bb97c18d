//! `get` and `peers`: a look around from inside a box that has no shell.

use std::io::Write;

use atelier_wire::Peer;

use crate::error::Error;
use crate::log::say;
use crate::registry::{Registry, client, unavailable};
use crate::settings::{Settings, private_ca};

/// Fetches `url` and prints the body. The number is the exit code: 0 for a 2xx answer.
pub(crate) async fn get(url: &str) -> Result<u8, Error> {
    let call = format!("GET {url}");
    let client = client(private_ca()?.as_deref())?;
    let response = client.get(url).send().await.map_err(|error| unavailable(&call, &error))?;
    let status = response.status();
    let body = response.bytes().await.map_err(|error| unavailable(&call, &error))?;
    print(&body)?;
    if status.is_success() {
        return Ok(0);
    }
    say(format!("{call}: {status}"));
    Ok(1)
}

/// Prints the peers of this workspace, one a line.
pub(crate) async fn peers() -> Result<u8, Error> {
    let registry = Registry::new(&Settings::read()?)?;
    print(table(&registry.peers().await?).as_bytes())?;
    Ok(0)
}

/// Writes to standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::Print)
}

fn table(peers: &[Peer]) -> String {
    let rows: Vec<[&str; 4]> = std::iter::once(["NAME", "STATUS", "URL", "ID"])
        .chain(peers.iter().map(|peer| {
            let url = if peer.url.is_empty() { "-" } else { &peer.url };
            [peer.name.as_str(), peer.status.as_str(), url, &peer.id]
        }))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (name, state, url) = (width(0), width(1), width(2));
    let line =
        |row: &[&str; 4]| format!("{:name$}  {:state$}  {:url$}  {}\n", row[0], row[1], row[2], row[3]);
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use atelier_wire::PeerStatus;

    use super::*;

    fn peer(name: &str, status: PeerStatus, url: &str) -> Peer {
        Peer {
            id: format!("u-{name}"),
            name: name.into(),
            role: String::new(),
            tier: 1,
            status,
            url: url.into(),
            parent_id: None,
            active_tasks: 0,
            agent_card: None,
        }
    }

    #[test]
    fn peers_stand_in_columns() {
        let peers =
            [peer("lead", PeerStatus::Online, "http://ws-1:8000"), peer("b", PeerStatus::Provisioning, "")];
        assert_eq!(
            table(&peers),
            "NAME  STATUS        URL               ID\n\
             lead  online        http://ws-1:8000  u-lead\n\
             b     provisioning  -                 u-b\n"
        );
    }
}
