//! The actions that are known, and how each is counted against the limits.

use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($name:ident),+ $(,)?) => {
        /// An action of the EC2 Query API, or STS's `GetCallerIdentity`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[allow(missing_docs, reason = "the names are EC2's own")]
        pub enum Action { $($name),+ }

        impl Action {
            /// Every action, in the order of the table above.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

actions!(
    RunInstances,
    DescribeInstances,
    TerminateInstances,
    StopInstances,
    StartInstances,
    GetConsoleOutput,
    CreateVolume,
    AttachVolume,
    DetachVolume,
    DescribeVolumes,
    DeleteVolume,
    CreateTags,
    DeleteTags,
    DescribeNetworkInterfaces,
    DeleteNetworkInterface,
    DescribeSubnets,
    DescribeImages,
    DescribeAvailabilityZones,
    DescribeInstanceTypes,
    GetCallerIdentity,
);

impl Action {
    /// The action of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }

    /// Whether it only reads.
    pub fn reads(self) -> bool {
        self.name().starts_with("Describe") || self.name().starts_with("Get")
    }
}
