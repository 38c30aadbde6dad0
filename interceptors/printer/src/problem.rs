//! What went wrong with an exchange, in words.

use perimeter_interceptor::{BodyEnd, End};

use crate::call::Shown;
use crate::exchange::Following;
use crate::measure;

/// Something that went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) weight: Weight,
    /// A word for it.
    pub(crate) kind: String,
    /// What happened.
    pub(crate) message: String,
}

/// What a problem means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The client was answered with an error.
    Error,
    /// The client did not get all that it wanted.
    Grave,
    /// It is only worth knowing.
    Note,
}

impl Problem {
    fn error(kind: &str, message: &str) -> Self {
        Self { weight: Weight::Error, kind: kind.to_owned(), message: message.to_owned() }
    }

    fn grave(kind: &str, message: impl Into<String>) -> Self {
        Self { weight: Weight::Grave, kind: kind.to_owned(), message: message.into() }
    }

    fn note(kind: &str, message: impl Into<String>) -> Self {
        Self { weight: Weight::Note, kind: kind.to_owned(), message: message.into() }
    }
}

/// What went wrong with a call, and with its exchange as far as it is known.
pub(crate) fn problems(exchange: &Following, call: Option<&Shown>) -> Vec<Problem> {
    let mut all = Vec::new();
    if let Some(failure) = call.and_then(|call| call.failure.as_ref()) {
        all.push(Problem::error(failure.kind.as_deref().unwrap_or("error"), &failure.message));
    }
    if let Some(failure) = &exchange.failure {
        all.push(Problem::error(&failure.code, &failure.message));
    }
    if let Some(end) = &exchange.end {
        all.extend(broken_request(exchange, end));
        all.extend(broken_response(exchange, call, end));
        all.extend(unseen(end));
    }
    if let Some(call) = call {
        // Where nobody answered, nobody read either.
        let explained =
            exchange.failure.is_some() || exchange.end.as_ref().is_some_and(|end| end.unseen.client > 0);
        if call.partial && !explained {
            all.push(Problem::note("partial", "the request was not read whole"));
        }
        let explained = |problem: &Problem| problem.weight != Weight::Note || problem.kind == "unseen";
        if call.cut && !all.iter().any(explained) {
            all.push(Problem::note("cut", "the answer is not whole"));
        }
    }
    all
}

fn broken_request(exchange: &Following, end: &End) -> Option<Problem> {
    match &end.request {
        BodyEnd::Failed(why) => {
            Some(Problem::grave("request_broken", format!("the request broke off: {why}")))
        }
        BodyEnd::Aborted if exchange.failure.is_none() && end.response.is_complete() => {
            Some(Problem::note("request_unread", "the provider did not read the request to its end"))
        }
        _ => None,
    }
}

fn broken_response(exchange: &Following, call: Option<&Shown>, end: &End) -> Option<Problem> {
    // Either side may leave a tunnel as it likes, once it is not in the middle of an answer.
    let busy = exchange.upgrade.is_none() || call.is_some_and(|call| call.finished.is_none());
    match &end.response {
        BodyEnd::Stopped if !busy => None,
        BodyEnd::Stopped => Some(Problem::grave("stopped", "perimeter stopped before the answer ended")),
        BodyEnd::Failed(why) => Some(Problem::grave("answer_broken", format!("the answer broke off: {why}"))),
        BodyEnd::Aborted if exchange.failure.is_some() || !busy => None,
        // SDKs leave at a stream's last event, and do not wait for the end of the body behind it.
        BodyEnd::Aborted if call.is_some_and(Shown::is_whole) => None,
        BodyEnd::Aborted if exchange.status.is_none() => {
            Some(Problem::grave("client_left", "the client left before an answer came"))
        }
        BodyEnd::Aborted => Some(Problem::grave("client_left", "the client left before the answer ended")),
        _ => None,
    }
}

fn unseen(end: &End) -> Option<Problem> {
    let (client, upstream) = (end.unseen.client, end.unseen.upstream);
    let what = match (client, upstream) {
        (0, 0) => return None,
        (_, 0) => format!("{} of the request", measure::bytes(client)),
        (0, _) => format!("{} of the answer", measure::bytes(upstream)),
        _ => format!("{} of the request, {} of the answer", measure::bytes(client), measure::bytes(upstream)),
    };
    Some(Problem::note("unseen", format!("passed on, but not seen here: {what}")))
}
