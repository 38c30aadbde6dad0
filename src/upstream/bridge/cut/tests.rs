use proptest::prelude::*;

use super::*;
use crate::upstream::bridge::event::{Answer, Said};

/// What is left of a text that comes in these pieces, and why it ends there.
fn cut(stops: &[&str], bytes: Option<u64>, pieces: &[&str]) -> (String, Option<Stop>) {
    let sequences = stops.iter().map(|stop| Sequence::new(stop)).collect();
    let mut cut = Cut { sequences, left: bytes, open: Open::Nothing, held: String::new(), over: false };
    let events = std::iter::once(Event::Begin(Begin::Text))
        .chain(pieces.iter().map(|piece| Event::Text((*piece).to_owned())))
        .chain([Event::End]);
    let mut answer = Answer::default();
    let mut over = None;
    let (mut begun, mut ended) = (0, 0);
    for event in events {
        let heard = cut.hear(event);
        for event in &heard.events {
            begun += u32::from(matches!(event, Event::Begin(_)));
            ended += u32::from(matches!(event, Event::End));
            answer.hear(event);
        }
        assert!(over.is_none() || heard.events.is_empty() && heard.over.is_none(), "all is said");
        over = over.or(heard.over);
    }
    assert_eq!(begun, ended, "each block that begins ends");
    (answer.text(), over)
}

#[test]
fn an_answer_ends_before_its_stop_sequence() {
    let stop = |text: &str| Some(Stop::Sequence(text.to_owned()));
    assert_eq!(cut(&["STOP"], None, &["one ST", "OP two"]), ("one ".to_owned(), stop("STOP")));
    assert_eq!(cut(&["STOP"], None, &["one S", "TO"]), ("one STO".to_owned(), None));
    assert_eq!(cut(&["\n\n"], None, &["one\n", "\n"]), ("one".to_owned(), stop("\n\n")));
    assert_eq!(cut(&["STOP"], None, &["STOP"]), (String::new(), stop("STOP")));
    assert_eq!(cut(&["aab"], None, &["aa", "ab", "c"]), ("a".to_owned(), stop("aab")));
    assert_eq!(cut(&["é", "ée"], None, &["café"]), ("caf".to_owned(), stop("é")));
    assert_eq!(cut(&["b", "ab"], None, &["a", "b"]), (String::new(), stop("ab")), "the longest of several");
    assert_eq!(cut(&[], None, &["a", "b"]), ("ab".to_owned(), None));
}

#[test]
fn an_answer_ends_where_it_is_long_enough() {
    assert_eq!(
        cut(&[], Some(4), &["ab", "cd"]),
        ("abcd".to_owned(), None),
        "as long as may be is not too long"
    );
    assert_eq!(cut(&[], Some(4), &["ab", "cde", "f"]), ("abcd".to_owned(), Some(Stop::MaxTokens)));
    assert_eq!(cut(&[], Some(2), &["aé"]), ("a".to_owned(), Some(Stop::MaxTokens)), "between letters");
    assert_eq!(cut(&["cd"], Some(2), &["abc"]), ("ab".to_owned(), Some(Stop::MaxTokens)));
    assert_eq!(cut(&["cd"], Some(2), &["abcd"]), ("ab".to_owned(), Some(Stop::Sequence("cd".to_owned()))));
}

#[test]
fn a_call_is_never_cut_in_half() {
    let mut cut = Cut { sequences: vec![Sequence::new("a")], left: Some(1), ..nothing() };
    let tool = || Event::Begin(Begin::Tool { id: "1".to_owned(), name: "t".to_owned() });
    let mut answer = Answer::default();
    for event in [tool(), Event::Input(r#"{"a":1}"#.to_owned()), Event::End] {
        let heard = cut.hear(event);
        assert_eq!(heard.over, None);
        heard.events.iter().for_each(|event| answer.hear(event));
    }
    let input = r#"{"a":1}"#.to_owned();
    assert_eq!(answer.blocks, [Said::Tool { id: "1".to_owned(), name: "t".to_owned(), input }]);
    let heard = cut.hear(tool());
    assert_eq!((heard.events.len(), heard.over), (0, Some(Stop::MaxTokens)));
}

fn nothing() -> Cut {
    Cut { sequences: Vec::new(), left: None, open: Open::Nothing, held: String::new(), over: false }
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        stops in prop::collection::vec("[abé]{1,4}", 0..3),
        text in "[abcé]{0,24}",
        bytes in prop::option::of(0_u64..30),
        at in prop::collection::vec(0_usize..40, 0..6),
    ) {
        let stops: Vec<_> = stops.iter().map(String::as_str).collect();
        let mut at: Vec<_> = at.into_iter().map(|at| text.floor_char_boundary(at)).chain([0, text.len()]).collect();
        at.sort_unstable();
        let pieces: Vec<_> = at.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        let whole = cut(&stops, bytes, &[&text]);
        prop_assert_eq!(&cut(&stops, bytes, &pieces), &whole);
        let first = stops.iter().filter_map(|stop| text.find(stop).map(|at| at + stop.len())).min();
        if bytes.is_none() {
            prop_assert_eq!(first.is_some(), whole.1.is_some());
            prop_assert!(text.starts_with(&whole.0));
            prop_assert!(stops.iter().all(|stop| !whole.0.contains(stop)));
        }
    }

    #[test]
    fn what_is_held_may_be_the_beginning_of_a_sequence(stop in "[ab]{1,5}", text in "[abc]{0,20}") {
        let mut cut = Cut { sequences: vec![Sequence::new(&stop)], ..nothing() };
        cut.hear(Event::Begin(Begin::Text));
        for c in text.chars() {
            cut.hear(Event::Text(c.to_string()));
            prop_assert!(stop.starts_with(&cut.held));
        }
    }
}
