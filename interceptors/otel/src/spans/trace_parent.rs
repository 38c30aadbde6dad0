//! The client's own trace: the headers of W3C's Trace Context (<https://www.w3.org/TR/trace-context/>).

use http::HeaderMap;
use perimeter_interceptor::SpanContext;

/// A client's span that a request is part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(super) context: SpanContext,
    /// What others say of the trace, as one header; empty where there is nothing, or nothing valid.
    pub(super) state: String,
}

/// So many vendors may say something of a trace.
const MEMBERS: usize = 32;

impl TraceParent {
    /// What a request's headers say. `None` where they say nothing, or nothing valid.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut told = headers.get_all("traceparent").iter();
        let only = told.next().filter(|_| told.next().is_none())?;
        let context = SpanContext::parse(only.as_bytes())?;
        Some(Self { context, state: state(headers).unwrap_or_default() })
    }
}

/// All `tracestate` headers as one. `None` where any of it is not valid: then nothing of it may be passed on.
fn state(headers: &HeaderMap) -> Option<String> {
    let mut members = Vec::new();
    for header in headers.get_all("tracestate") {
        for member in header.to_str().ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if !member.is_empty() {
                members.push(member);
            }
        }
    }
    let keys: Option<Vec<_>> = members.iter().map(|member| key_of(member)).collect();
    let mut keys = keys?;
    keys.sort_unstable();
    keys.dedup();
    (keys.len() == members.len() && members.len() <= MEMBERS).then(|| members.join(","))
}

/// The key of `key=value`, where both are valid.
fn key_of(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let printed = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    let is_value = (1..=256).contains(&value.len()) && value.bytes().all(printed);
    let is_key = match key.split_once('@') {
        Some((tenant, system)) => {
            let begins =
                tenant.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
            begins
                && tenant.len() <= 241
                && is_name(tenant, false)
                && system.len() <= 14
                && is_name(system, true)
        }
        None => key.len() <= 256 && is_name(key, true),
    };
    (is_key && is_value).then_some(key)
}

fn is_name(name: &str, begins_with_letter: bool) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let begins = !begins_with_letter || name.starts_with(|first: char| first.is_ascii_lowercase());
    !name.is_empty() && begins && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(parents: &[&str], states: &[&str]) -> Option<TraceParent> {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append("traceparent", HeaderValue::from_bytes(parent.as_bytes()).unwrap());
        }
        for state in states {
            headers.append("tracestate", HeaderValue::from_bytes(state.as_bytes()).unwrap());
        }
        TraceParent::of(&headers)
    }

    #[test]
    fn what_is_valid_is_read() {
        let parent = of(&[VALID], &["congo=t61rcWkgMzE, rojo@x=1", "", "a=b"]).unwrap();
        assert_eq!(parent.context.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
        assert_eq!(parent.context.span, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        assert_eq!((parent.context.flags, &*parent.state), (1, "congo=t61rcWkgMzE,rojo@x=1,a=b"));
        let flags =
            |digits: &str| of(&[&VALID.replace("-01", &format!("-{digits}"))], &[]).unwrap().context.flags;
        assert_eq!((flags("00"), flags("03"), flags("ff"), flags("f8")), (0, 3, 3, 0));
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = VALID.replacen("00", "cc", 1);
        assert!(of(&[&later], &[]).is_some());
        assert!(of(&[&format!("{later}-what-the-future-will-be-like")], &[]).is_some());
        assert!(of(&[&format!("{later}-")], &[]).is_some());
        assert_eq!(of(&[&format!("{later}.what")], &[]), None);
        assert_eq!(of(&[&format!("{VALID}-more")], &[]), None);
    }

    #[test]
    fn what_is_not_valid_is_nothing() {
        let zero_trace = VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = VALID.replace("00f067aa0ba902b7", &"0".repeat(16));
        let (upper, ff) = (VALID.to_uppercase(), VALID.replacen("00", "ff", 1));
        let underscored = VALID.replace('-', "_");
        for wrong in ["", "00", &zero_trace, &zero_span, &upper, &ff, &underscored, &VALID[..54], &VALID[1..]]
        {
            assert_eq!(of(&[wrong], &[]), None, "{wrong}");
        }
        assert_eq!(of(&[VALID, VALID], &[]), None, "two are none");
        assert_eq!(of(&[&format!("{VALID},{VALID}")], &[]), None);
    }

    #[test]
    fn a_state_that_is_not_valid_is_not_passed_on_and_the_parent_is() {
        let many: Vec<_> = (0..33).map(|number| format!("k{number}=v")).collect();
        for wrong in
            ["a", "a=1,a=2", "A=1", "=1", "a=", "1a=x", "t@=1", "@s=1", "a=\u{e9}", "a=b=c", &many.join(",")]
        {
            assert_eq!(of(&[VALID], &[wrong]).unwrap().state, "", "{wrong}");
        }
        assert_eq!(of(&[VALID], &[&many[..32].join(",")]).unwrap().state.split(',').count(), 32);
        assert_eq!(of(&[VALID], &["1t@s=1"]).unwrap().state, "1t@s=1");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it_and_what_it_reads_is_what_was_written(text in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(read) = SpanContext::parse(&text) {
                let text = String::from_utf8_lossy(&text).into_owned();
                prop_assert_eq!(&text[2..53], &read.to_string()[2..53]);
            }
        }

        #[test]
        fn every_valid_one_is_read(version in 0_u8..=254, trace in 1_u128.., span in 1_u64.., flags: u8) {
            let text = format!("{version:02x}-{trace:032x}-{span:016x}-{flags:02x}");
            let context = SpanContext::new(trace.to_be_bytes(), span.to_be_bytes(), flags & 3);
            prop_assert_eq!(SpanContext::parse(text.as_bytes()), Some(context));
        }

        #[test]
        fn one_letter_that_is_wrong_makes_it_nothing(at in 0_usize..55, letter in "[^0-9a-f]") {
            let mut text: Vec<char> = VALID.chars().collect();
            text[at] = letter.chars().next().unwrap();
            let text: String = text.into_iter().collect();
            prop_assume!(text != VALID);
            prop_assert_eq!(SpanContext::parse(text.as_bytes()), None);
        }

        #[test]
        fn what_is_passed_on_of_a_state_is_valid_itself(state in "[ -~]{0,60}") {
            let passed = of(&[VALID], &[&state]).unwrap().state;
            prop_assert_eq!(&of(&[VALID], &[&passed]).unwrap().state, &passed);
        }
    }
}
