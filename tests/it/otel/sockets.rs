//! Calls on a WebSocket.

use serde_json::{Value, json};

use super::stage::Stage;
use super::told::{assert_call, attribute, events};
use crate::watching::sockets::{connect, turn};

#[test]
fn each_call_of_a_socket_is_a_span_of_its_own() {
    let stage = Stage::start(json!({}));
    let (mut client, mut upstream) = connect(&stage.provider, &stage.proxy, true);
    let user = |text: &str| json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]);
    turn(&mut client, &mut upstream, 1, &user("Hello"));
    turn(&mut client, &mut upstream, 2, &user("Bye"));
    client.wire.close();
    upstream.wire.expect_end();
    upstream.wire.close();
    let told = stage.stop();
    assert_eq!(told.outline(), "invoke_agent\n  chat gpt-5-codex\n  chat gpt-5-codex\n");
    let (agent, calls) = (told.span("invoke_agent"), told.named("chat gpt-5-codex"));
    for (number, call) in calls.iter().enumerate() {
        assert_call(call, &agent.span_id, 0x101, (0, ""));
        assert_eq!(attribute(call, "perimeter.exchange.call"), number);
        assert_eq!(attribute(call, "perimeter.session.call"), number + 1);
        assert_eq!(attribute(call, "gen_ai.response.id"), format!("resp_{}", number + 1));
        assert_eq!(attribute(call, "gen_ai.usage.input_tokens"), 10);
        assert_eq!(attribute(call, "openai.api.type"), "responses");
        assert_eq!(attribute(call, "http.response.status_code"), Value::Null);
        assert_eq!(attribute(call, "error.type"), Value::Null);
        assert_eq!(events(call), ["gen_ai.first_chunk", "perimeter.first_token"]);
    }
    assert_eq!(attribute(calls[1], "gen_ai.request.previous_response.id"), "resp_1");
    assert_eq!(attribute(calls[0], "perimeter.exchange.id"), attribute(calls[1], "perimeter.exchange.id"));
    assert!(calls[0].end_time_unix_nano <= calls[1].start_time_unix_nano);
}
