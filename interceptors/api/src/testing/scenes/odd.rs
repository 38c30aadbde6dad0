//! What is legal, and what an interceptor that counts, divides, cuts or indexes trips over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;

use super::{ANSWER, CHAT, MODEL, Respond, Scene};
use crate::{
    ApiFailure, Call, CallId, Completion, Delta, Labels, LlmEvent, Part, Peer, Role, Said, Session, Tool,
    ToolUse, Turn, Usage,
};

/// No time passes at all.
pub fn instant() -> Scene {
    Scene::post(CHAT)
        .named("instant")
        .pace(Duration::ZERO)
        .request(r#"{"model":"gpt-4.1-mini","stream":true,"messages":[]}"#)
        .asks(MODEL, "")
        .streams()
        .streams_text(ANSWER)
        .answers(ANSWER, Usage::new(0, 0))
        .end()
}

/// The largest numbers, the longest words, and bytes that are no text.
pub fn extreme() -> Scene {
    let mut labels = Labels { session: Some("é".repeat(300).into()), ..Labels::default() };
    labels.tags.insert(String::new(), "\u{1b}[31m\n\0".to_owned());
    let scene = Scene::of(Method::POST, "/v1/chat/completions?q=%ff%00")
        .named("extreme")
        .labels(labels)
        .header("x-bytes", b"\xff\xfe")
        .header("x-twice", "")
        .header("x-twice", "2")
        .request(&b"\xff\x00{"[..]);

    // Letters of four bytes and of three: wherever one cuts by bytes, one text or the other is cut within a letter.
    let letters = "👩\u{200d}".repeat(500);
    let mut call = scene.next_call(&"m".repeat(500), &format!("\u{1b}[31m{letters}\r\n\u{202e}\0"));
    call.news.insert(0, Turn::new(Role::Other(Arc::default()), vec![Part::Other(Arc::default())]));
    call.tools = [Tool::new(""), Tool::new("")].into();
    let id = call.id;
    let mut delta = Delta::new(id, Said::ToolInput("{".into()));
    delta.choice = u32::MAX;
    let mut usage = Usage::new(u64::MAX, u64::MAX);
    usage.cache_read = Some(u64::MAX);
    usage.cache_write = Some(u64::MAX);
    usage.reasoning = Some(u64::MAX);

    let scene = scene
        .llm(LlmEvent::Call(Arc::new(call)))
        .after(Duration::from_secs(100 * 365 * 24 * 60 * 60))
        .response(999)
        .response_chunk(Bytes::new())
        .response_chunk(&b"\xf0\x9f"[..])
        .llm(LlmEvent::Delta(delta))
        .uses("", "", "not JSON");
    let completion = scene.completion(&letters, Some(usage));
    scene
        .llm(LlmEvent::Completion(Arc::new(completion)))
        .unseen(Peer::Client, u64::MAX)
        .unseen(Peer::Upstream, u64::MAX)
        .end()
}

/// A call of which nothing is known but that it is one, and answers with nothing in them; an error without words.
pub fn nothing_known() -> Scene {
    let call = |id, session: &Arc<Session>| {
        LlmEvent::Call(Arc::new(Call::new(CallId(id), "openai_chat", Arc::clone(session))))
    };
    let first = Arc::new(Session::new(""));
    let mut second = Session::new("");
    second.call = 2;
    second.is_new = false;
    let tool = ToolUse::new(CallId(0), "", "");
    Scene::post("*")
        .named("nothing known")
        .request("")
        .llm(call(0, &first))
        .response(200)
        .llm(LlmEvent::Delta(Delta::new(CallId(0), Said::Text(Arc::default()))))
        .llm(LlmEvent::ToolUse(Arc::new(tool)))
        .llm(LlmEvent::Completion(Arc::new(Completion::new(CallId(0)))))
        .llm(call(1, &Arc::new(second)))
        .llm(LlmEvent::Failure(Arc::new(ApiFailure::new(CallId(1), 0, ""))))
        .end()
}
