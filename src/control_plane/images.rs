//! The devices of machine images. An image never changes, so each is asked for once.

use super::action::Action;
use super::ec2::Ec2;
use super::faults::Fault;
use super::flight::Flights;
use super::launch::Image;
use futures::FutureExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was learnt of images. Bounded by the allow-list.
#[derive(Default)]
pub struct Images {
    known: Mutex<HashMap<String, Image>>,
    asking: Flights<String, Result<Option<Image>, Fault>>,
}

impl Images {
    /// The devices of this image: the root volume is told what to be by its name.
    ///
    /// # Errors
    /// When EC2 does not know the image, or does not answer.
    pub async fn devices(&self, ec2: &Arc<Ec2>, id: &str) -> Result<Image, Fault> {
        if let Some(image) = self.known().get(id) {
            return Ok(image.clone());
        }
        let (ec2, about) = (ec2.clone(), id.to_owned());
        let ask = || async move { ec2.image(&about).await }.boxed();
        let missing = || Fault::ec2(Action::DescribeImages, "InvalidAMIID.NotFound").about(id);
        let image = self.asking.join(id.to_owned(), ask).await?.ok_or_else(missing)?;
        self.known().insert(id.to_owned(), image.clone());
        Ok(image)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Image>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
