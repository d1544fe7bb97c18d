//! Why the agent could not do what was asked for.

/// Why the agent could not do what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Settings(#[from] crate::settings::Error),
    #[error(transparent)]
    Tls(#[from] crate::tls::Error),
    #[error(transparent)]
    Call(#[from] crate::registry::CallError),
    #[error("cannot serve A2A on port {port}: {cause}; free the port or change a2a.port in config.yaml")]
    Bind { port: u16, cause: std::io::Error },
    #[error("the A2A endpoint stopped: {0}")]
    Serve(std::io::Error),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    #[error("cannot wait for the command: {0}")]
    Wait(std::io::Error),
    #[error("cannot write to standard output: {0}")]
    Print(std::io::Error),
}
