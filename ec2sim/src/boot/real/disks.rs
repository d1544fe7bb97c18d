//! Data volumes: a sparse file each, given to a machine as a loop device under the name that EC2 uses.

use super::engine::{Engine, Failure};
use crate::world::Disk;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// The device that each volume with a file had last. The lock also keeps two from taking the same free one.
#[derive(Default)]
pub struct Disks(Mutex<HashMap<String, String>>);

/// `$1` the volume, `$2` its size in GiB; prints the device.
const OPEN: &str = "f=/ec2sim/volumes/$1; [ -e $f ] || truncate -s ${2}G $f || exit; \
                    d=$(losetup -j $f | cut -d: -f1 | head -n 1); \
                    [ -n \"$d\" ] || d=$(losetup -f --show $f) || exit; echo $d";
/// `$1` the volume.
const CLOSE: &str =
    "f=/ec2sim/volumes/$1; losetup -j $f | cut -d: -f1 | while read -r d; do losetup -d $d; done";
/// `$1` the device, `$2` the volume's id without its dash.
const SHOW: &str = "[ -b $1 ] || mknod $1 b 7 ${1#/dev/loop} || exit; mkdir -p /dev/disk/by-id; \
                    ln -sfn ../../${1#/dev/} /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$2";
/// `$1` the device, `$2` the volume's id without its dash.
const HIDE: &str = "rm -f /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$2 $1";

impl Disks {
    /// Gives a volume to a machine. One that is off is given it again when it boots.
    ///
    /// <https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html>
    pub async fn attach(&self, engine: &Engine, instance: &str, disk: &Disk) -> Result<(), Failure> {
        let device = {
            let mut devices = self.0.lock().await;
            let size = disk.gib.to_string();
            let device = engine.run_on_host(&["/bin/sh", "-c", OPEN, "open", &disk.volume, &size]).await?;
            devices.insert(disk.volume.clone(), device.clone());
            device
        };
        if !engine.is_on(instance).await {
            return Ok(());
        }
        let serial = disk.volume.replace('-', "");
        engine.run_in(instance, &["/bin/sh", "-c", SHOW, "show", &device, &serial]).await.map(|_| ())
    }

    /// Takes a volume from a machine, whether or not it is on.
    pub async fn detach(&self, engine: &Engine, instance: &str, volume: &str) -> Result<(), Failure> {
        let Some(device) = self.0.lock().await.get(volume).cloned() else { return Ok(()) };
        if engine.is_on(instance).await {
            let serial = volume.replace('-', "");
            engine.run_in(instance, &["/bin/sh", "-c", HIDE, "hide", &device, &serial]).await?;
        }
        engine.run_on_host(&["/bin/sh", "-c", CLOSE, "close", volume]).await.map(|_| ())
    }

    /// Removes a volume's file. One that was never given to a machine, such as a root volume, has none.
    pub async fn erase(&self, engine: &Engine, volume: &str) -> Result<(), Failure> {
        if self.0.lock().await.remove(volume).is_none() {
            return Ok(());
        }
        engine.run_on_host(&["/bin/sh", "-c", CLOSE, "close", volume]).await?;
        engine.run_on_host(&["/bin/rm", "-f", &format!("/ec2sim/volumes/{volume}")]).await.map(|_| ())
    }
}
