//! A request or response head as it stood on the wire.

use std::fmt;

/// The bytes of a head, with its empty line.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Head {
    text: String,
}

impl Head {
    pub(crate) fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self { text: latin1(bytes) }
    }

    /// The same head where `new` stands for `old`.
    pub(crate) fn with(&self, old: &str, new: &str) -> Self {
        Self { text: self.text.replace(old, new) }
    }

    /// All of it, a character a byte.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The request line or the status line.
    pub(crate) fn first_line(&self) -> &str {
        self.text.split("\r\n").next().unwrap()
    }

    /// The second word of a request line.
    pub(crate) fn target(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap()
    }

    /// The second word of a status line.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        assert!(!self.is_request(), "no status line: {self:?}");
        self.target().parse().unwrap_or_else(|_| panic!("no status in {self:?}"))
    }

    /// Names and values in their order, as written but for the white space around the value.
    pub(crate) fn fields(&self) -> Vec<(&str, &str)> {
        let lines = self.text.split("\r\n").skip(1).take_while(|line| !line.is_empty());
        lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
                (name, value.trim_matches([' ', '\t']))
            })
            .collect()
    }

    /// The names in their order, as written.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.fields().into_iter().map(|(name, _)| name).collect()
    }

    /// Every value of the name, in any case, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.fields()
            .into_iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The only value of the name.
    #[track_caller]
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} stands more than once in {self:?}");
        values.first().copied()
    }

    /// Whether it has a field of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.values(name).is_empty()
    }

    pub(crate) fn is_request(&self) -> bool {
        !self.text.starts_with("HTTP/")
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.values("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Bytes as text, one character each, so that any of them can be compared and shown.
pub(crate) fn latin1(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().copied().map(char::from).collect()
}
