//! What a line looks like, in text and in JSON.
//!
//! Whatever is logged may come from a client: a control character in it never ends a line or moves a cursor.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{self, Write};
use std::time::UNIX_EPOCH;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::error::chain;

/// The target of the line that each exchange leaves.
const ACCESS: &str = "access";

/// `2026-11-21T00:33:08.264672Z INFO target: message name=value`.
pub(super) struct Text;

/// `{"timestamp":"…","level":"INFO","target":"…","message":"…","name":value}`.
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write_now(&mut out)?;
        let metadata = event.metadata();
        if out.has_ansi_escapes() {
            write!(
                out,
                " \x1b[{}m{}\x1b[0m {}:",
                colour(*metadata.level()),
                metadata.level(),
                metadata.target()
            )?;
        } else {
            for part in [" ", metadata.level().as_str(), " ", metadata.target(), ":"] {
                out.write_str(part)?;
            }
        }
        let result = if metadata.target() == ACCESS {
            let mut fields = AccessText { out: &mut out, result: Ok(()) };
            event.record(&mut fields);
            fields.result
        } else {
            let mut fields = TextFields { out: &mut out, result: Ok(()) };
            event.record(&mut fields);
            fields.result
        };
        result?;
        out.write_char('\n')
    }
}

/// `2026-11-21T00:33:08.264672Z`. The part down to the second is worked out once a second.
fn write_now(out: &mut Writer<'_>) -> fmt::Result {
    thread_local! {
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() {
            text.clear();
            SystemTime.format_time(&mut Writer::new(text))?;
            text.truncate("2026-11-21T00:33:08".len());
            *second = now.as_secs();
        }
        out.write_str(text)?;
        out.write_char('.')?;
        // Behind a digit that fills up with noughts.
        out.write_str(&itoa::Buffer::new().format(1_000_000 + now.subsec_micros())[1..])?;
        out.write_char('Z')
    })
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// Fields as ` name=value`, the message bare.
struct TextFields<'a, W> {
    out: &'a mut W,
    result: fmt::Result,
}

impl<W: Write> TextFields<'_, W> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = match field.name() {
                "message" => write!(Escaped(self.out), " {value}"),
                name => write!(Escaped(self.out), " {name}={value}"),
            };
        }
    }
}

impl<W: Write> Visit for TextFields<'_, W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_word = !value.is_empty() && !value.contains([' ', '"', '=']);
        if field.name() == "message" || is_word {
            self.field(field, format_args!("{value}"));
        } else {
            self.field(field, format_args!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.field(field, format_args!("{}", chain(value)));
    }
}

/// The line of an exchange: `POST /v1/messages 200 complete 12.345ms ttfb 3.210ms in 123 out 4567`.
///
/// It is written in the order in which its fields are logged; there is one a request, so nothing is collected first.
struct AccessText<'a, W> {
    out: &'a mut W,
    result: fmt::Result,
}

impl<W: Write> AccessText<'_, W> {
    /// Pieces rather than format strings: this is written where requests are forwarded.
    fn field(&mut self, field: &Field, value: &[&str]) {
        let (before, behind) = match field.name() {
            "method" | "path" | "status" | "outcome" | "message" => (" ", ""),
            "duration_ms" => (" ", "ms"),
            "ttfb_ms" => (" ttfb ", "ms"),
            "request_bytes" => (" in ", ""),
            "response_bytes" => (" out ", ""),
            name => {
                self.put(" ");
                self.put(name);
                ("=", "")
            }
        };
        self.put(before);
        value.iter().for_each(|piece| self.put(piece));
        self.put(behind);
    }

    fn put(&mut self, piece: &str) {
        if self.result.is_ok() {
            self.result = Escaped(self.out).write_str(piece);
        }
    }
}

impl<W: Write> Visit for AccessText<'_, W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, &[&format!("{value:?}")]);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, &[value]);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match (field.name(), value) {
            // No response, no status.
            ("status", 0) => self.field(field, &["-"]),
            _ => self.field(field, &[itoa::Buffer::new().format(value)]),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        match field.name() {
            // No response, no first byte.
            "ttfb_ms" if value == 0.0 => {}
            _ => {
                // Three places after the point, without the price of formatting a float.
                let thousandths = (value * 1e3).round() as u64;
                let (mut whole, mut places) = (itoa::Buffer::new(), itoa::Buffer::new());
                // Behind a digit that fills up with noughts.
                let places = &places.format(1000 + thousandths % 1000)[1..];
                self.field(field, &[whole.format(thousandths / 1000), ".", places]);
            }
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.field(field, &[&chain(value)]);
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        out.write_str("{\"timestamp\":\"")?;
        write_now(&mut out)?;
        write!(out, "\",\"level\":\"{}\",\"target\":\"{}\"", metadata.level(), metadata.target())?;
        let mut fields = JsonFields { out: &mut out, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        out.write_str("}\n")
    }
}

/// Fields as `,"name":value`.
struct JsonFields<'a, W> {
    out: &'a mut W,
    result: fmt::Result,
}

impl<W: Write> JsonFields<'_, W> {
    fn raw(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = write!(self.out, ",\"{}\":{value}", field.name());
        }
    }

    fn string(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = write!(self.out, ",\"{}\":\"", field.name())
                .and_then(|()| write!(JsonEscaped(self.out), "{value}"))
                .and_then(|()| self.out.write_char('"'));
        }
    }
}

impl<W: Write> Visit for JsonFields<'_, W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.string(field, format_args!("{}", chain(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let is_told = value.is_finite() && !(field.name() == "ttfb_ms" && value == 0.0);
        if is_told {
            self.raw(field, format_args!("{:?}", (value * 1000.0).round() / 1000.0));
        } else {
            self.raw(field, format_args!("null"));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match (field.name(), value) {
            ("status", 0) => self.raw(field, format_args!("null")),
            _ => self.raw(field, format_args!("{value}")),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.raw(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.raw(field, format_args!("{value}"));
    }
}

/// Passes text on with its control characters made visible.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text) {
            return self.0.write_str(text);
        }
        for character in text.chars() {
            if breaks_lines(character) {
                write!(self.0, "{}", character.escape_default())?;
            } else {
                self.0.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether all of it is printable ASCII, as nearly everything is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Control characters, and what Unicode counts as the end of a line or turns its direction.
fn breaks_lines(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Passes text on as the inside of a JSON string.
struct JsonEscaped<'a, W>(&'a mut W);

impl<W: Write> Write for JsonEscaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text) && !text.contains(['"', '\\']) {
            return self.0.write_str(text);
        }
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(self.0, "\\{character}")?,
                '\n' => self.0.write_str("\\n")?,
                other if breaks_lines(other) => write!(self.0, "\\u{:04x}", u32::from(other))?,
                other => self.0.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is logged, as one string.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What `log` logs, in text, without its timestamp.
    fn text(colours: bool, log: impl FnOnce()) -> String {
        let page = Page::default();
        let layer = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(page.clone());
        record(layer.event_format(Text).boxed(), log);
        let line = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
        rest.to_owned()
    }

    fn json(log: impl FnOnce()) -> serde_json::Value {
        let page = Page::default();
        record(tracing_subscriber::fmt::layer().with_writer(page.clone()).event_format(Json).boxed(), log);
        let line = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let mut value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        assert!(value.as_object_mut().unwrap().remove("timestamp").is_some());
        value
    }

    fn record(layer: Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>, log: impl FnOnce()) {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    }

    fn access(status: u16, ttfb_ms: f64) {
        tracing::info!(
            target: "access",
            method = "POST",
            path = "/v1/chat/completions",
            status,
            outcome = "complete",
            duration_ms = 12.345_678,
            ttfb_ms,
            request_bytes = 123_u64,
            response_bytes = 4567_u64,
        );
    }

    #[test]
    fn an_exchange_is_a_line_for_people() {
        assert_eq!(
            text(false, || access(200, 3.21)),
            "INFO access: POST /v1/chat/completions 200 complete 12.346ms ttfb 3.210ms in 123 out 4567\n"
        );
    }

    #[test]
    fn an_exchange_without_a_response_has_no_status_and_no_first_byte() {
        assert_eq!(
            text(false, || access(0, 0.0)),
            "INFO access: POST /v1/chat/completions - complete 12.346ms in 123 out 4567\n"
        );
        assert_eq!(json(|| access(0, 0.0))["status"], serde_json::Value::Null);
    }

    #[test]
    fn an_exchange_is_flat_json() {
        assert_eq!(
            json(|| access(200, 3.21)),
            serde_json::json!({
                "level": "INFO", "target": "access", "method": "POST", "path": "/v1/chat/completions",
                "status": 200, "outcome": "complete", "duration_ms": 12.346, "ttfb_ms": 3.21,
                "request_bytes": 123, "response_bytes": 4567,
            })
        );
    }

    #[test]
    fn fields_follow_the_message() {
        let log =
            || tracing::warn!(target: "t", count = 3, name = "two words", ok = true, "it went {}", "well");
        assert_eq!(text(false, log), "WARN t: it went well count=3 name=\"two words\" ok=true\n");
        assert_eq!(
            json(log),
            serde_json::json!({
                "level": "WARN", "target": "t", "message": "it went well", "count": 3, "name": "two words", "ok": true,
            })
        );
    }

    #[test]
    fn an_error_brings_its_causes() {
        let error: Box<dyn Error + 'static> = Box::new(crate::logging::LoggingError::File {
            path: "x.log".into(),
            source: io::Error::other("no room"),
        });
        let log = || tracing::error!(target: "t", error = &*error, "failed");
        assert_eq!(
            text(false, log),
            "ERROR t: failed error=logging.file: x.log: cannot be opened: no room\n"
        );
    }

    #[test]
    fn what_is_logged_cannot_forge_a_line() {
        const EVIL: &str = "/a\r\nERROR access: forged\u{1b}[2J\u{85}\u{2028}\u{202e}\0\tend \"quote\\ ü";
        for log in [
            (|| tracing::info!(target: "access", method = "GET", path = EVIL)) as fn(),
            || tracing::info!(target: "t", "{}", EVIL),
            || tracing::info!(target: "t", value = EVIL),
            || tracing::info!(target: "t", value = %EVIL),
            || tracing::info!(target: "t", value = ?EVIL),
        ] {
            let line = text(false, log);
            let inside = line.strip_suffix('\n').unwrap();
            assert!(!inside.contains(breaks_lines), "{line:?}");
            assert!(inside.contains('ü'), "{line:?}");
            json(log);
        }
        let value = json(|| tracing::info!(target: "access", method = "GET", path = EVIL));
        assert_eq!(value["path"], EVIL);
    }

    #[test]
    fn only_a_terminal_gets_colours() {
        let log = || tracing::info!(target: "t", "x");
        assert_eq!(text(true, log), "\u{1b}[32mINFO\u{1b}[0m t: x\n");
        assert_eq!(text(false, log), "INFO t: x\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back_out_of_the_json(value in ".*") {
            let told = json(|| tracing::info!(target: "t", value = value.as_str()));
            assert_eq!(&told["value"], &value);
        }
    }
}
