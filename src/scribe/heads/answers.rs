//! Responses' heads: those of a provider have the same names again and again, and other values.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use memchr::memchr;
use perimeter_interceptor::ResponseHead;

use crate::journal;
use crate::scribe::head::{self, status_line};
use crate::scribe::mask::Masks;

/// So many forms are remembered, the latest.
const MOST: usize = 8;

/// Heads that are longer are read each time, bytes.
const LONGEST: usize = 8 * 1024;

/// Which names stand in responses' heads, in which order. It only saves work.
#[derive(Debug, Default)]
pub(in crate::scribe) struct Answers {
    forms: Vec<Form>,
    /// Where the values of the head stand that is being read.
    values: Vec<Range<usize>>,
}

/// The names of a head.
#[derive(Debug)]
struct Form {
    /// As they were written.
    names: Vec<Box<[u8]>>,
    /// With values that are empty; in the same order.
    headers: HeaderMap,
    /// Whether a value may be a secret.
    has_secrets: bool,
}

impl Answers {
    /// Reads the head of a response. What is a secret in it is masked.
    pub(in crate::scribe) fn read(&mut self, head: &journal::ResponseHead, masks: &Masks) -> ResponseHead {
        if let journal::ResponseHead::Raw(raw) = head
            && raw.len() <= LONGEST
        {
            if let Some(headers) = self.again(raw, masks) {
                let (status, version) = status_line(raw);
                return ResponseHead::new(status, version, headers);
            }
            if let Some(form) = Form::of(raw, masks) {
                self.forms.truncate(MOST - 1);
                self.forms.insert(0, form);
            }
        }
        let mut head = head::response(head);
        masks.headers(&mut head.headers);
        head
    }

    /// The headers of a head whose form is known.
    fn again(&mut self, raw: &Bytes, masks: &Masks) -> Option<HeaderMap> {
        let Self { forms, values } = self;
        let at = forms.iter().position(|form| form.find(raw, values).is_some())?;
        forms.get_mut(..=at)?.rotate_right(1);
        let form = forms.first()?;
        // The values share it: what it is cut from is a part of a much larger piece.
        let kept = Bytes::copy_from_slice(raw);
        let mut headers = form.headers.clone();
        for (value, range) in headers.values_mut().zip(values) {
            *value = HeaderValue::from_maybe_shared(kept.slice(range.clone())).ok()?;
        }
        if form.has_secrets {
            masks.headers(&mut headers);
        }
        Some(headers)
    }
}

impl Form {
    /// The form of a head; `None` where its names are not all different, or not written as everybody does.
    fn of(raw: &[u8], masks: &Masks) -> Option<Self> {
        let mut form = Self { names: Vec::new(), headers: HeaderMap::new(), has_secrets: false };
        let mut rest = behind_line(raw)?;
        while rest != b"\r\n" {
            let colon = memchr(b':', rest)?;
            let name = rest.get(..colon)?;
            let header = HeaderName::from_bytes(name).ok()?;
            form.has_secrets |= masks.concern(&header);
            form.names.push(name.into());
            form.headers.try_append(header, HeaderValue::from_static("")).ok()?;
            rest = behind_line(rest)?;
        }
        let mut names = form.headers.keys().zip(&form.names);
        let is_in_order = names.all(|(header, name)| header.as_str().as_bytes().eq_ignore_ascii_case(name));
        let is_each_once = form.headers.keys_len() == form.names.len();
        (is_in_order && is_each_once && !form.names.is_empty()).then_some(form)
    }

    /// Where the values of a head stand, one for each name; `None` where it has not this form.
    fn find(&self, raw: &[u8], values: &mut Vec<Range<usize>>) -> Option<()> {
        values.clear();
        let mut rest = behind_line(raw)?;
        for name in &self.names {
            let told = rest.strip_prefix(&**name)?.strip_prefix(b":")?;
            let end = memchr(b'\n', told)?;
            let value = told.get(..end)?.trim_ascii_start();
            let at = raw.len() - told.len() + end - value.len();
            values.push(at..at + value.trim_ascii_end().len());
            rest = told.get(end + 1..)?;
        }
        (rest == b"\r\n").then_some(())
    }
}

/// What follows the first line.
fn behind_line(raw: &[u8]) -> Option<&[u8]> {
    raw.get(memchr(b'\n', raw)? + 1..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;

    fn masks() -> Masks {
        Masks::new(&[0; 32], &config::Observe::default().mask)
    }

    fn raw(text: &str) -> journal::ResponseHead {
        journal::ResponseHead::Raw(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// What is read of a head by itself.
    fn alone(head: &journal::ResponseHead) -> ResponseHead {
        let mut head = head::response(head);
        masks().headers(&mut head.headers);
        head
    }

    fn said(head: &ResponseHead) -> String {
        format!("{head:?}")
    }

    #[test]
    fn a_head_of_the_same_form_is_read_with_its_own_values() {
        let mut answers = Answers::default();
        for (number, status) in [(1, 200), (2, 404), (3, 200)] {
            let head = raw(&format!(
                "HTTP/1.1 {status} X\r\nServer: s\r\nX-Id:  {number}\r\nSet-Cookie: {number}\r\n\r\n"
            ));
            let read = answers.read(&head, &masks());
            assert_eq!(read.headers["x-id"], number.to_string());
            assert_eq!(said(&read), said(&alone(&head)));
            assert!(read.headers["set-cookie"].as_bytes().starts_with(b"***"));
            assert_eq!(answers.forms.len(), 1);
        }
    }

    #[test]
    fn no_more_forms_are_remembered_than_there_is_room_for() {
        let mut answers = Answers::default();
        for number in 0..3 * MOST {
            answers.read(&raw(&format!("HTTP/1.1 200 OK\r\nx-{number}: 1\r\n\r\n")), &masks());
        }
        assert_eq!(answers.forms.len(), MOST);
    }

    proptest! {
        #[test]
        fn whatever_heads_came_before_each_says_what_it_says_alone(
            heads in prop::collection::vec(
                prop::collection::vec(
                    ("(Server|server|X-A|Set-Cookie|Location| x|x y|)", "(:|: |)", "[a\u{e9}\t ]{0,3}", "(\r\n|\n|\r\n )"),
                    0..4,
                ),
                1..8,
            ),
        ) {
            let mut answers = Answers::default();
            for lines in heads {
                let lines: String = lines.into_iter().map(|(name, colon, value, end)| name + &colon + &value + &end).collect();
                let head = raw(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"));
                prop_assert_eq!(said(&answers.read(&head, &masks())), said(&alone(&head)));
            }
        }
    }
}
