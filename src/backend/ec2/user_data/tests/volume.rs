//! The agent's data: found, never formatted but when blank, and mounted.

use super::machine::bundle;
use super::*;
use std::fs;
use std::process::Command;

const ID: &str = "vol-0123456789abcdef0";
const OPTIONS: &str = "nofail,x-systemd.before=docker.service,x-systemd.required-by=docker.service";

/// A machine whose bundle names this volume.
fn machine(volume: &str) -> Machine {
    let machine = Machine::new();
    let with_volume = bundle(&[("data-volume", volume.as_bytes(), 0o600)]);
    machine.registry(|registry| registry.bundles = [(200, with_volume)].into());
    machine.link("mkfs.ext4");
    machine
}

/// The path of the device of the volume.
fn device(machine: &Machine) -> std::path::PathBuf {
    machine.path("devices/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0")
}

fn blank(path: &std::path::Path) {
    fs::File::create(path).unwrap().set_len(16 << 20).unwrap();
}

fn uuid(path: &std::path::Path) -> String {
    let output = Command::new("blkid").args(["-p", "-s", "UUID", "-o", "value"]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn last_line(machine: &Machine) -> String {
    machine.read("fstab").lines().last().unwrap().to_owned()
}

#[test]
fn without_a_volume_data_is_on_the_root_volume() {
    let machine = Machine::new();
    assert!(run(&machine).ok);
    assert!(machine.path("atelier/workspace").is_dir());
    assert_eq!(machine.read("fstab"), "# what was there");
    assert!(!machine.calls().iter().any(|call| call.starts_with("mount")));
}

#[test]
fn a_blank_volume_is_formatted_once_and_mounted_before_the_engine_at_every_boot() {
    let machine = machine(ID);
    blank(&device(&machine));
    let ended = run(&machine);
    assert!(ended.ok, "{} {}", ended.output, machine.read("atelier/boot.log"));
    let made = uuid(&device(&machine));
    assert!(!made.is_empty());
    let workspace = machine.path("atelier/workspace").display().to_string();
    assert_eq!(last_line(&machine), format!("UUID={made} {workspace} ext4 {OPTIONS} 0 2"));
    assert!(machine.read("fstab").starts_with("# what was there\n"));
    assert!(machine.calls().contains(&format!("mount {workspace}")));

    // Another run on the same disk, as after a failed boot; then one that finds it mounted.
    fs::remove_file(machine.path("state/container")).unwrap();
    assert!(run(&machine).ok);
    assert_eq!(uuid(&device(&machine)), made, "it has a file system, and keeps it");
    assert_eq!(machine.read("fstab").matches("UUID=").count(), 1);
    machine.stub("mountpoint", "note \"mountpoint $*\"");
    fs::remove_file(machine.path("state/container")).unwrap();
    fs::remove_file(machine.path("calls")).unwrap();
    assert!(run(&machine).ok);
    assert!(!machine.calls().contains(&format!("mount {workspace}")));
}

#[test]
fn a_volume_that_holds_anything_is_never_formatted() {
    let machine = machine(ID);
    let path = device(&machine);
    blank(&path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[70_000] = 1;
    fs::write(&path, &bytes).unwrap();
    assert!(!run(&machine).ok);
    assert!(machine.detail().contains("neither blank nor a file system"), "{}", machine.detail());
    assert_eq!(machine.stages().last().unwrap(), &("agent-started".to_owned(), false));
    assert!(fs::read(&path).unwrap() == bytes, "it was written to");
    assert_eq!(machine.read("fstab"), "# what was there");
}

#[test]
fn a_probe_that_fails_and_a_device_that_cannot_be_read_format_nothing() {
    for probe in ["exit 4", "echo xfs; exit 8", "exit 1"] {
        let machine = machine(ID);
        blank(&device(&machine));
        machine.stub("blkid", probe);
        machine.stub("mkfs.ext4", "note \"mkfs $*\"");
        assert!(!run(&machine).ok, "{probe}");
        assert!(machine.detail().contains("neither blank nor a file system"), "{}", machine.detail());
        assert!(!machine.read("calls").contains("mkfs"), "{probe}");
    }
    let machine = machine(ID);
    // Shorter than what is read of it, as where reading breaks off.
    fs::write(device(&machine), [0; 4096]).unwrap();
    machine.stub("mkfs.ext4", "note \"mkfs $*\"");
    assert!(!run(&machine).ok);
    assert!(!machine.read("calls").contains("mkfs"));
}

#[test]
fn a_volume_that_is_attached_late_is_waited_for_and_not_for_ever() {
    let machine = machine(ID);
    let attach = format!(
        "note \"sleep $*\"\n[ \"$(wc -l <{0}/calls)\" -lt 20 ] || ln -sf {0}/disk {1}",
        machine.dir.display(),
        device(&machine).display()
    );
    machine.stub("sleep", &attach);
    blank(&machine.path("disk"));
    let ended = run(&machine);
    assert!(ended.ok, "{}", ended.output);
    assert!(!uuid(&machine.path("disk")).is_empty());

    let machine = self::machine(ID);
    assert!(!run(&machine).ok);
    assert!(
        machine.detail().contains(&format!("the data volume {ID} did not appear")),
        "{}",
        machine.detail()
    );
}

#[test]
fn a_path_may_stand_for_a_volume_and_a_folder_for_a_device() {
    let machine = machine("");
    let folder = machine.path("shared");
    fs::create_dir(&folder).unwrap();
    let named = bundle(&[("data-volume", folder.to_str().unwrap().as_bytes(), 0o600)]);
    machine.registry(|registry| registry.bundles = [(200, named)].into());
    assert!(run(&machine).ok);
    let workspace = machine.path("atelier/workspace").display().to_string();
    assert_eq!(last_line(&machine), format!("{} {workspace} none bind,{OPTIONS} 0 0", folder.display()));
}

#[test]
fn new_data_begin_with_what_the_image_has_in_their_place() {
    let machine = Machine::new();
    fs::create_dir(machine.path("state/workspace")).unwrap();
    fs::write(machine.path("state/workspace/README"), "from the image").unwrap();
    assert!(run(&machine).ok);
    assert_eq!(machine.read("atelier/workspace/README"), "from the image");
    assert!(machine.calls().contains(&"docker rm -v template".to_owned()));

    fs::write(machine.path("atelier/workspace/README"), "the agent's").unwrap();
    fs::remove_file(machine.path("state/container")).unwrap();
    assert!(run(&machine).ok);
    assert_eq!(machine.read("atelier/workspace/README"), "the agent's");
}
