//! Text of the traffic, made fit for a terminal: clean, and no wider than it.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::measure;

/// What is seen of one grapheme cluster.
enum Glyph<'a> {
    /// The line ends here.
    Break,
    /// Blanks: so many cells, and a place where a row may end.
    Blank(usize),
    /// Something visible, and its cells.
    Mark(Cow<'a, str>, usize),
}

/// The widest that one cluster is let be, in cells; and the longest, in characters.
const WIDEST: usize = 8;
const LONGEST: usize = 16;

/// The grapheme clusters of a text, and where each begins.
fn clusters(text: &str) -> Clusters<'_> {
    Clusters { text, at: 0 }
}

struct Clusters<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Clusters<'a> {
    /// What has not been looked at.
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// So many bytes of it, up to a cluster's end, need not be.
    fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

impl<'a> Iterator for Clusters<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<(usize, &'a str)> {
        let at = self.at;
        let rest = &self.text[at..];
        // Nearly all text is ASCII, and nothing in ASCII joins with what is visible before it: no table is needed.
        let cluster = match rest.as_bytes() {
            [b' '..=b'~'] | [b' '..=b'~', 0..=0x7f, ..] => &rest[..1],
            _ => rest.graphemes(true).next()?,
        };
        self.at += cluster.len();
        Some((at, cluster))
    }
}

/// The visible ASCII and blanks that a text begins with, at most so many: a cell each, and nothing joins with them.
fn plain(text: &str, most: usize) -> &str {
    let run = plain_bytes(&text.as_bytes()[..most.min(text.len())]);
    let joins = text.as_bytes().get(run).is_some_and(|byte| !byte.is_ascii());
    text.get(..run - usize::from(joins && run > 0)).unwrap_or_default()
}

/// How many bytes of visible ASCII and blanks these begin with.
fn plain_bytes(bytes: &[u8]) -> usize {
    const STEP: usize = 32;
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    // Compilers look at many bytes at once where none of them ends the loop.
    let are_plain = |step: &&[u8]| step.iter().fold(true, |all, byte| all & is_plain(byte));
    let steps = bytes.chunks_exact(STEP).take_while(are_plain).count() * STEP;
    steps + bytes[steps..].iter().take_while(|byte| is_plain(byte)).count()
}

fn glyph(cluster: &str) -> Glyph<'_> {
    if let [b'!'..=b'~'] = cluster.as_bytes() {
        return Glyph::Mark(cluster.into(), 1);
    }
    let first = cluster.chars().next().unwrap_or(' ');
    match first {
        '\n' | '\u{2028}' | '\u{2029}' => return Glyph::Break,
        '\r' if cluster.len() > 1 => return Glyph::Break,
        '\t' => return Glyph::Blank(4),
        _ if cluster == " " => return Glyph::Blank(1),
        _ if is_unsafe(first) => return Glyph::Mark(stand_in(first).to_string().into(), 1),
        _ => {}
    }
    let cells = cells_of_cluster(cluster);
    if cells <= WIDEST && cluster.len() <= LONGEST {
        return Glyph::Mark(cluster.into(), cells);
    }
    // Nothing that anybody writes: marks heaped on one letter.
    let mut shown = String::new();
    for c in cluster.chars().take(LONGEST) {
        shown.push(c);
        if cells_of_cluster(&shown) > WIDEST {
            shown.pop();
            break;
        }
    }
    let cells = cells_of_cluster(&shown);
    Glyph::Mark(shown.into(), cells)
}

/// Terminals do not agree on how wide some clusters are: this is the widest that any makes of it.
fn cells_of_cluster(cluster: &str) -> usize {
    if let [b' '..=b'~'] = cluster.as_bytes() {
        return 1;
    }
    let one_by_one = cluster.chars().map(|c| c.width().unwrap_or(0)).sum();
    cluster.width().max(one_by_one)
}

/// Whether a character could do something to a terminal or to the reading of a line, other than stand in it.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What is printed in its place: `␛` for an escape.
fn stand_in(c: char) -> char {
    match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        0x7f => '\u{2421}',
        _ => '\u{fffd}',
    }
}

/// Makes the string of one JSON object safe to print: what JSON leaves as it is and a terminal would act on is
/// escaped, which changes nothing of what it says.
pub fn escape_in_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_unsafe) {
        return json.into();
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            // All of them are in strings, and in the basic plane.
            c if is_unsafe(c) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe.into()
}

/// The cells that clean text takes.
pub fn cells(text: &str) -> usize {
    clusters(text).map(|(_, cluster)| cells_of_cluster(cluster)).sum()
}

/// Text in rows of at most `width` cells, broken between words where that can be.
pub(crate) fn rows(text: &str, width: Option<usize>) -> Rows<'_> {
    Rows { rest: Some(text), width: width.map_or(usize::MAX, |width| width.max(WIDEST)) }
}

pub(crate) struct Rows<'a> {
    rest: Option<&'a str>,
    width: usize,
}

impl Iterator for Rows<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let text = self.rest?;
        let mut row = Row::default();
        let mut clusters = clusters(text);
        loop {
            let run = plain(clusters.rest(), self.width.saturating_sub(row.cells));
            row.run(run, clusters.at);
            clusters.pass(run.len());
            let Some((at, cluster)) = clusters.next() else { return self.end(row, None) };
            let behind = &text[at + cluster.len()..];
            match glyph(cluster) {
                Glyph::Break => return self.end(row, Some(behind)),
                Glyph::Blank(cells) if row.cells + cells > self.width => return self.wrap(row, behind),
                Glyph::Blank(cells) => row.blank(cells, at + cluster.len()),
                Glyph::Mark(_, cells) if row.cells > 0 && row.cells + cells > self.width => {
                    let next = row.break_between_words().unwrap_or(at);
                    return self.wrap(row, &text[next..]);
                }
                // Without a width it is not there, and could pile up unseen.
                Glyph::Mark(_, 0) => {}
                Glyph::Mark(mark, cells) => row.mark(&mark, cells),
            }
        }
    }
}

impl<'a> Rows<'a> {
    fn end(&mut self, row: Row, rest: Option<&'a str>) -> Option<String> {
        self.rest = rest;
        Some(row.finish())
    }

    /// Ends a row that is full: blanks around its end, and a line break right there, are spent on it.
    fn wrap(&mut self, row: Row, rest: &'a str) -> Option<String> {
        let rest = rest.trim_start_matches([' ', '\t']);
        let spent = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'));
        let rest = spent.unwrap_or(rest);
        let more = spent.is_some() || !rest.is_empty();
        self.end(row, more.then_some(rest))
    }
}

#[derive(Default)]
struct Row {
    shown: String,
    cells: usize,
    /// Whether it shows more than blanks.
    begun: bool,
    /// Where it may end: the length of what is shown by then, and where the text goes on.
    last_blank: Option<(usize, usize)>,
}

impl Row {
    fn blank(&mut self, cells: usize, next: usize) {
        if self.begun {
            self.last_blank = Some((self.shown.len(), next));
        }
        self.shown.extend(std::iter::repeat_n(' ', cells));
        self.cells += cells;
    }

    /// Words and blanks of ASCII that stand at `at` in the text.
    fn run(&mut self, run: &str, at: usize) {
        let Some(begins) = run.bytes().position(|byte| byte != b' ') else {
            return run.bytes().enumerate().for_each(|(blank, _)| self.blank(1, at + blank + 1));
        };
        let begins = if self.begun { 0 } else { begins };
        if let Some(blank) = run.bytes().rposition(|byte| byte == b' ').filter(|blank| *blank >= begins) {
            self.last_blank = Some((self.shown.len() + blank, at + blank + 1));
        }
        self.mark(run, run.len());
    }

    fn mark(&mut self, mark: &str, cells: usize) {
        self.shown.push_str(mark);
        self.cells += cells;
        self.begun = self.begun || !mark.trim().is_empty();
    }

    fn break_between_words(&mut self) -> Option<usize> {
        let (length, next) = self.last_blank?;
        self.shown.truncate(length);
        Some(next)
    }

    fn finish(mut self) -> String {
        self.shown.truncate(self.shown.trim_end().len());
        self.shown
    }
}

/// The text in one line of at most `width` cells, its end cut off with `…` if need be.
pub fn line(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let mut row = Row::default();
    // How much of it leaves room for the `…`.
    let mut room = 0;
    let mut clusters = clusters(text);
    loop {
        let run = plain(clusters.rest(), width.saturating_sub(row.cells + 1));
        if !run.is_empty() {
            row.mark(run, run.len());
            room = row.shown.len();
            clusters.pass(run.len());
        }
        let Some((_, cluster)) = clusters.next() else { return row.finish() };
        let (mark, cells) = match glyph(cluster) {
            Glyph::Break => (" ".into(), 1),
            Glyph::Blank(1) => (" ".into(), 1),
            Glyph::Blank(cells) => (" ".repeat(cells).into(), cells),
            Glyph::Mark(_, 0) => continue,
            Glyph::Mark(mark, cells) => (mark, cells),
        };
        if row.cells + cells > width {
            row.shown.truncate(room);
            return row.finish() + "…";
        }
        row.mark(&mark, cells);
        if row.cells < width {
            room = row.shown.len();
        }
    }
}

/// The first rows of a text that are not empty, the last with a `…` if there are more.
pub(crate) fn first_rows(text: &str, width: Option<usize>, count: usize) -> Vec<String> {
    let mut all = rows(text, width).filter(|row| !row.is_empty());
    let mut first: Vec<String> = all.by_ref().take(count).collect();
    if all.next().is_some()
        && let Some(last) = first.last_mut()
        && !last.ends_with('…')
    {
        last.push_str(" …");
        *last = line(last, width);
    }
    first
}

/// The first `count` rows of a text that goes on for `beyond` bytes, and how much more there is, in words.
pub(crate) fn long_rows(
    text: &str,
    beyond: usize,
    width: Option<usize>,
    count: usize,
) -> (Vec<String>, Option<String>) {
    let mut rows = rows(text, width).skip_while(String::is_empty);
    let first: Vec<String> = rows.by_ref().take(count).collect();
    let more = match rows.count() {
        _ if beyond > 0 => {
            let shown: usize = first.iter().map(String::len).sum();
            let unseen = u64::try_from((text.len() + beyond).saturating_sub(shown)).unwrap_or(u64::MAX);
            Some(format!("{} more", measure::bytes(unseen)))
        }
        0 => None,
        1 => Some("1 more line".to_owned()),
        lines => Some(format!("{lines} more lines")),
    };
    (first, more)
}

/// At most `limit` characters of a text, each run of white space a single blank.
pub(crate) fn squeeze(text: &str, limit: usize) -> String {
    let mut squeezed = String::with_capacity(text.len().min(limit) + 1);
    let (words, rest) = squeezed_already(text, limit);
    squeezed.push_str(words);
    let mut room = if words.is_empty() { limit } else { limit - words.len() - 1 };
    for word in rest.split_whitespace() {
        if room == 0 {
            squeezed.push('…');
            break;
        }
        if !squeezed.is_empty() {
            squeezed.push(' ');
        }
        let word = start(word, room);
        room = room.saturating_sub(word.chars().count() + 1);
        squeezed.push_str(&word);
    }
    squeezed
}

/// Words of ASCII with single blanks between them that a text begins with, fewer than `limit` characters, and what
/// follows behind the blank after them.
fn squeezed_already(text: &str, limit: usize) -> (&str, &str) {
    let plain = &text.as_bytes()[..limit.min(text.len())];
    let plain = &plain[..plain_bytes(plain)];
    let behind = plain.get(1..).unwrap_or_default();
    let are_blanks = |(one, next): (&u8, &u8)| (*one == b' ') & (*next == b' ');
    let run = if plain.first() == Some(&b' ') {
        0
    } else if plain.iter().zip(behind).fold(false, |any, pair| any | are_blanks(pair)) {
        plain.iter().zip(behind).take_while(|pair| !are_blanks(*pair)).count() + 1
    } else {
        plain.len()
    };
    text[..run].rsplit_once(' ').map_or(("", text), |(words, _)| (words, &text[words.len() + 1..]))
}

/// The first `limit` characters of a text, and a `…` if there are more.
pub(crate) fn start(text: &str, limit: usize) -> Cow<'_, str> {
    match end_of_first(text, limit) {
        Some(at) => [&text[..at], "…"].concat().into(),
        None => text.into(),
    }
}

/// Where the first `limit` characters of a text end, if there are more.
pub(crate) fn end_of_first(text: &str, limit: usize) -> Option<usize> {
    // No more characters than bytes.
    let first = text.as_bytes().get(..limit).filter(|first| first.len() < text.len())?;
    if first.is_ascii() { Some(limit) } else { text.char_indices().nth(limit).map(|(at, _)| at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cluster by cluster.
    fn rows_one_by_one(text: &str, width: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            let mut rows = Rows { rest, width };
            let mut row = Row::default();
            let mut clusters = clusters(text);
            let ended = loop {
                let Some((at, cluster)) = clusters.next() else { break rows.end(row, None) };
                let behind = &text[at + cluster.len()..];
                match glyph(cluster) {
                    Glyph::Break => break rows.end(row, Some(behind)),
                    Glyph::Blank(cells) if row.cells + cells > width => break rows.wrap(row, behind),
                    Glyph::Blank(cells) => row.blank(cells, at + cluster.len()),
                    Glyph::Mark(_, cells) if row.cells > 0 && row.cells + cells > width => {
                        let next = row.break_between_words().unwrap_or(at);
                        break rows.wrap(row, &text[next..]);
                    }
                    Glyph::Mark(_, 0) => {}
                    Glyph::Mark(mark, cells) => row.mark(&mark, cells),
                }
            };
            all.extend(ended);
            rest = rows.rest;
        }
        all
    }

    fn line_one_by_one(text: &str, width: usize) -> String {
        let (mut row, mut room) = (Row::default(), 0);
        for (_, cluster) in clusters(text) {
            let (mark, cells) = match glyph(cluster) {
                Glyph::Break => (" ".into(), 1),
                Glyph::Blank(cells) => (" ".repeat(cells).into(), cells),
                Glyph::Mark(_, 0) => continue,
                Glyph::Mark(mark, cells) => (mark, cells),
            };
            if row.cells + cells > width {
                row.shown.truncate(room);
                return row.finish() + "…";
            }
            row.mark(&mark, cells);
            if row.cells < width {
                room = row.shown.len();
            }
        }
        row.finish()
    }

    fn squeeze_word_by_word(text: &str, limit: usize) -> String {
        let mut squeezed = String::new();
        let mut room = limit;
        for (index, word) in text.split_whitespace().enumerate() {
            if room == 0 {
                squeezed.push('…');
                break;
            }
            if index > 0 {
                squeezed.push(' ');
            }
            let word = start(word, room);
            room = room.saturating_sub(word.chars().count() + 1);
            squeezed.push_str(&word);
        }
        squeezed
    }

    proptest! {
        #[test]
        fn rows_are_those_that_clusters_one_by_one_make(
            text in "[ab  \t\r\n\u{e9}\u{301}\u{4e16}\u{1b}]{0,40}",
            width in prop_oneof![8..20_usize, Just(usize::MAX)],
        ) {
            let rows: Vec<String> = Rows { rest: Some(&text), width }.collect();
            prop_assert_eq!(rows, rows_one_by_one(&text, width));
        }

        #[test]
        fn a_line_is_that_which_clusters_one_by_one_make(
            text in "[ab  \t\n\u{e9}\u{301}\u{4e16}\u{1b}]{0,30}",
            width in prop_oneof![0..20_usize, Just(usize::MAX)],
        ) {
            prop_assert_eq!(line(&text, Some(width)), line_one_by_one(&text, width));
        }

        #[test]
        fn the_first_characters_end_where_they_do_one_by_one(
            text in "[ab\u{e9}]{0,12}|[ab]{0,12}",
            limit in 0..14_usize,
        ) {
            let end = text.char_indices().nth(limit).map(|(at, _)| at);
            prop_assert_eq!(end_of_first(&text, limit), end);
        }

        #[test]
        fn plain_bytes_are_those_one_by_one(
            bytes in "[ ~a]{0,90}[\u{7f}\t\u{1f}a\u{80}]{0,2}[a ]{0,40}",
        ) {
            let run = bytes.bytes().take_while(|byte| matches!(byte, b' '..=b'~')).count();
            prop_assert_eq!(plain_bytes(bytes.as_bytes()), run);
        }

        #[test]
        fn a_squeezed_text_is_that_of_its_words(
            text in "[ab  \t\n\u{e9}\u{a0}]{0,30}|([abcde]{1,4} {1,2}){0,30}",
            limit in 0..100_usize,
        ) {
            prop_assert_eq!(squeeze(&text, limit), squeeze_word_by_word(&text, limit));
        }
    }
}
