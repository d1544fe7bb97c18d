"""Holds every answer of ec2sim against botocore's own model of EC2.

usage: botocore_check.py ENDPOINT

botocore's parser skips what it does not know, so each answer is also walked here: every element must be a member
of the shape that the model names, and every text must be of its type. Requests are written by botocore.
"""

import datetime
import sys
import time
import xml.etree.ElementTree as ElementTree

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

PROBLEMS = []
SEEN = set()
WANTED = {
    "RunInstances", "DescribeInstances", "TerminateInstances", "StopInstances", "StartInstances",
    "GetConsoleOutput", "CreateVolume", "AttachVolume", "DetachVolume", "DescribeVolumes", "DeleteVolume",
    "CreateTags", "DeleteTags", "DescribeNetworkInterfaces", "DeleteNetworkInterface", "DescribeSubnets",
    "DescribeImages", "DescribeAvailabilityZones", "DescribeInstanceTypes", "GetCallerIdentity",
}


def local(tag):
    return tag.split("}")[-1]


def walk(node, shape, path):
    """Complains about what the model does not know."""
    kind = shape.type_name
    if kind == "structure":
        names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for child in node:
            member = names.get(local(child.tag))
            if member is None:
                PROBLEMS.append(f"{path}: unknown element <{local(child.tag)}>")
            else:
                walk(child, member, f"{path}/{local(child.tag)}")
    elif kind == "list":
        for child in node:
            if local(child.tag) != shape.member.serialization.get("name", "item"):
                PROBLEMS.append(f"{path}: <{local(child.tag)}> in a list")
            walk(child, shape.member, f"{path}[]")
    else:
        check_text(node.text or "", shape, path)


def check_text(text, shape, path):
    kind = shape.type_name
    try:
        if kind in ("integer", "long"):
            int(text)
        elif kind in ("float", "double"):
            float(text)
        elif kind == "boolean" and text not in ("true", "false"):
            raise ValueError(text)
        elif kind == "timestamp":
            datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
        elif kind == "string" and getattr(shape, "enum", None) and text not in shape.enum:
            raise ValueError(text)
    except ValueError:
        PROBLEMS.append(f"{path}: `{text}` is no {kind} {shape.name}")


def validate(http_response, model, **_):
    if http_response.status_code != 200:
        return
    SEEN.add(model.name)
    root = ElementTree.fromstring(http_response.content)
    namespace = model.service_model.metadata.get("xmlNamespace", "http://ec2.amazonaws.com/doc/2016-11-15")
    if namespace.rstrip("/") not in root.tag:
        PROBLEMS.append(f"{model.name}: namespace of {root.tag}")
    if local(root.tag) != f"{model.name}Response":
        PROBLEMS.append(f"{model.name}: root element {local(root.tag)}")
    body = [child for child in root if local(child.tag) not in ("requestId", "return", "ResponseMetadata")]
    if model.output_shape is None:
        if body:
            PROBLEMS.append(f"{model.name}: has a body, and the model has none")
        return
    wrapper = model.output_shape.serialization.get("resultWrapper")
    if wrapper:
        walk(root.find(f"{{*}}{wrapper}"), model.output_shape, model.name)
    else:
        holder = ElementTree.Element("holder")
        holder.extend(body)
        walk(holder, model.output_shape, model.name)


def client(service, endpoint):
    session = botocore.session.get_session()
    made = session.create_client(
        service, region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(retries={"max_attempts": 0}))
    made.meta.events.register("after-call", validate)
    return made


def refused(code, status, call, **parameters):
    try:
        call(**parameters)
        PROBLEMS.append(f"{code} was expected of {call.__name__}")
    except ClientError as error:
        got = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        if got != (code, status):
            PROBLEMS.append(f"{call.__name__}: {got}, and not {(code, status)}")
        if not error.response["ResponseMetadata"].get("RequestId"):
            PROBLEMS.append(f"{code}: no request id")


def expect(what, is_so):
    if not is_so:
        PROBLEMS.append(f"not so: {what}")


def until(what, call, deadline=15):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if call():
            return
        time.sleep(0.05)
    PROBLEMS.append(f"not within {deadline} s: {what}")


def surroundings(ec2):
    """The launch that the surroundings allow, with everything that it can carry."""
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    in_zone = [{"Name": "availability-zone", "Values": [zones[0]["ZoneName"]]}]
    subnet = ec2.describe_subnets(Filters=in_zone)["Subnets"][0]
    image = ec2.describe_images(Owners=["self"])["Images"][0]
    types = ec2.describe_instance_types(InstanceTypes=["t3.medium"])["InstanceTypes"]
    expect("two processors", types[0]["VCpuInfo"]["DefaultVCpus"] == 2)
    tags = [{"Key": "atelier.dev/uid", "Value": "u & <1>"}]
    kinds = ("instance", "volume", "network-interface")
    return zones[0]["ZoneName"], {
        "ImageId": image["ImageId"], "InstanceType": "t3.medium", "MinCount": 1, "MaxCount": 1,
        "ClientToken": "token-1", "UserData": "#!/bin/sh\necho hello\n",
        "IamInstanceProfile": {"Name": "atelier-agent"},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "NetworkInterfaces": [{
            "DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": ["sg-0a7e11e7000000001"],
            "DeleteOnTermination": True, "AssociatePublicIpAddress": False}],
        "BlockDeviceMappings": [{"DeviceName": image["RootDeviceName"], "Ebs": {
            "VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in kinds],
    }


def launches(ec2, launch, account):
    """From the dry run to a running instance; its id."""
    refused("DryRunOperation", 412, ec2.run_instances, **launch, DryRun=True)
    reservation = ec2.run_instances(**launch)
    instance = reservation["Instances"][0]
    name = instance["InstanceId"]
    expect("the owner is the account", reservation["OwnerId"] == account)
    expect("the tags come back", instance["Tags"] == launch["TagSpecifications"][0]["Tags"])
    expect("IMDSv2 is required", instance["MetadataOptions"]["HttpTokens"] == "required")
    expect("there is one interface", len(instance["NetworkInterfaces"]) == 1)
    expect("a replay is the same", ec2.run_instances(**launch)["Instances"][0]["InstanceId"] == name)
    refused("IdempotentParameterMismatch", 400, ec2.run_instances, **{**launch, "UserData": "other"})
    until("running", lambda: state(ec2, name) == "running")
    return name


def state(ec2, name):
    return ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]["State"]["Name"]


def lists(ec2, name):
    def found(key, value, **more):
        return len(ec2.describe_instances(Filters=[{"Name": key, "Values": [value]}], **more)["Reservations"])

    expect("found by token", found("client-token", "token-1") == 1)
    expect("found by tag", found("tag:atelier.dev/uid", "u & <1>", MaxResults=5) == 1)
    expect("nothing by another tag", found("tag-key", "x") == 0)
    console = ec2.get_console_output(InstanceId=name, Latest=True)
    expect("a console", name in console["Output"])


def disks(ec2, name, zone, tags):
    disk = ec2.create_volume(
        AvailabilityZone=zone, Size=10, VolumeType="gp3", Encrypted=True, ClientToken="volume-1",
        TagSpecifications=[{"ResourceType": "volume", "Tags": tags}])["VolumeId"]

    def shown():
        return ec2.describe_volumes(VolumeIds=[disk])["Volumes"][0]

    until("available", lambda: shown()["State"] == "available")
    ec2.attach_volume(VolumeId=disk, InstanceId=name, Device="/dev/sdf")
    until("attached", lambda: shown()["Attachments"][0]["State"] == "attached")
    by_tag = [{"Name": "tag:atelier.dev/uid", "Values": [tags[0]["Value"]]}]
    expect("two volumes", len(ec2.describe_volumes(Filters=by_tag, MaxResults=5)["Volumes"]) == 2)
    ec2.detach_volume(VolumeId=disk, InstanceId=name)
    until("free again", lambda: shown()["State"] == "available")
    ec2.create_tags(Resources=[name, disk], Tags=[{"Key": "more", "Value": ""}])
    ec2.delete_tags(Resources=[name, disk], Tags=[{"Key": "more"}])
    ec2.delete_volume(VolumeId=disk)
    cards = ec2.describe_network_interfaces(Filters=by_tag, MaxResults=5)["NetworkInterfaces"]
    expect("the interface is attached", cards[0]["Attachment"]["InstanceId"] == name)
    refused("InvalidNetworkInterface.InUse", 400, ec2.delete_network_interface,
            NetworkInterfaceId=cards[0]["NetworkInterfaceId"])


def ends(ec2, name, launch):
    ec2.stop_instances(InstanceIds=[name])
    until("stopped", lambda: state(ec2, name) == "stopped")
    ec2.start_instances(InstanceIds=[name])
    until("running again", lambda: state(ec2, name) == "running")
    refused("InvalidInstanceID.NotFound", 400, ec2.terminate_instances, InstanceIds=[name, "i-0123456789abcdef0"])
    changes = ec2.terminate_instances(InstanceIds=[name])["TerminatingInstances"]
    expect("it shuts down", changes[0]["CurrentState"]["Name"] == "shutting-down")
    until("terminated", lambda: state(ec2, name) == "terminated")
    refused("IdempotentInstanceTerminated", 400, ec2.run_instances, **launch)


def outlives(ec2, launch):
    """An interface that is told to stay."""
    keep = {**launch["NetworkInterfaces"][0], "DeleteOnTermination": False}
    other = ec2.run_instances(**{**launch, "NetworkInterfaces": [keep]})["Instances"][0]
    card = other["NetworkInterfaces"][0]["NetworkInterfaceId"]

    def shown():
        return ec2.describe_network_interfaces(NetworkInterfaceIds=[card])["NetworkInterfaces"][0]

    ec2.terminate_instances(InstanceIds=[other["InstanceId"]])
    until("the interface is free", lambda: shown()["Status"] == "available")
    ec2.delete_network_interface(NetworkInterfaceId=card)


def pages(ec2, launch, name):
    for _ in range(6):
        ec2.run_instances(**launch)
    found = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    expect("two pages", [len(page["Reservations"]) for page in found] == [5, 3])
    refused("InvalidParameterCombination", 400, ec2.describe_instances, InstanceIds=[name], MaxResults=5)
    refused("InvalidParameterValue", 400, ec2.describe_instances, MaxResults=4)


def main(endpoint):
    ec2, sts = client("ec2", endpoint), client("sts", endpoint)
    account = sts.get_caller_identity()["Account"]
    zone, launch = surroundings(ec2)
    name = launches(ec2, launch, account)
    lists(ec2, name)
    disks(ec2, name, zone, launch["TagSpecifications"][0]["Tags"])
    ends(ec2, name, launch)
    del launch["ClientToken"]
    outlives(ec2, launch)
    pages(ec2, launch, name)
    expect(f"validated: {WANTED ^ SEEN}", WANTED == SEEN)
    for problem in dict.fromkeys(PROBLEMS):
        print(problem)
    print(f"{len(SEEN)} actions validated, {len(PROBLEMS)} problems")
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
