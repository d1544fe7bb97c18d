//! Team: expansion into Workspaces; it knows nothing of backends.
