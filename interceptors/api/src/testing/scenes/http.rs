use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;

use super::{CHAT, MODEL, QUESTION, Respond, Scene};
use crate::{BodyEnd, Peer, Usage};

/// Nothing that a dialect knows.
pub fn plain() -> Scene {
    Scene::get("/v1/models?limit=20")
        .named("plain")
        .header("accept", "*/*")
        .responds(200, &json!({"object": "list", "data": [{"id": MODEL}]}))
        .end()
}

/// The head of a response alone, whose `content-length` is that of a body which does not come.
pub fn head() -> Scene {
    Scene::of(Method::HEAD, "/v1/files/file-1/content")
        .named("HEAD")
        .request_end(BodyEnd::COMPLETE)
        .response(200)
        .header("content-length", "1048576")
        .end()
}

/// `304 Not Modified`, without a body.
pub fn not_modified() -> Scene {
    Scene::get("/v1/models")
        .named("304")
        .header("if-none-match", "\"1\"")
        .response(304)
        .header("etag", "\"1\"")
        .end()
}

/// Headers behind both bodies.
pub fn with_trailers() -> Scene {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"1\""))]);
    let complete = BodyEnd::Complete { trailers: Some(Arc::new(trailers)) };
    Scene::post("/v1/files")
        .named("with trailers")
        .header("transfer-encoding", "chunked")
        .request_chunk("one")
        .request_chunk("two")
        .request_end(complete.clone())
        .response(200)
        .response_chunk("three")
        .ends(complete.clone(), complete)
}

/// The response is there, and over, before the request's body, which is then not read any more.
pub fn early_response() -> Scene {
    Scene::post("/v1/files")
        .named("early response")
        .header("content-length", "1048576")
        .request_chunk("the first of many")
        .responds(413, &json!({"error": {"message": "Too large."}}))
        .request_chunk("one more")
        .ends(BodyEnd::Aborted, BodyEnd::COMPLETE)
}

/// A connection that goes on as a WebSocket, with two calls on it, bytes both ways.
pub fn upgraded() -> Scene {
    let (client, upstream) = (Peer::Client, Peer::Upstream);
    let mut scene = Scene::get(CHAT)
        .named("upgraded")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .response(101)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .upgrade("websocket");
    for answer in ["Paris.", "As I said: Paris."] {
        scene = scene
            .upgraded_chunk(client, &b"\x81\x85\x00\x00\x00\x00Where"[..])
            .asks(MODEL, QUESTION)
            .upgraded_chunk(upstream, &b"\x81"[..])
            .upgraded_chunk(upstream, &b"\x06Paris."[..])
            .says(answer)
            .answers(answer, Usage::new(14, 2));
    }
    scene.upgraded_chunk(client, &b"\x88\x80\x00\x00\x00\x00"[..]).end()
}
