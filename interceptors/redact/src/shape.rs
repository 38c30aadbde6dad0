//! Secrets that their first characters give away.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::{Clue, is_random, is_word, run};

/// One kind of secret.
pub(super) struct Shape {
    /// How it begins. This much of it is kept.
    prefix: &'static str,
    /// Given what follows the prefix, where in it the secret is.
    secret: fn(&[u8]) -> Option<Range<usize>>,
    /// Where it may begin.
    begins: Begins,
}

#[derive(Clone, Copy)]
enum Begins {
    /// Where a word may.
    Word,
    /// Where a word may, but not inside base64: nothing in it is foreign to an image's bytes.
    OutsideBase64,
    /// Anywhere.
    Anywhere,
}

const SHAPES: &[Shape] = &[
    word("sk-", |rest| token(rest, 20, 24)),
    word("sk-proj-", |rest| token(rest, 16, 16)),
    word("sk-svcacct-", |rest| token(rest, 16, 16)),
    word("sk-admin-", |rest| token(rest, 16, 16)),
    word("sk-or-v1-", |rest| token(rest, 16, 16)),
    word("sk-ant-", |rest| token(rest, 16, 16)),
    word("sk_live_", |rest| token(rest, 16, 16)),
    word("sk_test_", |rest| token(rest, 16, 16)),
    word("rk_live_", |rest| token(rest, 16, 16)),
    word("gsk_", |rest| token(rest, 20, 20)),
    word("xai-", |rest| token(rest, 20, 20)),
    word("hf_", |rest| token(rest, 20, 20)),
    word("ghp_", |rest| token(rest, 20, 20)),
    word("gho_", |rest| token(rest, 20, 20)),
    word("ghs_", |rest| token(rest, 20, 20)),
    word("ghu_", |rest| token(rest, 20, 20)),
    word("ghr_", |rest| token(rest, 20, 20)),
    word("github_pat_", |rest| token(rest, 20, 20)),
    word("glpat-", |rest| token(rest, 16, 16)),
    word("npm_", |rest| token(rest, 30, 30)),
    word("pypi-", |rest| token(rest, 32, 30)),
    word("dop_v1_", |rest| token(rest, 32, 30)),
    word("pplx-", |rest| token(rest, 20, 30)),
    word("GOCSPX-", |rest| token(rest, 24, 12)),
    word("SG.", sendgrid),
    word("AKIA", aws_id),
    word("ASIA", aws_id),
    word("ya29.", |rest| token(rest, 20, 20)),
    word("xoxa-", slack),
    word("xoxb-", slack),
    word("xoxe-", slack),
    word("xoxp-", slack),
    word("xoxr-", slack),
    word("xoxs-", slack),
    word("xapp-", slack),
    word("eyJ", jwt),
    Shape { prefix: "AIza", secret: |rest| token(rest, 30, 12), begins: Begins::OutsideBase64 },
    word("Bearer ", bearer),
    word("bearer ", bearer),
    word("BEARER ", bearer),
    word("Basic ", basic),
    word("basic ", basic),
    anywhere("hooks.slack.com/services/", slack_hook),
    anywhere("hooks.slack.com\\/services\\/", slack_hook),
    anywhere("://", password_in_url),
    anywhere(":\\/\\/", password_in_url),
    anywhere("-----BEGIN ", pem),
];

const fn word(prefix: &'static str, secret: fn(&[u8]) -> Option<Range<usize>>) -> Shape {
    Shape { prefix, secret, begins: Begins::Word }
}

const fn anywhere(prefix: &'static str, secret: fn(&[u8]) -> Option<Range<usize>>) -> Shape {
    Shape { prefix, secret, begins: Begins::Anywhere }
}

static PREFIXES: LazyLock<AhoCorasick> = LazyLock::new(prefixes);

#[expect(clippy::expect_used, reason = "the prefixes are constants, and a few dozen")]
fn prefixes() -> AhoCorasick {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(SHAPES.iter().map(|shape| shape.prefix))
        .expect("a few dozen short texts make an automaton")
}

/// The next text, at or behind `from`, that a secret may begin with.
pub(super) fn find(text: &[u8], from: usize) -> Option<Clue<Shape>> {
    let found = PREFIXES.find(Input::new(text).range(from..))?;
    let kind = SHAPES.get(found.pattern().as_usize())?;
    Some(Clue { kind, at: found.range(), next: found.start() + 1 })
}

impl Shape {
    /// Where in `rest` the secret is whose beginning stands between it and `before`.
    pub(super) fn secret_after(&self, before: &[u8], rest: &[u8]) -> Option<Range<usize>> {
        let begins = match self.begins {
            Begins::Word => begins_word(before),
            Begins::OutsideBase64 => begins_word(before) && !may_be_base64(before, rest),
            Begins::Anywhere => true,
        };
        if begins {
            (self.secret)(rest)
        } else if before.ends_with(b"_") {
            self.glued_secret(rest)
        } else {
            None
        }
    }

    /// The same for `X_sk-…`. There may be such a beginning every few letters of one long word, so only so much is read
    /// before anything is known.
    fn glued_secret(&self, rest: &[u8]) -> Option<Range<usize>> {
        let start = rest.get(..GLUED).unwrap_or(rest);
        let secret = (self.secret)(start)?;
        let goes_on = if secret.end < start.len() {
            0
        } else {
            run(rest.get(secret.end..)?, |byte| is_word(byte) || byte == b'.')
        };
        Some(secret.start..secret.end + goes_on)
    }
}

/// How much is read of what may be a secret glued to a word before it.
const GLUED: usize = 256;

/// Whether this may be the middle of base64. A Google key between the slashes of a path has its exact length.
fn may_be_base64(before: &[u8], rest: &[u8]) -> bool {
    match before.last() {
        Some(b'+') => true,
        Some(b'/') => run(rest, is_word) != 35,
        _ => false,
    }
}

/// Whether a word begins behind this JSON text: the letters of an escape (`\n`, `\u2028`, `%20`) belong to none, and
/// a hyphen belongs to what is before it, if anything is.
fn begins_word(mut before: &[u8]) -> bool {
    while let [start @ .., b'-' | b'_'] = before {
        before = start;
    }
    match before {
        [] => true,
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'%', a, b] if is_hex(&[*a, *b]) => true,
        [.., last] => !last.is_ascii_alphanumeric() || ends_in_escape(before),
    }
}

/// `\u2028`
fn ends_in_escape(before: &[u8]) -> bool {
    matches!(before.last_chunk::<6>(), Some([b'\\', b'u', digits @ ..]) if is_hex(digits))
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}

/// At least `min` letters, digits, `-` and `_` that look like no words.
fn token(rest: &[u8], min: usize, long: usize) -> Option<Range<usize>> {
    let length = run(rest, is_word);
    (length >= min && is_random(rest.get(..length)?, long)).then_some(0..length)
}

/// Sixteen capitals and digits.
fn aws_id(rest: &[u8]) -> Option<Range<usize>> {
    let length = run(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let ends = !rest.get(length).is_some_and(|byte| is_word(*byte));
    (length == 16 && ends).then_some(0..length)
}

fn slack(rest: &[u8]) -> Option<Range<usize>> {
    let length = run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let digits = rest.get(..length)?.iter().filter(|byte| byte.is_ascii_digit()).count();
    (length >= 10 && digits >= 2).then_some(0..length)
}

/// `T…/B…/…`, the slashes escaped or not.
fn slack_hook(rest: &[u8]) -> Option<Range<usize>> {
    let length = run(rest, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'\\'));
    let mut parts = rest.get(..length)?.split(|byte| *byte == b'/');
    let team = parts.next()?.strip_prefix(b"T")?.len();
    let hook = parts.next()?.strip_prefix(b"B")?.len();
    let key = run(parts.next()?, |byte| byte.is_ascii_alphanumeric());
    let slashes = rest.split(|byte| *byte == b'/').take(2).map(|part| part.len() + 1).sum::<usize>();
    (team >= 8 && hook >= 8 && key >= 16).then_some(0..slashes + key)
}

/// An id and a key.
fn sendgrid(rest: &[u8]) -> Option<Range<usize>> {
    let id = run(rest, is_word);
    let end = part(rest, id)?;
    let is_key = id >= 16 && end - id > 16 && is_random(rest.get(..end)?, 16);
    is_key.then_some(0..end)
}

/// What `Authorization: Basic` brings, if it looks more like base64 than a word.
fn basic(rest: &[u8]) -> Option<Range<usize>> {
    let length = run(rest, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let text = rest.get(..length)?;
    let has = |class: fn(&u8) -> bool| text.iter().skip(1).any(class);
    let is_base64 = has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && (has(u8::is_ascii_digit) || text.ends_with(b"="));
    (length >= 16 && is_base64).then_some(0..length)
}

/// `user:password@host`: the password, and the user too if that is a key.
fn password_in_url(rest: &[u8]) -> Option<Range<usize>> {
    let most = rest.get(..512).unwrap_or(rest);
    let authority = most.get(..run(most, is_in_authority))?;
    let end = authority.iter().rposition(|byte| *byte == b'@')?;
    let user = authority.get(..end)?.iter().position(|byte| *byte == b':')?;
    let password = authority.get(user + 1..end)?;
    let is_placeholder = password.contains(&b'[')
        || matches!(password, [] | [b'*' | b'{', ..] | [b'$', b'{' | b'(' | b'A'..=b'Z' | b'_', ..]);
    let has_host = authority.get(end + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[');
    let user_is_key = user >= 20 && is_random(authority.get(..user)?, 20);
    let start = if user_is_key { 0 } else { user + 1 };
    (has_host && !is_placeholder).then_some(start..end)
}

fn is_in_authority(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'\\' | b'<' | b'>')
}

/// Three parts, or the five of an encrypted one; two where it was cut and the second is JSON as well.
fn jwt(rest: &[u8]) -> Option<Range<usize>> {
    let header = run(rest, is_word);
    let claims = part(rest, header)?;
    if header < 8 || claims - header <= 8 {
        return None;
    }
    let Some(signature) = part(rest, claims) else {
        return rest.get(header + 1..)?.starts_with(b"eyJ").then_some(0..claims);
    };
    let encrypted = part(rest, signature).and_then(|text| part(rest, text));
    Some(0..encrypted.unwrap_or(signature))
}

/// The end of the part that follows a dot at `dot`.
fn part(rest: &[u8], dot: usize) -> Option<usize> {
    let after = rest.get(dot..)?.strip_prefix(b".")?;
    match run(after, is_word) {
        0 => None,
        length => Some(dot + 1 + length),
    }
}

/// What `Authorization: Bearer` brings, if it is more than a word.
fn bearer(rest: &[u8]) -> Option<Range<usize>> {
    let length = run(rest, |byte| is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'='));
    let token = rest.get(..length)?;
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    (length >= 20 && (digits >= 4 || is_random(token, 24))).then_some(0..length)
}

/// The lines between `-----BEGIN … PRIVATE KEY-----` and its end, or as far as they go.
fn pem(rest: &[u8]) -> Option<Range<usize>> {
    let label = run(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let kind = rest.get(..label)?;
    if !(kind.ends_with(b"PRIVATE KEY") || kind.ends_with(b"PRIVATE KEY BLOCK")) {
        return None;
    }
    let begin = label + rest.get(label..)?.strip_prefix(b"-----").map(|_| 5)?;
    let mut body = Body { text: rest, at: begin };
    body.skip_headers();
    let end = body.skip_lines()?;
    Some(begin..end)
}

/// The inside of a PEM block in JSON text, where line ends may be escaped, once or more often.
struct Body<'a> {
    text: &'a [u8],
    at: usize,
}

impl Body<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Spaces, line ends, escaped line ends.
    fn skip_breaks(&mut self) {
        loop {
            let spaces = run(self.rest(), |byte| byte.is_ascii_whitespace());
            self.at += spaces;
            let slashes = run(self.rest(), |byte| byte == b'\\');
            let escapes = slashes > 0 && matches!(self.rest().get(slashes), Some(b'n' | b'r' | b't'));
            if escapes {
                self.at += slashes + 1;
            } else if spaces == 0 {
                return;
            }
        }
    }

    /// `Proc-Type: 4,ENCRYPTED` and the like. Real ones have two or three, which bounds what is read in vain.
    fn skip_headers(&mut self) {
        for _ in 0..6 {
            self.skip_breaks();
            let name = run(self.rest(), |byte| byte.is_ascii_alphabetic() || byte == b'-');
            let value = match self.rest().get(name..).and_then(|rest| rest.strip_prefix(b": ")) {
                Some(value) if name > 0 => run(value, |byte| !matches!(byte, b'\\' | b'"' | b'\n' | b'\r')),
                _ => return,
            };
            self.at += name + 2 + value;
        }
    }

    /// Lines of base64, each of at least 16 characters but the last. Where the last ends.
    fn skip_lines(&mut self) -> Option<usize> {
        let mut end = None;
        loop {
            self.skip_breaks();
            let line = self.base64();
            let follows = self.text.get(self.at + line..).unwrap_or_default();
            let is_last = follows.starts_with(b"-----END") || ends_string(follows);
            if line < 16 && !(line > 0 && end.is_some() && is_last) {
                break;
            }
            self.at += line;
            end = Some(self.at);
            self.skip_breaks();
        }
        // The checksum of an OpenPGP block is a short line of its own.
        end
    }

    /// Base64, its slashes escaped or not.
    fn base64(&self) -> usize {
        let rest = self.rest();
        let mut length = 0;
        loop {
            let after = rest.get(length..).unwrap_or_default();
            let plain = run(after, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
            let slashes = run(after.get(plain..).unwrap_or_default(), |byte| byte == b'\\');
            length += plain;
            if slashes == 0 || after.get(plain + slashes) != Some(&b'/') {
                return length;
            }
            length += slashes + 1;
        }
    }
}

/// A quote, escaped or not, line ends before it or not; or the end of everything.
fn ends_string(text: &[u8]) -> bool {
    let mut rest = Body { text, at: 0 };
    rest.skip_breaks();
    let slashes = run(rest.rest(), |byte| byte == b'\\');
    matches!(rest.rest().get(slashes), None | Some(b'"'))
}
