//! Answers as EC2 writes them: XML in its namespace, and errors in the shape that SDKs look for.

mod instances;
mod surroundings;
mod volumes;

use crate::action::Action;
use crate::error::ApiError;
use crate::request::tags::Tags;
use crate::world::catalog::Catalog;
use crate::world::reply::Reply;
use crate::xml::Xml;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The answer to a call that was done.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>
pub fn success(action: Action, reply: Reply, catalog: &Catalog, request_id: &str) -> String {
    if let Reply::CallerIdentity = reply {
        return caller_identity(catalog, request_id);
    }
    let mut xml = Xml::default();
    xml.node(&format!("{}Response xmlns=\"{EC2}\"", action.name()), |xml| {
        xml.text("requestId", request_id);
        body(xml, reply, catalog);
    });
    declared(xml)
}

/// The answer to a call that was not done.
///
/// <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
pub fn failure(action: Option<Action>, error: &ApiError, request_id: &str) -> String {
    let mut xml = Xml::default();
    let code = |xml: &mut Xml| {
        xml.text("Code", &error.code);
        xml.text("Message", &error.message);
    };
    if action == Some(Action::GetCallerIdentity) {
        xml.node(&format!("ErrorResponse xmlns=\"{STS}\""), |xml| {
            xml.node("Error", |xml| {
                xml.text("Type", if error.status < 500 { "Sender" } else { "Receiver" });
                code(xml);
            });
            xml.text("RequestId", request_id);
        });
    } else {
        xml.node("Response", |xml| {
            xml.node("Errors", |xml| xml.node("Error", code));
            xml.text("RequestID", request_id);
        });
    }
    declared(xml)
}

fn declared(xml: Xml) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", xml.finish())
}

fn body(xml: &mut Xml, reply: Reply, catalog: &Catalog) {
    match reply {
        Reply::Launched(view) => instances::reservation(xml, &view, catalog),
        Reply::Instances(views, next) => {
            xml.items("reservationSet", &views, |xml, view| instances::reservation(xml, view, catalog));
            xml.maybe("nextToken", next);
        }
        Reply::StateChanges(changes) => instances::changes(xml, &changes),
        Reply::Console(id, text, at) => {
            xml.text("instanceId", id);
            xml.maybe("timestamp", at.map(time));
            xml.text("output", STANDARD.encode(text));
        }
        Reply::Volume(volume) => volumes::volume(xml, &volume),
        Reply::Attachment(id, attachment) => volumes::attachment(xml, &id, &attachment),
        Reply::Volumes(all, next) => {
            xml.items("volumeSet", &all, volumes::volume);
            xml.maybe("nextToken", next);
        }
        Reply::Interfaces(all, next) => {
            xml.items("networkInterfaceSet", &all, |xml, one| instances::interface(xml, one, catalog));
            xml.maybe("nextToken", next);
        }
        Reply::Subnets(all, next) => {
            xml.items("subnetSet", &all, |xml, (one, free)| surroundings::subnet(xml, one, *free, catalog));
            xml.maybe("nextToken", next);
        }
        Reply::Images(all, next) => {
            xml.items("imagesSet", &all, |xml, one| surroundings::image(xml, one, catalog));
            xml.maybe("nextToken", next);
        }
        Reply::Zones(all) => {
            xml.items("availabilityZoneInfo", &all, |xml, (name, id)| {
                surroundings::zone(xml, name, id, catalog);
            });
        }
        Reply::Types(all, next) => {
            xml.items("instanceTypeSet", &all, surroundings::instance_type);
            xml.maybe("nextToken", next);
        }
        Reply::CallerIdentity | Reply::Success => xml.text("return", true),
    }
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
fn caller_identity(catalog: &Catalog, request_id: &str) -> String {
    let mut xml = Xml::default();
    xml.node(&format!("GetCallerIdentityResponse xmlns=\"{STS}\""), |xml| {
        xml.node("GetCallerIdentityResult", |xml| {
            xml.text("Arn", format_args!("arn:aws:iam::{}:user/ec2sim", catalog.account));
            xml.text("UserId", "AIDAEC2SIMULATOR00000");
            xml.text("Account", &catalog.account);
        });
        xml.node("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    });
    declared(xml)
}

/// A time as EC2 writes it.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

fn tags(xml: &mut Xml, tags: &Tags) {
    if !tags.is_empty() {
        xml.items("tagSet", tags, |xml, (key, value)| {
            xml.text("key", key);
            xml.text("value", value);
        });
    }
}

fn groups(xml: &mut Xml, ids: &[String]) {
    xml.items("groupSet", ids, |xml, id| {
        xml.text("groupId", id);
        xml.text("groupName", id);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_own_shape_of_an_error() {
        let error = ApiError::new("RequestLimitExceeded", "a < b");
        assert_eq!(
            failure(Some(Action::RunInstances), &error, "r"),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>RequestLimitExceeded\
             </Code><Message>a &lt; b</Message></Error></Errors><RequestID>r</RequestID></Response>"
        );
        let sts = failure(Some(Action::GetCallerIdentity), &error, "r");
        assert!(sts.contains("<ErrorResponse") && sts.contains("<Type>Receiver</Type>"), "{sts}");
    }
}
