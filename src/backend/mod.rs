//! The one door to the machines: [`Backends::place`] is the only way to a box.
//!
//! Every operation on a box is a method of [`Placement`], and only `place` makes one. The adapters are
//! private, and the target is a private enum, so that a path that skips the choice does not compile:
//!
//! ```compile_fail,E0603
//! use atelier::backend::docker::Engine; // private: there is no other door
//! ```
//!
//! ```compile_fail,E0451
//! # fn f(target: atelier::backend::Placement) {
//! let atelier::backend::Placement { target, .. } = target; // private: nothing looks behind it
//! # }
//! ```

mod archive;
mod container;
mod docker;
mod door;
mod ec2;
mod error;
mod hints;
mod placement;
mod printed;
mod query;
#[cfg(test)]
pub(crate) use ec2::model;
#[cfg(test)]
pub(crate) mod scripted;
mod seen;
mod survey;

pub(crate) use archive::{Owner, archive};
pub use container::{A2A_PORT, BoxOrder, ContainerPlan};
pub use docker::{EngineEndpoint, TlsFiles};
pub use door::{Backends, Configuration, Maker, NoBackend, Preflight, Selected};
pub use ec2::{ControlPlaneEndpoint, Ec2Endpoint};
pub use error::{BackendError, Class, ErrorKind};
pub use placement::Placement;
pub use printed::{LogQuery, LogStream, printable};
pub use query::{BoxQuery, LaunchOrder, LaunchQuery, Outlook, Recorder, Remains};
pub use seen::{BoxFile, BoxSeen, BoxState, Contents, Ec2Facts, ImageState, PullCredentials};
pub use survey::{Found, Grounds, Survey};
