//! Secrets that stand behind their names: `"password": "hunter2"`, in JSON and in JSON inside strings, and
//! `api_key=…` in text.
//!
//! A quote of JSON that stands inside *n* strings is written with 2ⁿ - 1 backslashes, and a backslash before it with
//! 2ⁿ more. So whatever a string holds, the number of trailing one bits in the number of backslashes before a quote
//! says in how many strings it is: its depth.

use std::array;
use std::ops::Range;
use std::sync::LazyLock;

use super::{Clue, REDACTED, is_random, is_word, marks, run};

/// What a secret may be called.
pub(super) struct Name {
    /// Its words, as in `access_token`.
    words: &'static [&'static str],
    strength: Strength,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    /// Whatever it names is a secret.
    Strong,
    /// It names other things too: a secret is what looks like one.
    Weak,
    /// Strong, and in text it names forty characters of base64.
    Aws,
    /// Strong, and in text it names what people make up: letters of both cases, digits and signs.
    Password,
}

const NAMES: &[Name] = &[
    Name { words: &["password"], strength: Strength::Password },
    Name { words: &["passwd"], strength: Strength::Password },
    Name { words: &["passphrase"], strength: Strength::Password },
    strong(&["secret"]),
    strong(&["secret", "key"]),
    strong(&["api", "key"]),
    strong(&["api", "token"]),
    strong(&["access", "token"]),
    strong(&["refresh", "token"]),
    strong(&["auth", "token"]),
    strong(&["id", "token"]),
    strong(&["session", "token"]),
    strong(&["bearer", "token"]),
    strong(&["security", "token"]),
    strong(&["private", "key"]),
    strong(&["signing", "key"]),
    strong(&["encryption", "key"]),
    strong(&["authorization"]),
    Name { words: &["secret", "access", "key"], strength: Strength::Aws },
    Name { words: &["account", "key"], strength: Strength::Weak },
    Name { words: &["shared", "access", "key"], strength: Strength::Weak },
    Name { words: &["token"], strength: Strength::Weak },
    Name { words: &["credential"], strength: Strength::Weak },
    Name { words: &["credentials"], strength: Strength::Weak },
    Name { words: &["cookie"], strength: Strength::Weak },
];

const fn strong(words: &'static [&'static str]) -> Name {
    Name { words, strength: Strength::Strong }
}

/// The next name that stands before a `:` or `=` at or behind `from`, and itself not before `floor`.
pub(super) fn find(text: &[u8], floor: usize, from: usize) -> Option<Clue<Name>> {
    marks::find_map(text, from, [b':', b'='], |sign| {
        if is_name_of_nothing(text.get(..sign)?) { None } else { name_before(text, floor, sign) }
    })
}

/// The name that stands before the sign that is here.
pub(super) fn name_before(text: &[u8], floor: usize, sign: usize) -> Option<Clue<Name>> {
    let before = before_quote(text.get(floor..sign)?.trim_ascii_end());
    let names = names_that_may_end(before);
    let names = names.iter().filter_map(|name| Some((name.length_at_end_of(before)?, *name)));
    let (length, kind) = names.max_by_key(|(length, _)| *length)?;
    let end = floor + before.len();
    Some(Clue { kind, at: end - length..end, next: sign + 1 })
}

/// What is before the quote that ends `text`, if one does.
fn before_quote(text: &[u8]) -> &[u8] {
    let quoted = match text {
        [start @ .., b'"' | b'\''] => start,
        [start @ .., b'u', b'0', b'0', b'2', b'2'] if start.ends_with(b"\\") => start,
        _ => return text,
    };
    let slashes = quoted.iter().rev().take_while(|byte| **byte == b'\\').count();
    quoted.get(..quoted.len() - slashes).unwrap_or_default()
}

/// A quick look at what stands before a sign: whether it surely ends with no name, in the quotes of a member of JSON or
/// without any.
fn is_name_of_nothing(text: &[u8]) -> bool {
    match text {
        [.., a, b, b'"'] if b.is_ascii_alphanumeric() => !may_end_a_name(*a, *b),
        // Behind a name there may be a quote, also one that is written as a code point, and spaces.
        [.., b'"' | b'\'' | b'2' | b'\t' | b'\n' | b'\x0c' | b'\r' | b' '] => false,
        [.., a, b] => !may_end_a_name(*a, *b),
        _ => true,
    }
}

/// Whether any name ends with these two letters.
fn may_end_a_name(a: u8, b: u8) -> bool {
    let (a, b) = (a | 0x20, b | 0x20);
    b.is_ascii_lowercase() && ENDINGS[usize::from(b - b'a')].contains(&a)
}

/// By the last letter of names, which letters stand before it. No letter is a zero.
static ENDINGS: [[u8; 4]; 26] = {
    let mut endings = [[0; 4]; 26];
    let mut at = 0;
    while at < NAMES.len() {
        let words = NAMES[at].words;
        let [.., a, b] = words[words.len() - 1].as_bytes() else { panic!("a name is no letter") };
        let before = &mut endings[(*b - b'a') as usize];
        let mut place = 0;
        // More than there is room for would be an error of the compiler.
        while before[place] != 0 && before[place] != *a {
            place += 1;
        }
        before[place] = *a;
        at += 1;
    }
    endings
};

/// Those that end with the last two letters of this: nearly always none.
fn names_that_may_end(text: &[u8]) -> &'static [&'static Name] {
    let Some(end) = text.last_chunk::<2>() else { return &[] };
    let letter = |byte: u8| usize::from(byte.to_ascii_lowercase().wrapping_sub(b'a'));
    ENDS.get(letter(end[0])).and_then(|ends| ends.get(letter(end[1]))).map_or(&[], |names| names)
}

/// Names by the two letters that they end with.
static ENDS: LazyLock<[[Vec<&'static Name>; 26]; 26]> = LazyLock::new(|| {
    let pair = |a, b| [b'a' + a as u8, b'a' + b as u8];
    let ends_so =
        |name: &Name, end: [u8; 2]| name.words.last().is_some_and(|word| word.as_bytes().ends_with(&end));
    let names = |end| NAMES.iter().filter(|name| ends_so(name, end)).collect();
    array::from_fn(|a| array::from_fn(|b| names(pair(a, b))))
});

/// How much of a value in text is looked at before anything is known. No key is longer.
const LONGEST: usize = 1024;

impl Name {
    /// How much of the end of `text` is this name: `access_token`, `access-token`, `AccessToken`.
    fn length_at_end_of(&self, text: &[u8]) -> Option<usize> {
        let mut start = text;
        for word in self.words.iter().rev() {
            if start.len() < text.len() {
                start = start.strip_suffix(b"_").or_else(|| start.strip_suffix(b"-")).unwrap_or(start);
            }
            let (before, end) = start.split_at_checked(start.len().checked_sub(word.len())?)?;
            if !end.eq_ignore_ascii_case(word.as_bytes()) {
                return None;
            }
            start = before;
        }
        Some(text.len() - start.len())
    }

    /// Where in `rest` the secret is that this name stands before.
    pub(super) fn secret_after(&self, before: &[u8], rest: &[u8]) -> Option<Range<usize>> {
        self.member(before, rest).or_else(|| self.assigned(rest))
    }

    /// `"…name": "secret"`. The key must be one word: `"how to choose a password": "…"` is none.
    fn member(&self, before: &[u8], rest: &[u8]) -> Option<Range<usize>> {
        let key = Quote::at(rest)?;
        if !opens_here(before) {
            return None;
        }
        let colon = key.length + skip_spaces(rest.get(key.length..)?);
        let value = colon + 1 + skip_spaces(rest.get(colon..)?.strip_prefix(b":")?);
        let open = Quote::at(rest.get(value..)?).filter(|open| open.depth == key.depth)?;
        let start = value + open.length;
        let secret = start..start + length_of_string(rest.get(start..)?, open.depth);
        let text = rest.get(secret.clone())?;
        let is_secret = match self.strength {
            Strength::Weak => text.len() >= 20 && is_random(text, 20) && !text.contains(&b' '),
            Strength::Strong | Strength::Aws | Strength::Password => {
                !text.is_empty() && text != REDACTED.as_bytes()
            }
        };
        is_secret.then_some(secret)
    }

    /// `name=secret`, `name: 'secret'`, in whichever text: only what is surely no word.
    fn assigned(&self, rest: &[u8]) -> Option<Range<usize>> {
        let closing = inner_quote(rest);
        let sign = closing + skip_spaces(rest.get(closing..)?);
        let after = match rest.get(sign..)? {
            [b':', b'=', ..] | [b'=', b'>', ..] => sign + 2,
            [b':' | b'=', ..] => sign + 1,
            _ => return None,
        };
        let open = after + skip_spaces(rest.get(after..)?);
        let start = open + inner_quote(rest.get(open..)?);
        if closing > 0 && start == open {
            // A member of JSON in a string, whose value is no string.
            return None;
        }
        // What is read in vain is read again from the next name in it, so that has to be bounded.
        let value = rest.get(start..)?;
        let text = value.get(..run(value.get(..LONGEST).unwrap_or(value), is_key))?;
        let is_token =
            |least| text.len() >= least && is_random(text, 20) && text.iter().any(u8::is_ascii_digit);
        let is_secret = match self.strength {
            Strength::Aws => text.len() == 40 || text.len() >= 32 && Classes::of(text).letters_and_digits(),
            Strength::Password => {
                if let Some(length) = length_of_password(value) {
                    return Some(start..start + length);
                }
                is_token(16)
            }
            // Not the type in `private_key: Curve25519SeedBin`.
            Strength::Strong => is_token(if start == open && open > after { 20 } else { 16 }),
            Strength::Weak => is_token(20),
        };
        is_secret.then(|| start..start + run(value, is_key))
    }
}

/// How long the password is that `text` begins with, if that is one that no prose and no code has: of at least eight
/// characters of every class.
fn length_of_password(text: &[u8]) -> Option<usize> {
    let most = text.get(..128).unwrap_or(text);
    let end = run(most, is_in_password);
    let calls = matches!(most.get(end), Some(b'(' | b'[' | b'{' | b'<'));
    let whole = most.get(..end)?;
    let trailing = whole.iter().rev().take_while(|byte| matches!(byte, b'.' | b':')).count();
    let password = whole.get(..end - trailing)?;
    let classes = Classes::of(password);
    let is_password = password.len() >= 8 && end < 128 && classes.letters_and_digits() && classes.sign;
    (is_password && !calls && !is_code(password)).then_some(password.len())
}

/// An expression: it compares, or goes from member to member (`user.Password1!`).
fn is_code(text: &[u8]) -> bool {
    let operators: [&[u8; 2]; 7] = [b"==", b"!=", b"&&", b"||", b"=>", b"->", b"::"];
    let is_path =
        |path: &[u8]| path.contains(&b'.') && path.iter().all(|byte| is_word(*byte) || *byte == b'.');
    matches!(text, [b'$' | b'=', ..])
        || text.windows(2).any(|pair| operators.iter().any(|operator| pair == *operator))
        || matches!(text, [path @ .., b'!' | b'?'] if is_path(path))
}

fn is_in_password(byte: u8) -> bool {
    let ends = b"\"'`\\,;()[]{}<>";
    byte.is_ascii_graphic() && !ends.contains(&byte)
}

/// What kinds of characters a text has.
struct Classes {
    upper: bool,
    lower: bool,
    digit: bool,
    /// One that names, paths and numbers do not have.
    sign: bool,
}

impl Classes {
    fn of(text: &[u8]) -> Self {
        let has = |class: fn(&u8) -> bool| text.iter().any(class);
        Self {
            upper: has(u8::is_ascii_uppercase),
            lower: has(u8::is_ascii_lowercase),
            digit: has(u8::is_ascii_digit),
            sign: has(|byte| {
                byte.is_ascii_punctuation() && !matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b'=')
            }),
        }
    }

    fn letters_and_digits(&self) -> bool {
        self.upper && self.lower && self.digit
    }
}

/// base64 of both kinds, and what else tokens are made of.
fn is_key(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// A quote, the backslashes that are its own, and in how many strings it stands.
struct Quote {
    depth: u32,
    length: usize,
}

impl Quote {
    /// The quote that `text` begins with. Some clients write `\u0022`.
    fn at(text: &[u8]) -> Option<Self> {
        let slashes = run(text, |byte| byte == b'\\');
        let sign = sign_length(text.get(slashes..)?, slashes)?;
        let depth = slashes.trailing_ones();
        (own_slashes(depth) == slashes).then_some(Self { depth, length: slashes + sign })
    }
}

/// How long the sign of a quote is behind that many backslashes.
fn sign_length(text: &[u8], slashes: usize) -> Option<usize> {
    match text {
        [b'"', ..] => Some(1),
        _ if slashes % 2 == 1 && text.starts_with(b"u0022") => Some(5),
        _ => None,
    }
}

fn own_slashes(depth: u32) -> usize {
    1_usize.checked_shl(depth).map_or(usize::MAX, |power| power - 1)
}

/// How long the string is that `text` is the inside of. It ends with its quote, or with that of a string it is in.
fn length_of_string(text: &[u8], depth: u32) -> usize {
    let mut slashes = 0_usize;
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\\' {
            slashes += 1;
            continue;
        }
        let quote =
            matches!(byte, b'"' | b'u') && sign_length(text.get(at..).unwrap_or_default(), slashes).is_some();
        let found = slashes.trailing_ones();
        if quote && found <= depth {
            return at - own_slashes(found);
        }
        slashes = 0;
    }
    text.len()
}

/// Whether what begins behind this is the first word of a string, or goes on with it.
fn opens_here(before: &[u8]) -> bool {
    let word = before.iter().rev().take(65).take_while(|byte| is_word(**byte) || **byte == b'.').count();
    let (start, word) = before.split_at(before.len() - word);
    match start.last() {
        Some(b'"') => true,
        Some(b'\\') => word.starts_with(b"u0022"),
        _ => false,
    }
}

/// How long the quote is that stands here inside a string; 0 where there is none.
fn inner_quote(text: &[u8]) -> usize {
    let slashes = run(text, |byte| byte == b'\\');
    match text.get(slashes) {
        Some(b'\'') => slashes + 1,
        Some(b'"') if slashes > 0 => slashes + 1,
        _ => 0,
    }
}

fn skip_spaces(text: &[u8]) -> usize {
    run(text, |byte| byte.is_ascii_whitespace())
}
