//! The flags of `atelier control-plane`. Each can also be given as an environment variable.

use crate::process::logs::LogArgs;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run the control plane: launch and end EC2 instances for the controllers of clusters. The only command that
/// needs AWS credentials; it looks for them where AWS's own tools do.
#[derive(Args, Clone, Debug)]
pub struct ControlPlaneArgs {
    /// The settings file (YAML): Region, secrets, and what launches may use
    #[arg(long, env = "ATELIER_CONTROL_PLANE_SETTINGS", value_name = "FILE", help_heading = "Settings")]
    pub settings: PathBuf,
    /// Where the API, /healthz, /readyz and /metrics are served
    #[arg(
        long,
        env = "ATELIER_CONTROL_PLANE_BIND",
        value_name = "ADDRESS:PORT",
        default_value = "0.0.0.0:8443",
        help_heading = "Serving"
    )]
    pub bind: SocketAddr,
    /// The certificate, PEM; read again when it changes. Without one, plain HTTP is served: only behind a mesh or
    /// on loopback, for every call carries a secret
    #[arg(
        long,
        env = "ATELIER_CONTROL_PLANE_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "Serving"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(
        long,
        env = "ATELIER_CONTROL_PLANE_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Serving"
    )]
    pub tls_key: Option<PathBuf>,
    /// What is logged.
    #[command(flatten)]
    pub logs: LogArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: ControlPlaneArgs,
    }

    #[test]
    fn every_flag_is_documented_and_can_come_from_the_environment() {
        let command = Cli::command();
        command.clone().debug_assert();
        for flag in command.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version")) {
            assert!(flag.get_help().is_some(), "--{} has no help", flag.get_id());
            assert!(flag.get_env().is_some(), "--{} has no variable", flag.get_id());
            assert!(flag.get_help_heading().is_some(), "--{} has no heading", flag.get_id());
        }
    }

    #[test]
    fn a_certificate_is_of_no_use_without_its_key() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["x", "--settings", "s"], args].concat());
        assert_eq!(parse(&[]).unwrap().args.bind.port(), 8443);
        assert!(parse(&["--tls-cert", "x"]).is_err());
    }
}
