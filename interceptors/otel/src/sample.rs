//! A call that is over, for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::{Call, CallId, Completion, Exchange, ExchangeId, Session, SpanContext};

use crate::finished::{Finished, Server};

/// When it began.
pub(crate) fn began() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
}

/// A call of a new session.
pub(crate) fn call(dialect: &'static str) -> Call {
    Call::new(CallId(0), dialect, Arc::new(Session::new("s")))
}

/// The call, which took a second.
pub(crate) fn finished(call: Call, answer: Option<Completion>) -> Finished {
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Finished {
        exchange: Exchange::new(ExchangeId::new(1), began(), client, "https://up.test").into(),
        call: call.into(),
        asked: Vec::new(),
        operation: "chat",
        provider: "openai",
        server: Server { address: "up.test".into(), port: Some(443) },
        answer: answer.map(Into::into),
        error: None,
        status: Some(200),
        began: began(),
        lasted: Duration::from_secs(1),
        span: SpanContext::new([1; 16], [2; 8], 1),
        end: None,
    }
}
