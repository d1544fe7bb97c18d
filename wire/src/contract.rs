//! What a box finds when it starts: the environment variables, files and ports of the agent contract.

/// The Workspace's uid: the id in every registry call.
pub const ENV_WORKSPACE_ID: &str = "WORKSPACE_ID";
/// Base URL of the registry.
pub const ENV_PLATFORM_URL: &str = "PLATFORM_URL";
/// The same base URL, under the name that today's agents also read.
pub const ENV_MOLECULE_URL: &str = "MOLECULE_URL";
/// Folder of the files below; [`CONFIG_DIR`] unless set.
pub const ENV_CONFIG_PATH: &str = "WORKSPACE_CONFIG_PATH";
/// A name or address that peers can resolve; the host of the advertised url.
pub const ENV_HOSTNAME: &str = "HOSTNAME";
/// The tier as a plain number, such as `2`: runtimes read the word "T2" as 1.
pub const ENV_TIER: &str = "TIER";
/// Folder of the plugins.
pub const ENV_PLUGINS_DIR: &str = "PLUGINS_DIR";
/// The id of the workspace that this one reports to; absent for a root.
pub const ENV_PARENT_ID: &str = "PARENT_ID";

/// Where the configuration volume is mounted.
pub const CONFIG_DIR: &str = "/configs";
/// The workspace token, mode 0600, in the configuration folder.
pub const TOKEN_FILE: &str = ".auth_token";
/// A private certificate authority to trust besides the web's, in PEM, in the configuration folder.
pub const CA_FILE: &str = "ca.crt";
/// The rendered runtime configuration, in the configuration folder.
pub const CONFIG_FILE: &str = "config.yaml";
/// The system prompt, in the configuration folder.
pub const SYSTEM_PROMPT_FILE: &str = "system-prompt.md";

/// Port on which an agent serves A2A.
pub const A2A_PORT: u16 = 8_000;
/// Path of the agent card on that port.
pub const AGENT_CARD_PATH: &str = "/.well-known/agent-card.json";
/// Path of the agent card in older releases of A2A.
pub const AGENT_CARD_PATH_OLD: &str = "/.well-known/agent.json";

/// Seconds between two heartbeats.
pub const HEARTBEAT_SECONDS: u64 = 30;
/// Seconds without a heartbeat after which an agent counts as lost, unless the platform says otherwise.
pub const HEARTBEAT_TTL_SECONDS: u64 = 180;
