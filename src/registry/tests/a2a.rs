//! Messages of an agent to itself.

use super::*;
use axum::body::Bytes;
use axum::extract::Request;

/// A Workspace whose box is this router.
fn with_box(router: Router) -> Value {
    let address = served(router).trim_start_matches("http://").to_owned();
    with(workspace("w"), &[("/status/instance/address", json!(address))])
}

fn to_itself(world: &World, body: Value) -> Call {
    world.post_as("w", &paths::workspace_a2a(&uid("w")), body)
}

#[tokio::test]
async fn a_message_goes_to_the_box_with_what_it_lacked_and_the_answer_comes_back() {
    let echo = |request: Request| async move {
        let path = request.uri().path().to_owned();
        let token = request.headers().contains_key("authorization");
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        axum::Json(json!({"path": path, "token": token, "got": body}))
    };
    let world = World::new([with_box(Router::new().fallback(echo))]);
    let answer = to_itself(&world, json!({"method": "message/send", "params": {"x": 1}})).expect(200).await;
    assert_eq!((&answer["path"], &answer["token"]), (&json!("/"), &json!(false)), "the token stays here");
    assert_eq!((&answer["got"]["jsonrpc"], &answer["got"]["params"]), (&json!("2.0"), &json!({"x": 1})));
    assert!(answer["got"]["id"].as_str().is_some_and(|id| !id.is_empty()));
    let answer = to_itself(&world, json!({"jsonrpc": "2.0", "id": 7})).expect(200).await;
    assert_eq!(answer["got"]["id"], json!(7));

    // The path that it registered, at the address that the backend recorded.
    let url = format!("http://{}:8000/a2a", crate::api::names::host(&uid("w")));
    world.post_as("w", paths::REGISTER, json!({"id": uid("w"), "url": url})).expect(200).await;
    assert_eq!(to_itself(&world, json!({})).expect(200).await["path"], json!("/a2a"));
}

#[tokio::test]
async fn an_agent_s_own_error_is_its_answer() {
    let failing = || async { (StatusCode::IM_A_TEAPOT, axum::Json(json!({"error": "no tea"}))) };
    let world = World::new([with_box(Router::new().fallback(failing))]);
    assert_eq!(to_itself(&world, json!({})).error(418).await, "no tea");
}

#[tokio::test]
async fn who_is_not_up_is_asked_again_later() {
    let world = World::new([workspace("w")]);
    to_itself(&world, json!({})).error(503).await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [closed.to_string(), "no address".into()] {
        let world = World::new([with(workspace("w"), &[("/status/instance/address", json!(address))])]);
        to_itself(&world, json!({})).error(503).await;
    }
}

#[tokio::test]
async fn an_agent_that_does_not_answer_or_says_too_much_is_cut_off() {
    let silent = || async { std::future::pending::<()>().await };
    let settings = Settings { a2a_deadline: Duration::from_millis(200), ..fast() };
    let world = World::with(settings, None, [with_box(Router::new().fallback(silent))]);
    to_itself(&world, json!({})).error(504).await;

    let long = || async { Bytes::from(vec![b'x'; (1 << 20) + 1]) };
    let world = World::new([with_box(Router::new().fallback(long))]);
    to_itself(&world, json!({})).error(502).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = served(Router::new().fallback(|| async { axum::Json(json!({"secret": 1})) }));
    let redirect =
        move || async move { (StatusCode::FOUND, [("location", elsewhere)], "{\"error\": \"moved\"}") };
    let world = World::new([with_box(Router::new().fallback(redirect))]);
    let answer = to_itself(&world, json!({})).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().get("location")), (302, None));
}
