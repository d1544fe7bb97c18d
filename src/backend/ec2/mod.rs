//! EC2: instances that are launched through the control plane.

#[cfg_attr(not(test), expect(dead_code, reason = "what launches instances is not there yet"))]
mod user_data;
