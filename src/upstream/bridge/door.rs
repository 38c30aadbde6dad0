//! The doors: whose API a client speaks, how its request is read and how the answer is written.
//!
//! A door is a pure translator. It knows no backend, and every backend's events go through every door.

use bytes::Bytes;
use http::HeaderMap;

use super::ask::Ask;
use super::event::{Answer, Event};
use super::failure::Failure;
use crate::upstream::Caller;

mod chat;
mod completions;
mod content;
mod conversation;
pub(super) mod errors;
mod fields;
pub(super) mod listing;
pub(super) mod messages;
mod parameters;
pub(super) mod responses;
mod wire;

/// An API that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`.
    Messages,
}

pub(super) use responses::Kept;
pub(super) use wire::id;

/// A request as its door has read it.
pub(super) struct Reading {
    /// What is asked.
    pub ask: Ask,
    /// Who writes the answer to it.
    pub writer: Box<dyn Writer>,
}

/// What a door reads a request with.
pub(super) struct Reader<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a Bytes,
    /// Its id, which the response's head tells.
    pub id: &'a str,
    /// Who asks.
    pub caller: Caller,
    /// Whether what cannot be honoured is noted instead of refused.
    pub lenient: bool,
    /// The earlier answers of `/v1/responses`.
    pub kept: &'a responses::Kept,
}

/// Writes one answer in a door's words: either [`Writer::event`] for each event and [`Writer::failed`] should it break
/// off, or [`Writer::whole`] once. Bytes are appended to `to`.
pub(super) trait Writer: Send {
    /// What is to be written of `event`, as server-sent events. What comes before the first is written with the first,
    /// what comes after the last with [`Event::Done`].
    fn event(&mut self, event: &Event, to: &mut Vec<u8>);

    /// Something that keeps the connection alive and means nothing.
    fn beat(&mut self, to: &mut Vec<u8>) {
        to.extend_from_slice(b": alive\n\n");
    }

    /// The stream breaks off here, visibly.
    fn failed(&mut self, failure: &Failure, to: &mut Vec<u8>);

    /// The whole answer as one JSON document.
    fn whole(&mut self, answer: &Answer, to: &mut Vec<u8>);
}

impl Door {
    /// The door at `path`, whatever the prefix of the version: SDKs are pointed at `/v1` or above it.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" | "/chat/completions" => Some(Self::Chat),
            "/v1/completions" | "/completions" => Some(Self::Completions),
            "/v1/responses" | "/responses" => Some(Self::Responses),
            "/v1/messages" | "/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// Where it is not of this API, or asks for what no backend has.
    pub(super) fn read(self, reader: Reader<'_>) -> Result<Reading, Failure> {
        match self {
            Self::Chat => chat::read(reader),
            Self::Completions => completions::read(reader),
            Self::Responses => responses::read(reader),
            Self::Messages => messages::read(reader),
        }
    }
}

#[cfg(test)]
mod tests;
