//! One bridge network a Team: made once, remembered, and removed with the Team's last box.

use super::engine::{CALL, Engine};
use super::error::{Refusal, gone_is_fine};
use super::subnet::Subnet;
use crate::api::names;
use crate::backend::{BackendError, ErrorKind};
use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often another range is tried when the engine finds that one overlaps: others may use the pool as well.
const TRIES: usize = 16;

/// How long an engine may refuse to remove a network that it shows as empty before it is left behind. Under load
/// some engines (20.10 among them) lose count of a network's endpoints: they refuse until they are restarted.
/// Nothing of a user's is in a network, so it must not hold up the deletion of a Workspace.
const GIVE_UP: Duration = Duration::from_secs(15);

/// What is known of an engine's networks.
#[derive(Debug, Default)]
pub(super) struct Networks {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    /// Ranges of networks that are being made: the engine's list does not show them yet.
    reserved: Mutex<Vec<Subnet>>,
    /// Since when the engine refuses to remove a network that it shows as empty, by the network's id.
    refused: Mutex<HashMap<String, Instant>>,
}

/// The network of one Team.
#[derive(Debug, Default)]
struct Slot {
    /// Its id, once known. The lock is held while the network is made or removed.
    id: tokio::sync::Mutex<Option<String>>,
    /// Boxes that are about to join it, and do not show on the engine yet.
    joining: AtomicUsize,
}

/// A network that is not removed while this is held.
pub(super) struct Joining {
    pub(super) id: String,
    slot: Arc<Slot>,
}

impl Drop for Joining {
    fn drop(&mut self) {
        self.slot.joining.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A range that nobody else in this process takes while this is held.
struct Reserved<'a> {
    subnet: Subnet,
    networks: &'a Networks,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut reserved = self.networks.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|subnet| *subnet != self.subnet);
    }
}

impl Networks {
    fn slot(&self, network_of: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(network_of.to_owned()).or_default().clone()
    }

    fn reserve(&self, pool: Subnet, prefix: u8, taken: &[Subnet]) -> Option<Reserved<'_>> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<_> = taken.iter().chain(reserved.iter()).copied().collect();
        let subnet = pool.first_free(prefix, &taken)?;
        reserved.push(subnet);
        Some(Reserved { subnet, networks: self })
    }

    /// Notes that the engine refused to remove an empty network; answers whether it has done so for long.
    fn is_refused_for_long(&self, id: &str, give_up: Duration) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.entry(id.to_owned()).or_insert_with(Instant::now).elapsed() >= give_up
    }

    fn is_left_behind(&self, id: &str, give_up: Duration) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(id).is_some_and(|since| since.elapsed() >= give_up)
    }

    /// Forgets the id of a network that turned out to be gone.
    pub(super) async fn forget(&self, network_of: &str, id: &str) {
        let slot = self.slot(network_of);
        let mut known = slot.id.lock().await;
        if known.as_deref() == Some(id) {
            *known = None;
        }
    }
}

impl Engine {
    /// The network of a Team, made if there is none. It stays while the result is held.
    pub(super) async fn network(&self, network_of: &str, namespace: &str) -> Result<Joining, Refusal> {
        let slot = self.networks().slot(network_of);
        // Counted before the lock is taken, so that whoever removes the network sees it or is before us.
        slot.joining.fetch_add(1, Ordering::SeqCst);
        let mut joining = Joining { id: String::new(), slot: slot.clone() };
        let mut known = slot.id.lock().await;
        if known.is_none() {
            *known = Some(match self.oldest_network(network_of).await? {
                Some(id) => id,
                None => self.make_network(network_of, namespace).await?,
            });
        }
        joining.id = known.clone().unwrap_or_default();
        Ok(joining)
    }

    /// The networks of a Team that nothing is on and nothing is about to join.
    pub(super) async fn idle_networks(&self, network_of: &str) -> Result<Vec<String>, Refusal> {
        let slot = self.networks().slot(network_of);
        if slot.joining.load(Ordering::SeqCst) > 0 {
            return Ok(Vec::new());
        }
        let networks = self.networks_of(network_of).await?;
        if networks.is_empty() || self.has_boxes(network_of).await? {
            return Ok(Vec::new());
        }
        let mut idle = Vec::new();
        let left = |id: &String| self.networks().is_left_behind(id, GIVE_UP);
        for id in networks.into_iter().filter_map(|network| network.id).filter(|id| !left(id)) {
            // Somebody may have attached a container that is none of ours.
            let what = format!("inspect network {id}");
            match self.call(&what, CALL, self.client()?.inspect_network(&id, None)).await {
                Ok(network) if network.containers.as_ref().is_none_or(HashMap::is_empty) => idle.push(id),
                Ok(_) => {}
                Err(refusal) if refusal.is(404) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(idle)
    }

    /// Removes the networks of a Team that nothing is on and nothing is about to join.
    pub(super) async fn clear_networks(&self, network_of: &str) -> Result<(), Refusal> {
        let slot = self.networks().slot(network_of);
        let mut known = slot.id.lock().await;
        for id in self.idle_networks(network_of).await? {
            match self.remove_network(&id).await {
                Err(refusal) if refusal.says("has active endpoints") => {
                    if !self.networks().is_refused_for_long(&id, GIVE_UP) {
                        return Err(still_settling(refusal).into());
                    }
                    tracing::warn!(
                        network = id,
                        "the engine shows this network as empty and refuses to remove it; it is left behind"
                    );
                }
                removed => removed?,
            }
            known.take_if(|k| *k == id);
        }
        Ok(())
    }

    async fn remove_network(&self, id: &str) -> Result<(), Refusal> {
        let what = format!("remove network {id}");
        gone_is_fine(self.change(&what, CALL, self.client()?.remove_network(id)).await)
    }

    pub(super) async fn networks_of(&self, network_of: &str) -> Result<Vec<Network>, Refusal> {
        let filters = Some(self.ours(Some((names::NETWORK_OF, network_of))));
        let options = Some(ListNetworksOptions { filters });
        self.call("list networks", CALL, self.client()?.list_networks(options)).await
    }

    /// Containers that do not run are not shown with their network, so their labels are asked.
    async fn has_boxes(&self, network_of: &str) -> Result<bool, Refusal> {
        let filters = Some(self.ours(Some((names::NETWORK_OF, network_of))));
        let options =
            ListContainersOptions { all: true, limit: Some(1), filters, ..ListContainersOptions::default() };
        let boxes = self.call("list containers", CALL, self.client()?.list_containers(Some(options))).await?;
        Ok(!boxes.is_empty())
    }

    async fn oldest_network(&self, network_of: &str) -> Result<Option<String>, Refusal> {
        let mut networks = self.networks_of(network_of).await?;
        networks.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
        Ok(networks.into_iter().find_map(|network| network.id))
    }

    async fn make_network(&self, network_of: &str, namespace: &str) -> Result<String, Refusal> {
        let mut overlapping = Vec::new();
        for _ in 0..TRIES {
            let range = self.free_range(&overlapping).await?;
            match self.create_network(network_of, namespace, range.subnet).await {
                Ok(id) => return self.keep_older(network_of, id).await,
                Err(refusal) if refusal.says("overlaps") => overlapping.push(range.subnet),
                Err(refusal) => return Err(refusal),
            }
        }
        Err(self.pool_is_full())
    }

    /// Another process may have made the same network at the same time: of two the older one stays.
    async fn keep_older(&self, network_of: &str, made: String) -> Result<String, Refusal> {
        let oldest = self.oldest_network(network_of).await?.unwrap_or_else(|| made.clone());
        if oldest != made {
            self.remove_network(&made).await?;
        }
        Ok(oldest)
    }

    async fn free_range(&self, overlapping: &[Subnet]) -> Result<Reserved<'_>, Refusal> {
        let settings = &self.endpoint().network;
        let prefix = u8::try_from(settings.prefix_length).unwrap_or(u8::MAX);
        let Some(pool) = Subnet::parse(&settings.pool) else {
            let detail = format!("network.pool {:?} is no IPv4 range such as 10.201.0.0/16", settings.pool);
            return Err(BackendError::new(ErrorKind::Invalid, detail).into());
        };
        let all = self.call("list networks", CALL, self.client()?.list_networks(None)).await?;
        let taken: Vec<_> = all.iter().flat_map(subnets).chain(overlapping.iter().copied()).collect();
        self.networks().reserve(pool, prefix, &taken).ok_or_else(|| self.pool_is_full())
    }

    async fn create_network(
        &self,
        network_of: &str,
        namespace: &str,
        subnet: Subnet,
    ) -> Result<String, Refusal> {
        let name = names::network(network_of);
        let labels = BTreeMap::from([
            (names::NETWORK_OF.to_owned(), network_of.to_owned()),
            (names::NAMESPACE.to_owned(), namespace.to_owned()),
        ]);
        let range = IpamConfig { subnet: Some(subnet.to_string()), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".into()),
            ipam: Some(Ipam { config: Some(vec![range]), ..Ipam::default() }),
            labels: Some(self.signed(&labels)),
            ..NetworkCreateRequest::default()
        };
        let what = format!("create network {name} with the range {subnet}");
        match self.change(&what, CALL, self.client()?.create_network(request)).await {
            Ok(network) => Ok(network.id),
            // Newer engines refuse a second network of a name: ours by another process, or a stranger's.
            Err(refusal) if refusal.is(409) => self.oldest_network(network_of).await?.ok_or_else(|| {
                let detail = format!("a network named {name} exists and is not ours: remove or rename it");
                BackendError::new(ErrorKind::NameTaken, detail).into()
            }),
            Err(refusal) => Err(refusal),
        }
    }

    fn pool_is_full(&self) -> Refusal {
        let settings = &self.endpoint().network;
        let detail = format!(
            "no range of prefix length {} is free in the network pool {}: delete Teams, or widen \
             docker.network in the BackendConfig",
            settings.prefix_length, settings.pool
        );
        BackendError::new(ErrorKind::Failed, detail).into()
    }
}

fn subnets(network: &Network) -> impl Iterator<Item = Subnet> {
    let ranges = network.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    ranges.iter().filter_map(|range| range.subnet.as_deref()).filter_map(Subnet::parse)
}

/// An endpoint that is just going away: the engine is asked again soon, without growing pauses.
fn still_settling(refusal: Refusal) -> BackendError {
    BackendError { kind: ErrorKind::Busy, ..refusal.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_in_the_making_is_taken_until_it_is_let_go() {
        let networks = Networks::default();
        let pool = Subnet::parse("10.0.0.0/24").expect("a range");
        let first = networks.reserve(pool, 25, &[]).expect("free");
        let second = networks.reserve(pool, 25, &[]).expect("free");
        assert_eq!(
            (first.subnet.to_string(), second.subnet.to_string()),
            ("10.0.0.0/25".into(), "10.0.0.128/25".into())
        );
        assert!(networks.reserve(pool, 25, &[]).is_none());
        drop(first);
        let third = networks.reserve(pool, 25, &[]).expect("free again");
        assert_eq!(third.subnet.to_string(), "10.0.0.0/25");
    }

    #[test]
    fn a_network_that_the_engine_will_not_let_go_is_left_behind_in_the_end() {
        let networks = Networks::default();
        assert!(!networks.is_left_behind("n", Duration::ZERO), "it was never refused");
        assert!(!networks.is_refused_for_long("n", GIVE_UP), "it may be settling");
        assert!(!networks.is_left_behind("n", GIVE_UP));
        assert!(networks.is_refused_for_long("n", Duration::ZERO));
        assert!(networks.is_left_behind("n", Duration::ZERO));
        assert!(!networks.is_left_behind("another", Duration::ZERO));
    }
}
