//! BackendConfig: preflight, and what Workspaces are told of the backend.
