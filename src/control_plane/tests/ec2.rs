//! A small EC2 for these tests: tokens, tags, filters, pages, and faults on order. It speaks the Query protocol.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

pub type Parameters = HashMap<String, String>;

/// The account of this EC2.
pub const ACCOUNT: &str = "123456789012";

#[derive(Clone, Debug, Default)]
pub struct Thing {
    pub state: String,
    pub tags: BTreeMap<String, String>,
    /// The request that made it.
    pub made_by: Parameters,
    /// The instance that a volume or an interface is attached to.
    pub attached_to: String,
    /// Whether lists show it.
    pub hidden: bool,
}

/// What happens to a call instead of its answer.
#[derive(Clone)]
pub enum Fault {
    /// It is refused with this code, and nothing happens.
    Code(&'static str),
    /// It happens, and then the connection breaks.
    LoseAnswer,
    /// It happens, and the answer is no XML.
    Garbage,
    /// It happens once told, and not before.
    Hold(Arc<Notify>),
}

#[derive(Default)]
pub struct World {
    pub instances: BTreeMap<String, Thing>,
    pub volumes: BTreeMap<String, Thing>,
    pub interfaces: BTreeMap<String, Thing>,
    pub calls: Vec<(String, Parameters)>,
    pub faults: Vec<(&'static str, VecDeque<Fault>)>,
    pub console: String,
    /// How many instances are on a page.
    pub page: usize,
    /// Whether lists show everything, whatever the filters say.
    pub unfiltered: bool,
    /// Whether new instances are hidden from lists.
    pub lag: bool,
    next: u32,
}

#[derive(Clone)]
pub struct Ec2 {
    pub url: String,
    world: Arc<Mutex<World>>,
}

impl Ec2 {
    pub fn start() -> Self {
        let world = Arc::new(Mutex::new(World { page: 1_000, ..World::default() }));
        let router = Router::new().fallback(call).with_state(world.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum_server::from_tcp(listener).unwrap().serve(router.into_make_service()));
        Self { url, world }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The next call of this action ends so.
    pub fn fail(&self, action: &'static str, fault: Fault) {
        self.world().faults.push((action, VecDeque::from([fault])));
    }

    /// How many calls of this action there were.
    pub fn count(&self, action: &str) -> usize {
        self.world().calls.iter().filter(|(name, _)| name == action).count()
    }

    pub fn last(&self, action: &str) -> Parameters {
        let world = self.world();
        world
            .calls
            .iter()
            .rev()
            .find(|(name, _)| name == action)
            .unwrap_or_else(|| panic!("no {action}"))
            .1
            .clone()
    }

    /// Puts an instance there, as if somebody else had launched it.
    pub fn put_instance(&self, id: &str, state: &str, tags: &[(&str, &str)]) {
        self.world().instances.insert(id.into(), thing(state, tags));
    }

    pub fn put_volume(&self, id: &str, state: &str, tags: &[(&str, &str)]) {
        self.world().volumes.insert(id.into(), thing(state, tags));
    }

    pub fn put_interface(&self, id: &str, tags: &[(&str, &str)]) {
        self.world().interfaces.insert(id.into(), thing("available", tags));
    }

    pub fn state(&self, id: &str) -> String {
        self.world().instances[id].state.clone()
    }
}

fn thing(state: &str, tags: &[(&str, &str)]) -> Thing {
    let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Thing { state: state.into(), tags, ..Thing::default() }
}

async fn call(State(world): State<Arc<Mutex<World>>>, body: String) -> Response {
    let url = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
    let parameters: Parameters = url.query_pairs().into_owned().collect();
    let action = parameters["Action"].clone();
    let fault = {
        let mut world = world.lock().unwrap();
        world.calls.push((action.clone(), parameters.clone()));
        let at = world.faults.iter().position(|(name, faults)| *name == action && !faults.is_empty());
        at.and_then(|at| world.faults[at].1.pop_front())
    };
    if let Some(Fault::Hold(told)) = &fault {
        told.notified().await;
    }
    if let Some(Fault::Code(code)) = &fault {
        return error(code);
    }
    let answer = world.lock().unwrap().answer(&action, &parameters);
    match (fault, answer) {
        (Some(Fault::LoseAnswer), _) => {
            let broken = futures::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("lost"))]);
            Response::new(Body::from_stream(broken))
        }
        (Some(Fault::Garbage), _) => Response::new(Body::from("<html>hush")),
        (_, Ok(xml)) => Response::new(Body::from(format!(
            "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>{xml}</{action}Response>"
        ))),
        (_, Err(code)) => error(code),
    }
}

fn error(code: &str) -> Response {
    let status = if code == "RequestLimitExceeded" { 503 } else { 400 };
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>hush, upstream words</Message></Error></Errors>\
         <RequestID>r</RequestID></Response>"
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// `Prefix.1`, `Prefix.2` and so on.
fn list(parameters: &Parameters, prefix: &str) -> Vec<String> {
    (1..).map_while(|n| parameters.get(&format!("{prefix}.{n}")).cloned()).collect()
}

pub fn tags(parameters: &Parameters, resource: &str) -> BTreeMap<String, String> {
    let at = (1..9).find(|n| {
        parameters.get(&format!("TagSpecification.{n}.ResourceType")).is_some_and(|kind| kind == resource)
    });
    let Some(at) = at else { return BTreeMap::new() };
    (1..)
        .map_while(|n| {
            let key = parameters.get(&format!("TagSpecification.{at}.Tag.{n}.Key"))?;
            Some((key.clone(), parameters[&format!("TagSpecification.{at}.Tag.{n}.Value")].clone()))
        })
        .collect()
}

fn matches(id: &str, kind: &str, thing: &Thing, parameters: &Parameters) -> bool {
    (1..).map_while(|n| Some((n, parameters.get(&format!("Filter.{n}.Name"))?))).all(|(n, name)| {
        let values = list(parameters, &format!("Filter.{n}.Value"));
        assert!(!values.is_empty() && values.len() <= 200, "{name}: {values:?}");
        let found = match name.strip_prefix("tag:") {
            Some(key) => thing.tags.get(key).cloned(),
            None if name == "client-token" => thing.made_by.get("ClientToken").cloned(),
            None if *name == format!("{kind}-id") => Some(id.to_owned()),
            None => panic!("the filter {name}"),
        };
        found.is_some_and(|found| values.contains(&found))
    })
}

fn tag_set(tags: &BTreeMap<String, String>) -> String {
    let items = tags.iter().fold(String::new(), |mut items, (key, value)| {
        write!(items, "<item><key>{key}</key><value>{value}</value></item>").unwrap();
        items
    });
    format!("<tagSet>{items}</tagSet>")
}

fn instance(id: &str, thing: &Thing) -> String {
    let token = thing.made_by.get("ClientToken").cloned().unwrap_or_default();
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>{}</name></instanceState>\
         <privateIpAddress>10.0.0.1</privateIpAddress><clientToken>{token}</clientToken>\
         <launchTime>2026-01-01T00:00:00.000Z</launchTime><placement><availabilityZone>us-east-1a</availabilityZone>\
         </placement>{}</item>",
        thing.state,
        tag_set(&thing.tags)
    )
}

fn reservation(items: &str) -> String {
    format!("<ownerId>{ACCOUNT}</ownerId><instancesSet>{items}</instancesSet>")
}

/// What must be the same when a token comes again.
fn request(parameters: &Parameters) -> BTreeSet<(&String, &String)> {
    parameters.iter().filter(|(key, _)| !matches!(&***key, "DryRun")).collect()
}

impl World {
    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{:017x}", self.next)
    }

    fn answer(&mut self, action: &str, parameters: &Parameters) -> Result<String, &'static str> {
        match action {
            "RunInstances" => self.run(parameters),
            "DescribeInstances" => Ok(self.describe_instances(parameters)),
            "TerminateInstances" => self.change(parameters, "shutting-down"),
            "StopInstances" => self.change(parameters, "stopping"),
            "StartInstances" => self.change(parameters, "pending"),
            "GetConsoleOutput" if parameters.contains_key("Latest") => Err("UnsupportedOperation"),
            "GetConsoleOutput" => {
                let text = data_encoding::BASE64.encode(self.console.as_bytes());
                Ok(format!("<output>{text}</output>"))
            }
            "DescribeSubnets" => {
                let wanted = list(parameters, "Filter.1.Value");
                let item = |id: &str| {
                    format!(
                        "<item><subnetId>{id}</subnetId><availabilityZone>us-east-1a</availabilityZone>\
                         <ownerId>{ACCOUNT}</ownerId></item>"
                    )
                };
                let known = wanted.iter().filter(|id| !id.contains("missing"));
                Ok(format!("<subnetSet>{}</subnetSet>", known.map(|id| item(id)).collect::<String>()))
            }
            "DescribeImages" => {
                let id = &parameters["Filter.1.Value.1"];
                if id.contains("missing") {
                    return Ok("<imagesSet/>".into());
                }
                Ok(format!(
                    "<imagesSet><item><imageId>{id}</imageId><rootDeviceName>/dev/xvda</rootDeviceName>\
                     <blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>8</volumeSize></ebs>\
                     </item><item><deviceName>/dev/sdb</deviceName><virtualName>ephemeral0</virtualName></item>\
                     </blockDeviceMapping></item></imagesSet>"
                ))
            }
            "CreateVolume" => self.create_volume(parameters),
            "DescribeVolumes" => {
                let found = self
                    .volumes
                    .iter()
                    .filter(|(id, thing)| self.unfiltered || matches(id, "volume", thing, parameters));
                Ok(format!(
                    "<volumeSet>{}</volumeSet>",
                    found.map(|(id, thing)| volume(id, thing)).collect::<String>()
                ))
            }
            "AttachVolume" => {
                let volume = self.volumes.get_mut(&parameters["VolumeId"]).ok_or("InvalidVolume.NotFound")?;
                volume.attached_to.clone_from(&parameters["InstanceId"]);
                volume.state = "in-use".into();
                Ok(String::new())
            }
            "DeleteVolume" => {
                let volume = self.volumes.get(&parameters["VolumeId"]).ok_or("InvalidVolume.NotFound")?;
                if !volume.attached_to.is_empty() {
                    return Err("VolumeInUse");
                }
                self.volumes.remove(&parameters["VolumeId"]);
                Ok("<return>true</return>".into())
            }
            "DescribeNetworkInterfaces" => {
                let item = |(id, thing): (&String, &Thing)| {
                    format!(
                        "<item><networkInterfaceId>{id}</networkInterfaceId><status>{}</status>{}</item>",
                        thing.state,
                        tag_set(&thing.tags)
                    )
                };
                let found = self.interfaces.iter();
                let found = found.filter(|(id, thing)| {
                    self.unfiltered || matches(id, "network-interface", thing, parameters)
                });
                Ok(format!(
                    "<networkInterfaceSet>{}</networkInterfaceSet>",
                    found.map(item).collect::<String>()
                ))
            }
            "DeleteNetworkInterface" => {
                self.interfaces.remove(&parameters["NetworkInterfaceId"]);
                Ok("<return>true</return>".into())
            }
            "CreateTags" => {
                let id = &parameters["ResourceId.1"];
                let thing = self.volumes.get_mut(id).ok_or("InvalidVolume.NotFound")?;
                thing.tags.insert(parameters["Tag.1.Key"].clone(), parameters["Tag.1.Value"].clone());
                Ok("<return>true</return>".into())
            }
            other => panic!("the action {other}"),
        }
    }

    fn run(&mut self, parameters: &Parameters) -> Result<String, &'static str> {
        if parameters.get("DryRun").is_some_and(|dry| dry == "true") {
            return Err("DryRunOperation");
        }
        let token = &parameters["ClientToken"];
        let known = self.instances.iter().find(|(_, thing)| thing.made_by.get("ClientToken") == Some(token));
        if let Some((id, thing)) = known {
            return match &*thing.state {
                _ if request(&thing.made_by) != request(parameters) => Err("IdempotentParameterMismatch"),
                "shutting-down" | "terminated" => Err("IdempotentInstanceTerminated"),
                _ => Ok(reservation(&instance(id, thing))),
            };
        }
        let id = self.id("i-");
        let tags = tags(parameters, "instance");
        let hidden = self.lag;
        let thing =
            Thing { state: "pending".into(), tags, made_by: parameters.clone(), hidden, ..Thing::default() };
        let answer = reservation(&instance(&id, &thing));
        self.instances.insert(id, thing);
        Ok(answer)
    }

    fn describe_instances(&self, parameters: &Parameters) -> String {
        let start: usize = parameters.get("NextToken").map_or(0, |token| token.parse().unwrap());
        let found: Vec<_> = self
            .instances
            .iter()
            .filter(|(id, thing)| {
                !thing.hidden && (self.unfiltered || matches(id, "instance", thing, parameters))
            })
            .collect();
        let page = found.iter().skip(start).take(self.page);
        let item =
            |(id, thing): (&String, &Thing)| format!("<item>{}</item>", reservation(&instance(id, thing)));
        let items = page.map(|(id, thing)| item((*id, *thing))).collect::<Vec<_>>().concat();
        let next = start + self.page;
        let next = if next < found.len() { format!("<nextToken>{next}</nextToken>") } else { String::new() };
        format!("<reservationSet>{items}</reservationSet>{next}")
    }

    fn change(&mut self, parameters: &Parameters, state: &str) -> Result<String, &'static str> {
        let ids = list(parameters, "InstanceId");
        if ids.iter().any(|id| !self.instances.contains_key(id)) {
            return Err("InvalidInstanceID.NotFound");
        }
        let mut items = String::new();
        for id in ids {
            let thing = self.instances.get_mut(&id).unwrap();
            state.clone_into(&mut thing.state);
            write!(
                items,
                "<item><instanceId>{id}</instanceId><currentState><code>0</code><name>{state}</name></currentState>\
                 </item>"
            )
            .unwrap();
        }
        Ok(format!("<instancesSet>{items}</instancesSet>"))
    }

    fn create_volume(&mut self, parameters: &Parameters) -> Result<String, &'static str> {
        assert_eq!(parameters["Encrypted"], "true");
        let token = &parameters["ClientToken"];
        let known = self.volumes.iter().find(|(_, thing)| thing.made_by.get("ClientToken") == Some(token));
        if let Some((id, thing)) = known {
            if request(&thing.made_by) != request(parameters) {
                return Err("IdempotentParameterMismatch");
            }
            return Ok(format!("<volumeId>{id}</volumeId><status>{}</status>", thing.state));
        }
        let id = self.id("vol-");
        let tags = tags(parameters, "volume");
        let thing =
            Thing { state: "available".into(), tags, made_by: parameters.clone(), ..Thing::default() };
        self.volumes.insert(id.clone(), thing);
        Ok(format!("<volumeId>{id}</volumeId><status>creating</status>"))
    }
}

fn volume(id: &str, thing: &Thing) -> String {
    let zone = thing.made_by.get("AvailabilityZone").cloned().unwrap_or_default();
    let attachment = if thing.attached_to.is_empty() {
        String::new()
    } else {
        format!("<item><instanceId>{}</instanceId><status>attached</status></item>", thing.attached_to)
    };
    format!(
        "<item><volumeId>{id}</volumeId><status>{}</status><availabilityZone>{zone}</availabilityZone>\
         <attachmentSet>{attachment}</attachmentSet>{}</item>",
        thing.state,
        tag_set(&thing.tags)
    )
}
