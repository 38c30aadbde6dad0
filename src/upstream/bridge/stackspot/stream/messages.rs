//! Whether an agent's messages are what is new, or all that it has said so far: most deployments send the one, some the
//! other, and none says which.

/// The messages of one answer.
#[derive(Debug, Default)]
pub(super) enum Messages {
    /// There was none.
    #[default]
    None,
    /// There was this one. It is text, either way.
    First(String),
    /// The second begins with the first, which may be chance. It is held back.
    Second(String, String),
    /// Each is new.
    Deltas,
    /// Each is all of it so far; this is the latest.
    Whole(String),
}

impl Messages {
    /// What is new in `message`. None where it contradicts what was said before.
    pub(super) fn hear(&mut self, message: &str) -> Option<String> {
        if message.is_empty() {
            return Some(String::new());
        }
        let goes_on = |before: &str| message.len() > before.len() && message.starts_with(before);
        let (next, new) = match std::mem::take(self) {
            Self::None => (Self::First(message.to_owned()), message.to_owned()),
            Self::First(first) if goes_on(&first) => (Self::Second(first, message.to_owned()), String::new()),
            Self::Second(first, second) if goes_on(&second) => {
                (Self::Whole(message.to_owned()), after(message, &first))
            }
            Self::First(_) | Self::Deltas => (Self::Deltas, message.to_owned()),
            Self::Second(_, second) => (Self::Deltas, second + message),
            Self::Whole(said) if message.starts_with(&said) => {
                (Self::Whole(message.to_owned()), after(message, &said))
            }
            Self::Whole(said) if said.starts_with(message) => (Self::Whole(said), String::new()),
            Self::Whole(_) => return None,
        };
        *self = next;
        Some(new)
    }

    /// What is still held back, now that there are no more.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Second(first, second) => after(&second, &first),
            _ => String::new(),
        }
    }
}

fn after(message: &str, said: &str) -> String {
    message.strip_prefix(said).unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(messages: &[&str], text: &[&str]) {
        let mut reader = Messages::default();
        let mut heard: Vec<_> = messages.iter().map(|message| reader.hear(message).unwrap()).collect();
        heard.push(reader.finish());
        assert_eq!(heard, text, "{messages:?}");
    }

    #[test]
    fn deltas_and_wholes_are_told_apart_once() {
        check(&["He", "llo", "llo!"], &["He", "llo", "llo!", ""]);
        check(&["He", "Hello", "Hello!", "Hello!"], &["He", "", "llo!", "", ""]);
        check(&["ha", "ha", "haha"], &["ha", "ha", "haha", ""]);
        check(&["1", "12", "3"], &["1", "", "123", ""]);
        check(&["He", "Hello"], &["He", "", "llo"]);
        check(&["", "a", "", "b"], &["", "a", "", "b", ""]);
        check(&["only"], &["only", ""]);
    }

    #[test]
    fn a_whole_that_takes_something_back_is_noticed() {
        let mut reader = Messages::default();
        for message in ["a", "ab", "abc"] {
            assert!(reader.hear(message).is_some());
        }
        assert_eq!(reader.hear("xyz"), None);
    }

    proptest::proptest! {
        #[test]
        fn all_of_it_so_far_gives_the_text_whatever_it_is(parts in proptest::collection::vec("[ab ]{1,3}", 1..6)) {
            let mut reader = Messages::default();
            let mut text = String::new();
            for count in 1..=parts.len() {
                text.push_str(&reader.hear(&parts[..count].concat()).unwrap());
            }
            text.push_str(&reader.finish());
            proptest::prop_assert_eq!(text, parts.concat());
        }
    }
}
