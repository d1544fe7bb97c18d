//! Workspace: observe, plan, act, report.
