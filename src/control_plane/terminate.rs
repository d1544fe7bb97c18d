//! Ending many instances in one call, where one bad id makes EC2 end none of them.

use super::action::Action;
use super::faults::Fault;
use std::collections::HashMap;

/// Whether a refusal may be about one of the instances and not about all.
fn is_about_one(fault: &Fault) -> bool {
    matches!(
        &*fault.code,
        "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed" | "OperationNotPermitted"
    )
}

/// Ends these instances. A call that is refused because of one of them is halved, never sent again as it is, until
/// that one stands alone. Answers the state of each.
pub async fn all<F>(
    ids: Vec<String>,
    terminate: impl Fn(Vec<String>) -> F,
) -> HashMap<String, Result<String, Fault>>
where
    F: Future<Output = Result<HashMap<String, String>, Fault>>,
{
    let mut done = HashMap::new();
    let mut left = vec![ids];
    while let Some(mut ids) = left.pop() {
        match terminate(ids.clone()).await {
            Ok(mut states) => done.extend(ids.into_iter().map(|id| {
                let state = states.remove(&id);
                let state = state.ok_or_else(|| Fault::unknown_outcome(Action::TerminateInstances));
                (id, state)
            })),
            Err(fault) if ids.len() > 1 && is_about_one(&fault) => {
                let other = ids.split_off(ids.len() / 2);
                left.extend([ids, other]);
            }
            Err(fault) => done.extend(ids.into_iter().map(|id| (id, Err(fault.clone())))),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Mutex;

    fn ids(range: std::ops::Range<u32>) -> Vec<String> {
        range.map(|n| format!("i-{n}")).collect()
    }

    async fn run(
        ids: Vec<String>,
        bad: &[&str],
        code: &str,
    ) -> (HashMap<String, Result<String, Fault>>, Vec<Vec<String>>) {
        let calls = Mutex::new(Vec::new());
        let done = all(ids, |ids: Vec<String>| {
            calls.lock().unwrap().push(ids.clone());
            let refused = ids.iter().any(|id| bad.contains(&&**id));
            let ended = ids.into_iter().map(|id| (id, "shutting-down".to_owned())).collect();
            std::future::ready(if refused {
                Err(Fault::ec2(Action::TerminateInstances, code))
            } else {
                Ok(ended)
            })
        });
        let done = done.await;
        (done, calls.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_thousand_are_one_call() {
        let (done, calls) = run(ids(0..1_000), &[], "").await;
        assert_eq!((done.len(), calls.len()), (1_000, 1));
        assert!(done.values().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_bad_id_keeps_no_other_alive_and_no_call_is_sent_twice() {
        let bad = ["i-3", "i-700"];
        let (done, calls) = run(ids(0..1_000), &bad, "InvalidInstanceID.NotFound").await;
        for (id, state) in &done {
            assert_eq!(state.is_err(), bad.contains(&&**id), "{id}");
        }
        assert_eq!(done.len(), 1_000);
        let different: HashSet<_> = calls.iter().collect();
        assert_eq!(different.len(), calls.len());
        assert!(calls.len() < 50, "{} calls", calls.len());
    }

    #[tokio::test]
    async fn what_is_about_all_is_not_split() {
        for code in ["RequestLimitExceeded", "UnauthorizedOperation", "InternalError"] {
            let (done, calls) = run(ids(0..10), &["i-3"], code).await;
            assert_eq!(calls.len(), 1, "{code}");
            assert!(done.values().all(|state| state.as_ref().is_err_and(|fault| fault.is(code))));
        }
    }

    #[tokio::test]
    async fn an_instance_that_ec2_says_nothing_about_is_not_taken_for_ended() {
        let done = all(ids(0..2), async |_| Ok([("i-0".to_owned(), "terminated".to_owned())].into())).await;
        assert_eq!(done["i-0"].as_deref(), Ok("terminated"));
        assert!(done["i-1"].as_ref().unwrap_err().is("UnknownOutcome"));
    }
}
