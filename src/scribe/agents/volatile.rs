//! A system prompt without what says when and where: what is left says who.
//!
//! Masked are dates and times, numbers, versions, hashes and random ids, paths, queries of URLs, addresses, lines and
//! elements that describe a machine or a repository; white space counts once. Words stay, so that two agents whose
//! prompts differ in a word are two; agents that differ in numbers alone are one.

/// Stands for what is masked, and counts as a number where it is found.
const MASK: char = '\u{1a}';

/// So much of a prompt is looked at, bytes.
const MOST: usize = 256 * 1024;

/// An email address has no more before its `@`, bytes.
const MAILBOX: usize = 64;
/// Nor its host.
const HOST: usize = 255;

/// What may stand between two numbers that are one: a date, a time, a version, an address.
const JOINTS: [char; 7] = ['.', ',', ':', '/', '+', '-', '_'];

/// What ends a path or a URL, besides white space.
const ENDS: [char; 16] = ['"', '\'', '`', '<', '>', '(', ')', '[', ']', '{', '}', '|', ',', ';', '*', '\\'];

/// Elements that describe where an agent runs: Claude Code's and OpenCode's `env` and `files`, Codex's
/// `environment_context`, the `environment_details` of Cline and Roo Code, Cursor's `user_info` and `project_layout`.
const ELEMENTS: [&str; 12] = [
    "env",
    "environment",
    "environment_context",
    "environment_details",
    "environment_info",
    "system_information",
    "user_info",
    "project_layout",
    "files",
    "git_status",
    "current_date",
    "current_time",
];

/// Lines `key: value` that describe where an agent runs.
const FACTS: [&str; 36] = [
    "additional working directories",
    "current branch",
    "current date",
    "current date and time",
    "current datetime",
    "current directory",
    "current time",
    "current timezone",
    "current working directory",
    "cwd",
    "default branch",
    "git branch",
    "git user",
    "home directory",
    "hostname",
    "is a git repository",
    "is directory a git repo",
    "is git repo",
    "is git repository",
    "is this a git repository",
    "kernel",
    "local time",
    "main branch",
    "main branch (you will usually use this for prs)",
    "os version",
    "primary working directory",
    "project root",
    "system time",
    "time zone",
    "timezone",
    "today's date",
    "todays date",
    "working directory",
    "workspace folder",
    "workspace path",
    "workspace root",
];

/// Lines that do so only with one of these values.
const MACHINES: [&str; 7] =
    ["platform", "os", "operating system", "shell", "default shell", "arch", "architecture"];
const MACHINE: [&str; 22] = [
    "aarch64",
    "amd64",
    "arm64",
    "bash",
    "cmd",
    "darwin",
    "fish",
    "freebsd",
    "linux",
    "mac",
    "macos",
    "powershell",
    "pwsh",
    "sh",
    "ubuntu",
    "unknown",
    "win32",
    "windows",
    "wsl",
    "x64",
    "x86_64",
    "zsh",
];

/// Behind the branch, Claude Code tells these of the repository, up to an empty line.
const OF_REPOSITORY: [&str; 2] = ["status", "recent commits"];

/// The name of a fact and its colon are no longer, bytes.
const KEY: usize = 96;
/// A fact is no longer, bytes.
const LINE: usize = 300;

/// How Claude Code tells the model which one it is, which the user changes at will.
const POWERED: &str = "You are powered by the model";

/// Where paths begin that are one machine's. Of other words behind a slash, many are commands and routes.
const ROOTS: [&str; 32] = [
    "Applications",
    "Library",
    "Users",
    "Volumes",
    "app",
    "build",
    "builds",
    "c",
    "code",
    "content",
    "data",
    "etc",
    "github",
    "home",
    "media",
    "mnt",
    "nix",
    "opt",
    "private",
    "project",
    "projects",
    "repo",
    "repos",
    "root",
    "src",
    "srv",
    "testbed",
    "tmp",
    "usr",
    "var",
    "work",
    "workspace",
];

/// Those that are no command where they stand alone.
const ALONE: [&str; 6] = ["app", "repo", "root", "testbed", "tmp", "workspace"];

/// What of this prompt does not change from one day and place to another.
pub(super) fn masked(prompt: &str) -> String {
    let prompt = prompt.get(..prompt.floor_char_boundary(MOST)).unwrap_or_default();
    let text = without_attribution(prompt.trim_start());
    let mut masker = Masker {
        text,
        at: 0,
        out: String::with_capacity(text.len()),
        before: None,
        in_url: false,
        in_repository: false,
        unclosed: [false; ELEMENTS.len()],
    };
    while masker.step().is_some() {}
    masker.out.truncate(masker.out.trim_end().len());
    without_dates(&masker.out)
}

/// Takes off what Claude Code puts first for Anthropic's billing: `name=value;` of its version and entry point.
fn without_attribution(mut prompt: &str) -> &str {
    while let Some(mut rest) = prompt.strip_prefix("x-anthropic-billing-header:") {
        loop {
            let pair = rest.trim_start_matches(' ');
            let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
            let Some(value) = pair.trim_start_matches(is_name).strip_prefix('=') else { break };
            let behind = value.trim_start_matches(|sign: char| sign != ';' && !sign.is_whitespace());
            rest = behind.strip_prefix(';').unwrap_or(behind);
        }
        prompt = rest.trim_start();
    }
    prompt
}

/// Reads a prompt once, from its beginning to its end.
struct Masker<'a> {
    text: &'a str,
    at: usize,
    out: String,
    /// What stands before `at`.
    before: Option<char>,
    in_url: bool,
    /// Whether a line has told of a branch.
    in_repository: bool,
    /// Elements that are not closed behind here.
    unclosed: [bool; ELEMENTS.len()],
}

impl<'a> Masker<'a> {
    /// Takes one thing more; `None` at the end.
    fn step(&mut self) -> Option<()> {
        let rest = self.rest();
        let next = rest.chars().next()?;
        if (self.out.is_empty() || self.out.ends_with('\n')) && self.line().is_some() {
            return Some(());
        }
        if next == '<' && self.element().is_some() {
            return Some(());
        }
        if next.is_whitespace() {
            self.space();
        } else if is_word(next) && !self.before.is_some_and(is_word) {
            self.word();
        } else if next == MASK {
            self.mask(MASK.len_utf8());
        } else if let Some(length) = self.path() {
            self.mask(length);
        } else if rest.starts_with("://") && self.before.is_some_and(is_word) {
            self.copy("://".len());
            self.in_url = true;
        } else if self.in_url && matches!(next, '?' | '#') {
            self.skip(end_of(rest));
        } else {
            self.in_url &= !ENDS.contains(&next);
            self.copy(next.len_utf8());
        }
        Some(())
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Leaves out what follows.
    fn skip(&mut self, length: usize) {
        let skipped = self.rest().get(..length).unwrap_or_default();
        self.before = skipped.chars().next_back().or(self.before);
        self.at += length;
    }

    fn copy(&mut self, length: usize) {
        let text = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.out.push_str(text);
        self.skip(length);
    }

    fn mask(&mut self, length: usize) {
        push_mask(&mut self.out);
        self.skip(length);
    }

    /// White space as a blank, a line break or an empty line.
    fn space(&mut self) {
        let rest = self.rest();
        let length = rest.len() - rest.trim_start().len();
        let breaks = rest.get(..length).unwrap_or_default().matches('\n').count();
        if !self.out.is_empty() {
            self.out.push_str(match breaks {
                0 => " ",
                1 => "\n",
                _ => "\n\n",
            });
        }
        self.in_url = false;
        self.skip(length);
    }

    /// A line that describes where the agent runs, from its first word on.
    fn line(&mut self) -> Option<()> {
        let rest = self.rest();
        let line = rest.get(..rest.find('\n').unwrap_or(rest.len()))?;
        let bullet = line.len() - line.trim_start_matches(is_ornament).len();
        if line.get(bullet..)?.starts_with(POWERED) && line.len() <= LINE {
            return self.fact(bullet + POWERED.len(), line.len());
        }
        let (key, value) = line.get(..line.floor_char_boundary(KEY))?.split_once(':')?;
        let head = key.len() + 1;
        let key = key.trim_matches(is_ornament).to_ascii_lowercase().replace('’', "'");
        if self.in_repository && OF_REPOSITORY.contains(&&*key) {
            let lines = rest.split_inclusive('\n').take_while(|line| !line.trim().is_empty());
            let block = rest.get(..lines.map(str::len).sum())?.trim_end().len();
            return self.fact(head, block);
        }
        let value = value.trim_start_matches(is_ornament);
        let value = value.split(|sign: char| !is_word(sign) && sign != '_').next()?;
        let is_machine = MACHINES.contains(&&*key) && MACHINE.contains(&&*value.to_ascii_lowercase());
        if !is_machine && !FACTS.contains(&&*key) {
            return None;
        }
        // What follows in another sentence is no part of it.
        let value = line.get(head..)?.trim_end();
        let length = value.find(". ").unwrap_or(value.len());
        if length > LINE {
            return None;
        }
        self.in_repository |= key == "current branch";
        self.fact(head, head + length)
    }

    /// Takes `length` bytes, of which the first `head` are kept.
    fn fact(&mut self, head: usize, length: usize) -> Option<()> {
        let text = self.text.get(self.at..self.at + head)?;
        for word in text.split_whitespace() {
            self.out.push_str(word);
            self.out.push(' ');
        }
        self.out.push(MASK);
        self.skip(length);
        Some(())
    }

    /// An element that describes where the agent runs, with all that is in it.
    fn element(&mut self) -> Option<()> {
        let rest = self.text.get(self.at + 1..)?;
        let named = |name: &str| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('>'));
        let (at, name) = ELEMENTS.iter().enumerate().find(|(_, name)| named(name))?;
        let unclosed = self.unclosed.get_mut(at).filter(|unclosed| !**unclosed)?;
        let close = format!("</{name}>");
        let Some(end) = rest.find(&close) else {
            *unclosed = true;
            return None;
        };
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        self.out.push(MASK);
        self.out.push_str(&close);
        self.skip(1 + end + close.len());
        Some(())
    }

    /// Letters and digits, and what is made of them.
    fn word(&mut self) {
        let rest = self.rest();
        let length = rest.find(|sign| !is_word(sign)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        let is_file = word == "file" && behind.starts_with("://");
        let is_drive = length == 1
            && (behind.starts_with(":\\") || behind.starts_with(":/") && !behind.starts_with("://"));
        let whole = if is_file || is_drive && word.starts_with(|sign: char| sign.is_ascii_alphabetic()) {
            Some(end_of_path(rest, is_drive))
        } else {
            let mail = if self.in_url { None } else { mail(rest) };
            mail.or_else(|| uuid(rest)).or_else(|| colons(rest))
        };
        if let Some(length) = whole {
            return self.mask(length);
        }
        if is_volatile(word) {
            return self.mask(length);
        }
        let mut word = word.to_owned();
        while let Some(digit) = word.find(is_digit) {
            let tail = word.split_off(digit);
            self.out.push_str(&word);
            push_mask(&mut self.out);
            tail.trim_start_matches(is_digit).clone_into(&mut word);
        }
        self.out.push_str(&word);
        self.skip(length);
    }

    /// The length of a path that begins here, without a drive.
    fn path(&self) -> Option<usize> {
        let may_begin = self.before.is_none_or(|before| {
            before.is_whitespace() || matches!(before, '=' | ':') || ENDS.contains(&before) && before != '\\'
        });
        let rest = self.rest();
        if self.in_url || !may_begin {
            return None;
        }
        if rest.starts_with("~/") {
            return Some(end_of_path(rest, false));
        }
        let path = rest.strip_prefix('/')?;
        let root = path.split(|sign: char| !sign.is_ascii_alphanumeric()).next()?;
        let deeper = path.strip_prefix(root)?.strip_prefix('/');
        let is_deep = deeper.is_some_and(|deeper| deeper.starts_with(|sign| !sign_ends(sign) && sign != '.'));
        let is_whole =
            path.strip_prefix(root)?.chars().next().is_none_or(|sign| sign_ends(sign) || sign == '/');
        let is_path = ROOTS.contains(&root) && (is_deep || is_whole && ALONE.contains(&root));
        is_path.then(|| end_of_path(rest, false))
    }
}

fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == MASK
}

fn is_digit(sign: char) -> bool {
    sign.is_ascii_digit() || sign == MASK
}

/// What people put around the name of a fact.
fn is_ornament(sign: char) -> bool {
    matches!(sign, ' ' | '\t' | '\r' | '-' | '*' | '•' | '_' | '`' | '"' | '#')
}

fn sign_ends(sign: char) -> bool {
    sign.is_whitespace() || ENDS.contains(&sign)
}

/// Where a path or a URL ends.
fn end_of(rest: &str) -> usize {
    rest.find(sign_ends).unwrap_or(rest.len())
}

/// Where a path ends, without what ends the sentence.
fn end_of_path(rest: &str, has_drive: bool) -> usize {
    let ends = |sign: char| sign_ends(sign) && !(has_drive && sign == '\\');
    let path = rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or_default();
    path.trim_end_matches(['.', ':', '!', '?']).len().max(1)
}

/// Adds the mask, unless it goes on from one.
fn push_mask(out: &mut String) {
    let mut last = out.chars().rev();
    match (last.next(), last.next()) {
        (Some(MASK), _) => {}
        (Some(joint), Some(MASK)) if JOINTS.contains(&joint) => drop(out.pop()),
        _ => out.push(MASK),
    }
}

/// Whether a word is a number, with or without its ending, a time, a hash or a random id.
fn is_volatile(word: &str) -> bool {
    let ending = word.trim_start_matches(is_digit);
    if ending.len() < word.len() {
        let is_time = ending.strip_prefix('T').is_some_and(|rest| {
            let zone = rest.trim_start_matches(is_digit);
            zone.len() < rest.len() && matches!(zone, "" | "Z")
        });
        if is_time || matches!(ending, "" | "st" | "nd" | "rd" | "th" | "Z") {
            return true;
        }
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if word.len() < 7 || digits == 0 || word.contains(MASK) {
        return false;
    }
    if word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let pairs = word.bytes().zip(word.bytes().skip(1));
    let changes = pairs.filter(|(one, next)| one.is_ascii_digit() != next.is_ascii_digit()).count();
    word.len() >= 16 && changes >= 4
}

/// The length of an email address.
fn mail(rest: &str) -> Option<usize> {
    let of_box = |byte: &u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(byte);
    let mailbox = rest.bytes().take(MAILBOX + 1).take_while(|byte| of_box(byte)).count();
    let host = rest.get(mailbox..)?.strip_prefix('@')?;
    let of_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let length = host.bytes().take(HOST).take_while(of_host).count();
    let host = host.get(..length)?.trim_end_matches(['.', '-']);
    host.contains('.').then_some(mailbox + 1 + host.len())
}

/// The length of a UUID.
fn uuid(rest: &str) -> Option<usize> {
    let text = rest.get(..36)?;
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let ends = rest.get(36..)?.chars().next().is_none_or(|sign| !is_word(sign));
    (ends && text.bytes().enumerate().all(fits)).then_some(36)
}

/// The length of an address of IPv6 or of a network card.
fn colons(rest: &str) -> Option<usize> {
    let most = rest.bytes().take(46).take_while(|byte| byte.is_ascii_hexdigit() || *byte == b':').count();
    let text = rest.get(..most)?.trim_end_matches(':');
    let groups = text.split(':');
    let count = groups.clone().count();
    let is_card = count == 6 && groups.clone().all(|group| group.len() == 2);
    let is_six = groups.clone().all(|group| group.len() <= 4) && (count == 8 || text.contains("::"));
    let ends = rest.get(text.len()..)?.chars().next().is_none_or(|sign| !is_word(sign));
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    (count > 2 && (is_card || is_six) && ends && has_digit).then_some(text.len())
}

/// Names of days and months, and what goes with the time of day, as they stand beside numbers.
const DATES: [&str; 60] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Sept",
    "Oct",
    "Nov",
    "Dec",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Mon",
    "Tue",
    "Tues",
    "Wed",
    "Thu",
    "Thur",
    "Thurs",
    "Fri",
    "Sat",
    "Sun",
    "AM",
    "PM",
    "am",
    "pm",
    "UTC",
    "GMT",
    "CET",
    "CEST",
    "EET",
    "EST",
    "EDT",
    "CST",
    "CDT",
    "MST",
    "MDT",
    "PST",
    "PDT",
    "IST",
    "JST",
];

/// A stretch of masks and names of days and months.
#[derive(Clone, Copy)]
struct Stretch {
    start: usize,
    end: usize,
    has_mask: bool,
    has_name: bool,
}

/// Masks the names of days and months beside what is masked.
fn without_dates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut stretch: Option<Stretch> = None;
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let start = at;
        let length = match next {
            MASK => next.len_utf8(),
            _ if next.is_ascii_alphabetic() => word_at(text, at),
            _ => {
                at += next.len_utf8();
                continue;
            }
        };
        at += length;
        let is_mask = next == MASK;
        // A number that begins a word is a part of it.
        let behind = at + word_at(text, at);
        let is_one =
            if is_mask { behind == at || is_date(text, at, behind) } else { is_date(text, start, at) };
        if !is_one {
            continue;
        }
        let found = Stretch { start, end: at, has_mask: is_mask, has_name: !is_mask };
        stretch = Some(match stretch {
            Some(earlier) if is_joint(text, earlier.end, start) => Stretch {
                start: earlier.start,
                end: at,
                has_mask: earlier.has_mask || is_mask,
                has_name: earlier.has_name || !is_mask,
            },
            Some(earlier) => {
                flush(text, earlier, &mut copied, &mut out);
                found
            }
            None => found,
        });
    }
    if let Some(last) = stretch {
        flush(text, last, &mut copied, &mut out);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

fn flush(text: &str, stretch: Stretch, copied: &mut usize, out: &mut String) {
    let Stretch { start, end, has_mask, has_name } = stretch;
    out.push_str(text.get(*copied..start).unwrap_or_default());
    let is_today = has_name && (out.ends_with("Today is ") || out.ends_with("today is "));
    if has_name && has_mask || is_today {
        out.push(MASK);
    } else {
        out.push_str(text.get(start..end).unwrap_or_default());
    }
    *copied = end;
    // A number that begins a word goes on from it, as it would have from another number.
    let rest = text.get(end..).unwrap_or_default();
    let number = rest.strip_prefix(JOINTS).unwrap_or(rest);
    if out.ends_with(MASK) && number.starts_with(MASK) {
        *copied += rest.len() - number.len() + MASK.len_utf8();
    }
}

/// The length of the word that begins here.
fn word_at(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    rest.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(rest.len())
}

/// Whether this is the name of a day or a month, and no part of another word.
fn is_date(text: &str, start: usize, end: usize) -> bool {
    let is_part = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let behind = text.get(end..).and_then(|text| text.chars().next());
    text.get(start..end).is_some_and(|word| DATES.contains(&word))
        && !is_part(text.get(..start).and_then(|text| text.chars().next_back()))
        && !is_part(behind)
        && behind != Some(MASK)
}

/// Whether what stands between two of them makes them one. Behind a number, a full stop and a blank end a sentence.
fn is_joint(text: &str, end: usize, start: usize) -> bool {
    let gap = text.get(end..start).unwrap_or_default();
    let is_stop = gap == ". " && text.get(..end).is_some_and(|text| text.ends_with(MASK));
    !is_stop && gap.len() <= 2 && gap.chars().all(|sign| matches!(sign, ' ' | '(') || JOINTS.contains(&sign))
}
