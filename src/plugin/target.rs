//! Target: a Team or a Workspace as people name it on the command line.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The kinds that a command can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Kind {
    /// A Team.
    Team,
    /// A Workspace.
    Workspace,
}

impl Kind {
    /// The word in front of the slash.
    pub fn short(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Workspace => "ws",
        }
    }
}

/// A Team or a Workspace, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Which of the two.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Target {
    /// A Team.
    pub fn team(name: impl Into<String>) -> Self {
        Self { kind: Kind::Team, name: name.into() }
    }

    /// A Workspace.
    pub fn workspace(name: impl Into<String>) -> Self {
        Self { kind: Kind::Workspace, name: name.into() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.short(), self.name)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || format!("{text:?} is neither team/NAME nor ws/NAME");
        let (kind, name) = text.split_once('/').ok_or_else(usage)?;
        if name.is_empty() || name.contains('/') {
            return Err(usage());
        }
        match kind.strip_suffix(".atelier.dev").unwrap_or(kind).to_ascii_lowercase().as_str() {
            "team" | "teams" => Ok(Self::team(name)),
            "ws" | "workspace" | "workspaces" => Ok(Self::workspace(name)),
            _ => Err(usage()),
        }
    }
}

/// The name of a Workspace: `ws/x`, or `x` alone.
///
/// # Errors
/// When it names another kind.
pub fn workspace_name(text: &str) -> Result<String, String> {
    if !text.contains('/') && !text.is_empty() {
        return Ok(text.to_owned());
    }
    match text.parse() {
        Ok(Target { kind: Kind::Workspace, name }) => Ok(name),
        _ => Err(format!("{text:?} is not ws/NAME")),
    }
}

/// The name of a Team: `team/x`, or `x` alone.
///
/// # Errors
/// When it names another kind.
pub fn team_name(text: &str) -> Result<String, String> {
    if !text.contains('/') && !text.is_empty() {
        return Ok(text.to_owned());
    }
    match text.parse() {
        Ok(Target { kind: Kind::Team, name }) => Ok(name),
        _ => Err(format!("{text:?} is not team/NAME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_as_kubectl_names_it() {
        for text in ["ws/x", "workspace/x", "workspaces/x", "workspace.atelier.dev/x", "WS/x"] {
            assert_eq!(text.parse(), Ok(Target::workspace("x")), "{text}");
        }
        for text in ["team/x", "teams/x", "team.atelier.dev/x"] {
            assert_eq!(text.parse(), Ok(Target::team("x")), "{text}");
        }
        for text in ["x", "", "pod/x", "team/", "team/x/y", "/x"] {
            let refused = text.parse::<Target>().unwrap_err();
            assert!(refused.contains("neither team/NAME nor ws/NAME"), "{refused}");
        }
        assert_eq!(Target::workspace("x").to_string(), "ws/x");
    }

    #[test]
    fn where_only_one_kind_makes_sense_its_name_is_enough() {
        assert_eq!(workspace_name("x").as_deref(), Ok("x"));
        assert_eq!(workspace_name("ws/x").as_deref(), Ok("x"));
        assert!(workspace_name("team/x").is_err());
        assert_eq!(team_name("team/x").as_deref(), Ok("x"));
        assert!(team_name("ws/x").is_err() && team_name("").is_err());
    }
}
