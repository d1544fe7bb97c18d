//! What the API server has to know of this API, and this API of the API server: read once in a while, and set
//! right where it is not.
//!
//! The certificate is in a Secret that all replicas share. Whichever finds it missing or near its end makes one;
//! of two that do, the one that is refused takes the other's. What is to be trusted for it is written into the
//! APIService, if that points here: so no manifest has to hold a certificate.

use super::certificate::Pair;
use super::front::{self, Front};
use super::{GROUP, VERSION};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Error, ResourceExt};
use serde_json::json;
use std::time::Duration;

/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads, and sets right.
pub struct Keeper {
    secrets: Api<Secret>,
    secret: String,
    maps: Api<ConfigMap>,
    services: Api<APIService>,
    namespace: String,
    service: String,
}

impl Keeper {
    /// For the Service of this name in the operator's namespace, of the installation of this name.
    pub fn new(client: &Client, namespace: &str, service: &str, controller: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            secret: format!("{controller}-live-tls"),
            maps: Api::namespaced(client.clone(), front::NAMESPACE),
            services: Api::all(client.clone()),
            namespace: namespace.to_owned(),
            service: service.to_owned(),
        }
    }

    /// The name that the API server calls this API by.
    fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// The certificate that all replicas serve. One that is missing, or no longer good, is made anew.
    ///
    /// # Errors
    /// Why there is none, and what to do.
    pub async fn certificate(&self) -> Result<Pair, String> {
        // Twice: whoever lost a race to another replica finds its certificate the second time.
        for _ in 0..2 {
            let found = self.asked("read", &self.secret, self.secrets.get_opt(&self.secret)).await?;
            let stored = found.as_ref().and_then(|secret| Pair::from_data(secret.data.as_ref()?));
            let now = Timestamp::now();
            if let Some(pair) = stored.clone().filter(|pair| pair.is_good(&self.host(), now)) {
                return Ok(pair);
            }
            let former = stored.as_ref().map(|pair| pair.authorities.as_str());
            let made = Pair::new(&self.host(), former, now);
            let made = made.map_err(|error| format!("a certificate could not be made: {error}"))?;
            if self.store(found, &made).await? {
                tracing::info!(secret = self.secret, "made a certificate for the aggregated API");
                return Ok(made);
            }
        }
        Err(format!("the Secret {} changes all the time", self.secret))
    }

    /// Whether it was stored: not where another replica was faster.
    async fn store(&self, found: Option<Secret>, pair: &Pair) -> Result<bool, String> {
        let parameters = PostParams::default();
        let is_new = found.is_none();
        let found = found.unwrap_or_else(|| Secret {
            metadata: ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() },
            type_: Some("kubernetes.io/tls".to_owned()),
            ..Secret::default()
        });
        let secret = Secret { data: Some(pair.data()), ..found };
        let stored = async {
            if is_new {
                self.secrets.create(&parameters, &secret).await
            } else {
                // With the resourceVersion that was read: never over what another replica made.
                self.secrets.replace(&self.secret, &parameters, &secret).await
            }
        };
        let stored = async {
            match stored.await {
                Err(Error::Api(status)) if status.code == 409 => Ok(false),
                stored => stored.map(|_| true),
            }
        };
        self.asked("write", &self.secret, stored).await
    }

    /// Has the API server trust the certificate, if its APIService points here.
    ///
    /// # Errors
    /// Why that is not so, and what to do.
    pub async fn announce(&self, pair: &Pair) -> Result<(), String> {
        let name = format!("{VERSION}.{GROUP}");
        let Some(found) = self.asked("read", &name, self.services.get_opt(&name)).await? else {
            return Ok(());
        };
        if !self.is_to_be_changed(&found, pair) {
            return Ok(());
        }
        let change = json!({"spec": {"caBundle": STANDARD.encode(&pair.authorities)}});
        let patch = Patch::Merge(change);
        let parameters = PatchParams::default();
        self.asked("write", &name, self.services.patch(&name, &parameters, &patch)).await?;
        tracing::info!(
            api_service = found.name_any(),
            "wrote the authority of the aggregated API into its APIService"
        );
        Ok(())
    }

    /// Not where it belongs to another installation, or is told to trust anybody.
    fn is_to_be_changed(&self, found: &APIService, pair: &Pair) -> bool {
        let Some(spec) = &found.spec else { return false };
        let is_here = spec.service.as_ref().is_some_and(|service| {
            service.name.as_deref() == Some(&self.service)
                && service.namespace.as_deref() == Some(&self.namespace)
        });
        let trusted = spec.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice());
        is_here && spec.insecure_skip_tls_verify != Some(true) && trusted != Some(pair.authorities.as_bytes())
    }

    /// By what the API server's front proxy is known.
    ///
    /// # Errors
    /// Why that is not known, and what to do.
    pub async fn front(&self) -> Result<Front, String> {
        let what = format!("{}/{}", front::NAMESPACE, front::NAME);
        let map = self.asked("read", &what, self.maps.get(front::NAME)).await?;
        Front::read(&map).map_err(|why| format!("the ConfigMap {what} cannot be used: {why}"))
    }

    async fn asked<T>(
        &self,
        verb: &str,
        what: &str,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, String> {
        match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Error::Api(status))) if status.code == 403 => Err(format!(
                "{what} may not be {verb}: grant it as docs/live-api.md says ({})",
                status.message
            )),
            Ok(Err(error)) => Err(format!("{what} could not be {verb}: {error}")),
            Err(_) => Err(format!("{what} could not be {verb}: no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::testing::{Calls, api_server};
    use serde_json::Value;

    fn keeper(code: u16, reply: Value) -> (Keeper, Calls) {
        let (client, calls) = api_server(code, reply);
        (Keeper::new(&client, "ns", "atelier-live", "atelier"), calls)
    }

    fn pair() -> Pair {
        Pair::new("atelier-live.ns.svc", None, Timestamp::now()).unwrap()
    }

    fn stored(pair: &Pair) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "atelier-live-tls"}, "data": pair.data()})
    }

    fn service(spec: &Value) -> Value {
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
               "metadata": {"name": "v1alpha1.live.atelier.dev"}, "spec": spec})
    }

    fn methods(calls: &Calls) -> Vec<String> {
        calls.lock().unwrap().iter().map(|call| call.method.clone()).collect()
    }

    #[tokio::test]
    async fn a_certificate_that_is_stored_and_good_is_served_as_it_is() {
        let pair = pair();
        let (keeper, calls) = keeper(200, stored(&pair));
        assert!(keeper.certificate().await == Ok(pair));
        assert_eq!(methods(&calls), ["GET"]);
    }

    #[tokio::test]
    async fn one_for_another_name_is_replaced_and_its_authority_trusted_a_while_longer() {
        let other = Pair::new("elsewhere.ns.svc", None, Timestamp::now()).unwrap();
        let (keeper, calls) = keeper(200, stored(&other));
        let made = keeper.certificate().await.ok().unwrap();
        assert!(made.is_good("atelier-live.ns.svc", Timestamp::now()));
        assert!(made.authorities.contains(other.authorities.trim()));
        assert_eq!(methods(&calls), ["GET", "PUT"]);
        let written: Secret = serde_json::from_value(calls.lock().unwrap()[1].body.clone()).unwrap();
        assert!(Pair::from_data(&written.data.unwrap()) == Some(made));
    }

    #[tokio::test]
    async fn what_may_not_be_read_says_what_to_do() {
        let status = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
        let (keeper, _) = keeper(403, status);
        let why = keeper.front().await.unwrap_err();
        assert!(
            why.contains("kube-system/extension-apiserver-authentication")
                && why.contains("docs/live-api.md")
        );
        assert!(keeper.certificate().await.is_err_and(|why| why.contains("atelier-live-tls")));
    }

    #[tokio::test]
    async fn only_an_api_service_that_points_here_is_changed_and_only_where_it_differs() {
        let pair = pair();
        let trusting = STANDARD.encode(&pair.authorities);
        let here = json!({"namespace": "ns", "name": "atelier-live"});
        let common = |more: Value| {
            let mut spec = json!({"groupPriorityMinimum": 1, "versionPriority": 1});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            service(&spec)
        };
        for (spec, changed) in [
            (json!({"service": here}), true),
            (json!({"service": here, "caBundle": STANDARD.encode("another")}), true),
            (json!({"service": here, "caBundle": trusting}), false),
            (json!({"service": here, "insecureSkipTLSVerify": true}), false),
            (json!({"service": {"namespace": "ns", "name": "another"}}), false),
            (json!({"service": {"namespace": "other", "name": "atelier-live"}}), false),
            (json!({}), false),
        ] {
            let (keeper, calls) = keeper(200, common(spec.clone()));
            assert_eq!(keeper.announce(&pair).await, Ok(()));
            let expected: &[&str] = if changed { &["GET", "PATCH"] } else { &["GET"] };
            assert_eq!(methods(&calls), expected, "{spec}");
            if changed {
                let body = calls.lock().unwrap()[1].body.clone();
                assert_eq!(body, json!({"spec": {"caBundle": trusting}}));
            }
        }
    }

    #[tokio::test]
    async fn without_an_api_service_there_is_nothing_to_tell() {
        let status = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no"});
        let (keeper, calls) = keeper(404, status);
        assert_eq!(keeper.announce(&pair()).await, Ok(()));
        assert_eq!(methods(&calls), ["GET"]);
    }
}
