//! Streamed calls, field by field.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use super::spoken::{completion_stream, message_stream, text};
use super::stage::{Ask, Stage, begin, end, says};
use super::told::{Attributes, assert_between, assert_call, attribute, events, hex, of_stream};

/// Between two parts of a stream there is no less than this: the length of a gap is what is measured, not what is hoped.
const NAP: Duration = Duration::from_millis(10);

fn length(pieces: &[String]) -> u64 {
    pieces.iter().map(String::len).sum::<usize>() as u64
}

#[test]
fn a_streamed_message_is_told_field_by_field() {
    let stage = Stage::anthropic(json!({}));
    let ask = Ask::claude(json!({
        "model": "claude-sonnet-5", "max_tokens": 1024, "temperature": 0.5, "top_p": 0.9, "top_k": 40,
        "stop_sequences": ["END"], "stream": true, "system": "Be kind.",
        "messages": [{"role": "user", "content": "Hello"}],
    }))
    .with("x-claude-code-session-id: 0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90");
    let usage = json!({
        "input_tokens": 3, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 1000, "output_tokens": 12,
    });
    let pieces = message_stream(&json!([text("Hello, world")]), "end_turn", &usage);

    let port = stage.provider.port();
    let before = SystemTime::now();
    let (mut client, mut upstream, _) = stage.asks(&ask);
    let heard = SystemTime::now();
    begin(&mut client, &mut upstream);
    let sends = SystemTime::now();
    let mut saw = Vec::new();
    for piece in &pieces {
        says(&mut client, &mut upstream, piece);
        saw.push(SystemTime::now());
    }
    end(client, upstream);
    let told = stage.stop();

    assert_eq!(told.outline(), "invoke_agent\n  chat claude-sonnet-5\n");
    let (agent, call) = (told.span("invoke_agent"), told.span("chat claude-sonnet-5"));
    assert_eq!(hex(&call.trace_id), format!("{:x}", md5::compute("0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90")));
    assert_call(call, &agent.span_id, 0x101, (0, ""));
    assert_between(call.start_time_unix_nano, before, heard);
    assert_between(call.end_time_unix_nano, saw[saw.len() - 2], SystemTime::now());
    assert_eq!(events(call), ["gen_ai.first_chunk", "perimeter.first_token"]);
    assert_between(call.events[0].time_unix_nano, sends, saw[0]);
    assert_between(call.events[1].time_unix_nano, saw[1], saw[2]);
    assert_eq!((&*call.trace_state, call.links.len()), ("", 0));

    let mut attributes = of_stream(call, pieces.len() as u64, length(&pieces));
    let token = attributes.seconds("perimeter.stream.time_to_first_token");
    assert!(token > 0.0);
    assert!(attributes.take("perimeter.cost.usd").as_f64().is_some_and(|cost| cost > 0.0));
    let agent_id = attributes.take("perimeter.agent.stable");
    assert_eq!(attributes.take("perimeter.agent.prompt").as_str().map(str::len), Some(19));
    attributes.assert(json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-5",
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.request.stream": true,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.stop_sequences": ["END"],
        "http.response.status_code": 200,
        "gen_ai.conversation.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
        "session.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
        "perimeter.session.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
        "perimeter.session.call": 1,
        "perimeter.session.relation": "opening",
        "perimeter.session.thread": 0,
        "perimeter.exchange.call": 0,
        "perimeter.dialect": "anthropic_messages",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "claude-sonnet-5-20260101",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.usage.input_tokens": 1023,
        "gen_ai.usage.output_tokens": 12,
        "gen_ai.usage.cache_read.input_tokens": 1000,
        "gen_ai.usage.cache_write.input_tokens": 20,
        "gen_ai.usage.cache_creation.input_tokens": 20,
        "perimeter.cost.source": "prices",
        "perimeter.stream.closed_first": "upstream",
    }));

    assert_eq!((agent.kind(), agent.parent_span_id.len(), agent.flags), (SpanKind::Internal, 0, 0x101));
    assert_eq!(agent.start_time_unix_nano, call.start_time_unix_nano);
    assert_eq!(agent.end_time_unix_nano, call.end_time_unix_nano);
    let mut attributes = Attributes::of(&agent.attributes);
    assert_eq!(attributes.take("perimeter.agent.stable"), agent_id);
    attributes.take("perimeter.agent.prompt");
    attributes.assert(json!({
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-5",
        "gen_ai.conversation.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
        "session.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
        "perimeter.session.id": "0b9f4c1e-5a5e-4d0e-9c57-3f1d2a7b8c90",
        "perimeter.session.thread": 0,
        "perimeter.agent.calls": 1,
        "perimeter.synthetic": true,
    }));
    assert!(told.logs.is_empty(), "nothing failed, and no content was asked for: {:#?}", told.logs);
}

#[test]
fn a_streamed_chat_is_told_field_by_field() {
    let stage = Stage::start(json!({"trace": {"spans": "calls"}, "semconv": ["latest"]}));
    let port = stage.provider.port();
    let ask = Ask::gpt(
        "/v1/chat/completions",
        json!({
            "model": "gpt-4o-mini", "stream": true, "stream_options": {"include_usage": true}, "n": 1, "seed": 7,
            "frequency_penalty": 0.25, "presence_penalty": -0.5, "max_completion_tokens": 90, "reasoning_effort": "low",
            "response_format": {"type": "json_object"}, "service_tier": "flex",
            "messages": [{"role": "user", "content": "Hello"}],
        }),
    )
    .with("x-perimeter-agent-id: greeter")
    .with("x-perimeter-tags: team:a,trial");
    let pieces = completion_stream(&["Hello", " wide", " world"]);
    let (mut client, mut upstream, _) = stage.asks(&ask);
    begin(&mut client, &mut upstream);
    for piece in &pieces {
        says(&mut client, &mut upstream, piece);
        std::thread::sleep(NAP);
    }
    end(client, upstream);
    let told = stage.stop();

    let call = told.span("chat gpt-4o-mini");
    assert_eq!(told.spans.len(), 1);
    assert_call(call, &[], 0x101, (0, ""));
    assert_eq!(events(call), ["gen_ai.first_chunk", "perimeter.first_token"]);
    let mut attributes = of_stream(call, pieces.len() as u64, length(&pieces));
    attributes.seconds("perimeter.stream.time_to_first_token");
    let rate = attributes.take("perimeter.stream.tokens_per_second").as_f64().unwrap();
    assert!(
        rate > 0.0 && rate <= 86.0 / (2.0 * NAP.as_secs_f64()),
        "87 tokens in three words, which took two naps at least: {rate}"
    );
    assert!(attributes.take("perimeter.cost.usd").as_f64().is_some_and(|cost| cost > 0.0));
    let session = attributes.take("session.id");
    assert_eq!(attributes.take("perimeter.session.id"), session);
    attributes.assert(json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.request.stream": true,
        "gen_ai.request.seed": 7,
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": -0.5,
        "gen_ai.request.max_tokens": 90,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "flex",
        "http.response.status_code": 200,
        "gen_ai.agent.name": "greeter",
        "gen_ai.agent.id": "greeter",
        "perimeter.agent.prompt": "prompt-7077bd40d00f",
        "perimeter.agent.stable": "agent-7077bd40d00f",
        "perimeter.tag.team": "a",
        "perimeter.tag.trial": "true",
        "perimeter.session.call": 1,
        "perimeter.session.relation": "opening",
        "perimeter.session.thread": 0,
        "perimeter.exchange.call": 0,
        "perimeter.dialect": "openai_chat",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 1204,
        "gen_ai.usage.output_tokens": 87,
        "gen_ai.usage.cache_read.input_tokens": 1024,
        "gen_ai.usage.reasoning.output_tokens": 12,
        "perimeter.cost.source": "prices",
        "perimeter.stream.closed_first": "upstream",
    }));
}

#[test]
fn embeddings_are_told_without_an_agent() {
    let stage = Stage::start(json!({}));
    let ask = Ask::gpt(
        "/v1/embeddings",
        json!({"model": "text-embedding-3-small", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2}),
    );
    let embedding = |index: u32| json!({"object": "embedding", "index": index, "embedding": [0.5, 0.25]});
    let answer = json!({
        "object": "list", "data": [embedding(0), embedding(1)], "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    });
    stage.call(&ask, &answer);
    let told = stage.stop();
    assert_eq!(told.outline(), "embeddings text-embedding-3-small\n");
    let span = told.span("embeddings text-embedding-3-small");
    assert_call(span, &[], 0x101, (0, ""));
    for (key, value) in [
        ("gen_ai.operation.name", json!("embeddings")),
        ("gen_ai.usage.input_tokens", json!(8)),
        ("gen_ai.conversation.id", json!(null)),
        ("perimeter.dialect", json!("openai_other")),
    ] {
        assert_eq!(attribute(span, key), value, "{key}: {span:#?}");
    }
}
