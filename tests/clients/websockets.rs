//! WebSocket clients: what they say to each other, frame by frame, through the tunnel.

use crate::compare::assert_same;
use crate::process::script;

#[test]
fn ws_for_node_sees_no_difference() {
    assert_same("openai", |provider, url| script("node/websocket.mjs", provider, url));
}

#[test]
fn websockets_for_python_sees_no_difference() {
    assert_same("openai", |provider, url| script("python/websocket.py", provider, url));
}

/// OpenAI's own SDK over a WebSocket.
#[test]
fn openai_realtime_for_python_sees_no_difference() {
    assert_same("openai", |provider, url| script("python/openai_realtime.py", provider, url));
}
