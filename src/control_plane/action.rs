//! The EC2 actions that are called, and how fast AWS lets them be called.
//!
//! The numbers are those of "Request throttling for the Amazon EC2 API"
//! (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>), for one account and Region.

use prometheus_client::encoding::EncodeLabelValue;

/// An action of EC2's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Action {
    RunInstances,
    StartInstances,
    StopInstances,
    TerminateInstances,
    DescribeInstances,
    DescribeVolumes,
    DescribeNetworkInterfaces,
    DescribeSubnets,
    DescribeImages,
    GetConsoleOutput,
    CreateTags,
    CreateVolume,
    AttachVolume,
    DeleteVolume,
    DeleteNetworkInterface,
}

/// A bucket of tokens: so many at once, and so many a second for ever.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At once.
    pub burst: f64,
    /// A second.
    pub per_second: f64,
}

const fn rate(burst: f64, per_second: f64) -> Rate {
    Rate { burst, per_second }
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 15] = [
        Self::RunInstances,
        Self::StartInstances,
        Self::StopInstances,
        Self::TerminateInstances,
        Self::DescribeInstances,
        Self::DescribeVolumes,
        Self::DescribeNetworkInterfaces,
        Self::DescribeSubnets,
        Self::DescribeImages,
        Self::GetConsoleOutput,
        Self::CreateTags,
        Self::CreateVolume,
        Self::AttachVolume,
        Self::DeleteVolume,
        Self::DeleteNetworkInterface,
    ];

    /// EC2's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunInstances => "RunInstances",
            Self::StartInstances => "StartInstances",
            Self::StopInstances => "StopInstances",
            Self::TerminateInstances => "TerminateInstances",
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeVolumes => "DescribeVolumes",
            Self::DescribeNetworkInterfaces => "DescribeNetworkInterfaces",
            Self::DescribeSubnets => "DescribeSubnets",
            Self::DescribeImages => "DescribeImages",
            Self::GetConsoleOutput => "GetConsoleOutput",
            Self::CreateTags => "CreateTags",
            Self::CreateVolume => "CreateVolume",
            Self::AttachVolume => "AttachVolume",
            Self::DeleteVolume => "DeleteVolume",
            Self::DeleteNetworkInterface => "DeleteNetworkInterface",
        }
    }

    /// How many requests AWS takes. Every describe of ours is filtered or paged.
    pub fn requests(self) -> Rate {
        match self {
            Self::RunInstances | Self::StartInstances => rate(5.0, 2.0),
            Self::TerminateInstances => rate(100.0, 5.0),
            Self::CreateTags => rate(100.0, 10.0),
            Self::StopInstances
            | Self::CreateVolume
            | Self::AttachVolume
            | Self::DeleteVolume
            | Self::DeleteNetworkInterface => rate(50.0, 5.0),
            Self::DescribeInstances
            | Self::DescribeVolumes
            | Self::DescribeNetworkInterfaces
            | Self::DescribeSubnets
            | Self::DescribeImages
            | Self::GetConsoleOutput => rate(100.0, 20.0),
        }
    }

    /// How many instances those requests may be about.
    pub fn instances(self) -> Option<Rate> {
        match self {
            Self::RunInstances | Self::StartInstances => Some(rate(1000.0, 2.0)),
            Self::TerminateInstances | Self::StopInstances => Some(rate(1000.0, 20.0)),
            _ => None,
        }
    }

    /// Whether it changes something, so that a lost answer leaves open whether it did.
    pub fn changes(self) -> bool {
        !matches!(
            self,
            Self::DescribeInstances
                | Self::DescribeVolumes
                | Self::DescribeNetworkInterfaces
                | Self::DescribeSubnets
                | Self::DescribeImages
                | Self::GetConsoleOutput
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_listed_once_under_its_own_name() {
        for (index, action) in Action::ALL.into_iter().enumerate() {
            assert_eq!(format!("{action:?}"), action.as_str());
            assert_eq!(Action::ALL.iter().position(|other| *other == action), Some(index));
        }
    }
}
