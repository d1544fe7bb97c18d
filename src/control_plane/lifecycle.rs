//! What is done with an instance that there is: state, end, stop, start, console.

use super::action::Action;
use super::ec2::Found;
use super::faults::Fault;
use super::plane::ControlPlane;
use super::resolve::Which;
use super::state::{self, TERMINATED};
use atelier_wire::control_plane::{Console, Deleted, InstanceView};

/// What is said of an instance that EC2 does not know. Known clients read anything but a 200 as "still running".
fn unknown() -> InstanceView {
    InstanceView { state: TERMINATED.into(), observed: false, ..InstanceView::default() }
}

/// The instance as EC2 shows it.
///
/// # Errors
/// When it is another's, or not visible yet, or not the only one.
pub async fn status(plane: &ControlPlane, which: &Which<'_>) -> Result<InstanceView, Fault> {
    Ok(which.find(plane).await?.map_or_else(unknown, |found| found.view))
}

/// Ends the instance.
///
/// # Errors
/// When it is another's, or not visible yet, or not the only one, or EC2 did not say that it ends.
pub async fn delete(plane: &ControlPlane, which: &Which<'_>) -> Result<Deleted, Fault> {
    let Some(Found { view, .. }) = which.find(plane).await? else {
        return Ok(Deleted { observed: false, state: TERMINATED.into() });
    };
    if !state::is_live(&view.state) {
        return Ok(Deleted { observed: true, state: view.state });
    }
    let stopping = || Fault::stopping(Action::TerminateInstances);
    let state = plane.terminations.ask(view.instance_id).await.ok_or_else(stopping)?;
    match state {
        Ok(state) => Ok(Deleted { observed: true, state }),
        // It was shown a moment ago, so it is not gone: EC2's parts do not agree yet.
        Err(fault) if fault.is("InvalidInstanceID.NotFound") => Err(Fault::not_visible_yet()),
        Err(fault) => Err(fault),
    }
}

/// Stops the instance; its volumes stay.
///
/// # Errors
/// As for [`status`], and when EC2 refuses.
pub async fn stop(plane: &ControlPlane, which: &Which<'_>) -> Result<InstanceView, Fault> {
    let Some(Found { mut view, .. }) = which.find(plane).await? else { return Ok(unknown()) };
    if matches!(&*view.state, "pending" | "running") {
        view.state = plane.ec2.stop(&view.instance_id).await?;
    }
    Ok(view)
}

/// Starts the stopped instance.
///
/// # Errors
/// As for [`status`], and when EC2 refuses.
pub async fn start(plane: &ControlPlane, which: &Which<'_>) -> Result<InstanceView, Fault> {
    let Some(Found { mut view, .. }) = which.find(plane).await? else { return Ok(unknown()) };
    if matches!(&*view.state, "stopped" | "stopping") {
        view.state = plane.ec2.start(&view.instance_id).await?;
    }
    Ok(view)
}

/// The end of what the machine wrote to its console, redacted.
///
/// # Errors
/// As for [`status`], and when EC2 does not know the instance.
pub async fn console(plane: &ControlPlane, which: &Which<'_>) -> Result<Console, Fault> {
    let found = which.find(plane).await?;
    let found = found.ok_or_else(|| Fault::not_found("EC2 shows no instance of this workspace"))?;
    let output = plane.ec2.console(&found.view.instance_id).await?;
    Ok(Console { output: crate::redact::console(&output) })
}
