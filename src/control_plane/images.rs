//! The devices of machine images. An image never changes, so each is asked for once.

use super::action::Action;
use super::ec2::Ec2;
use super::faults::Fault;
use super::launch::Image;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What was learnt of images. Bounded by the allow-list.
#[derive(Debug, Default)]
pub struct Images(Mutex<HashMap<String, Image>>);

impl Images {
    /// The devices of this image: the root volume is told what to be by its name.
    ///
    /// # Errors
    /// When EC2 does not know the image, or does not answer.
    pub async fn devices(&self, ec2: &Ec2, id: &str) -> Result<Image, Fault> {
        if let Some(image) = self.known().get(id) {
            return Ok(image.clone());
        }
        let missing = || Fault::ec2(Action::DescribeImages, "InvalidAMIID.NotFound").about(id);
        let image = ec2.image(id).await?.ok_or_else(missing)?;
        self.known().insert(id.to_owned(), image.clone());
        Ok(image)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Image>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
