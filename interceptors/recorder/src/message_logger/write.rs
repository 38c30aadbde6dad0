//! JSON of what stands around a body, in half the instructions that `serde_json` takes for the same.

use serde::Serialize;

/// Members of an object, each behind a comma. What the first one's comma becomes is up to whoever wants them.
pub(super) struct Members<'a>(pub(super) &'a mut Vec<u8>);

impl Members<'_> {
    pub(super) fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        // Compilers look at many bytes at once where none of them ends the loop.
        if value.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
            self.plain(value);
        } else {
            self.0.push(b'"');
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        }
    }

    pub(super) fn text_or_null(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => {
                self.name(name);
                self.0.extend_from_slice(b"null");
            }
        }
    }

    pub(super) fn some_text(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A number or a boolean, if there is one.
    pub(super) fn some(&mut self, name: &'static str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.name(name);
            self.plain(&value);
        }
    }

    pub(super) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut Self)) {
        self.name(name);
        let start = self.0.len();
        members(self);
        match self.0.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => self.0.push(b'{'),
        }
        self.0.push(b'}');
    }

    fn plain(&mut self, value: &(impl Serialize + ?Sized)) {
        // Neither a text nor a number can fail.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct All<'a> {
        text: &'a str,
        null: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        some: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<f64>,
        inner: Inner,
    }

    #[derive(Clone, Copy, Serialize)]
    struct Inner {
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        boolean: Option<bool>,
    }

    proptest! {
        #[test]
        fn it_is_what_serde_writes(
            text in any::<String>(),
            some in prop::option::of("[a\"\\\\\n\u{7f}\u{1f}é]{0,40}"),
            number in any::<Option<f64>>(),
            inner in any::<(Option<u64>, Option<bool>)>(),
        ) {
            let inner = Inner { number: inner.0, boolean: inner.1 };
            let all = All { text: &text, null: some.as_deref(), some: some.as_deref(), number, inner };
            let mut json = Vec::new();
            let mut members = Members(&mut json);
            members.text("text", all.text);
            members.text_or_null("null", all.null);
            members.some_text("some", all.some);
            members.some("number", all.number);
            members.object("inner", |members| {
                members.some("number", inner.number);
                members.some("boolean", inner.boolean);
            });
            let serde = serde_json::to_string(&all).unwrap();
            prop_assert_eq!(String::from_utf8(json).unwrap(), format!(",{}", &serde[1..serde.len() - 1]));
        }
    }
}
