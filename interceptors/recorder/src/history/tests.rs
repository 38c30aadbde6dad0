use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use perimeter_interceptor::{CallId, Session};

use super::*;

fn session() -> Session {
    Session::new("s")
}

/// A call with this body, as it is told.
pub(crate) fn call_in(session: Session, body: &str) -> Call {
    let mut call = Call::new(CallId(0), "openai_chat", session.into());
    let messages = Outline::of(body).unwrap_or_default().messages;
    let prefix = |message: &Range<usize>| {
        Prefix::new(message.end, FixedState::default().hash_one(&body[..message.end]))
    };
    call.prefixes = messages.iter().map(prefix).collect();
    call.body = body.to_owned().into();
    call
}

fn call(body: &str) -> Call {
    call_in(session(), body)
}

fn message(number: usize) -> String {
    format!("{{\"role\":\"user\",\"content\":\"{number} {}\"}}", "x".repeat(STRETCH))
}

/// A request of so many messages, and what stands behind the last.
fn request(count: usize, end: &str) -> String {
    let messages: Vec<_> = (0..count).map(message).collect();
    format!("{{\"model\":\"m\",\"messages\":[ {}{end}],\"tools\":[]}}", messages.join(" , "))
}

fn remembering(body: &str) -> Histories {
    let mut histories = Histories::default();
    let call = call(body);
    let read = histories.cut(&call, usize::MAX).unwrap();
    histories.remember(&read, &[]);
    histories
}

#[test]
fn what_an_earlier_request_had_is_cut_out_and_the_rest_is_json() {
    let mut histories = remembering(&request(3, ""));
    for (count, left) in [(3, 0), (5, 2), (7, 2), (2, 0), (3, 1)] {
        let call = call(&request(count, ""));
        let read = histories.cut(&call, usize::MAX).unwrap();
        let rest: serde_json::Value = serde_json::from_str(&read.rest).unwrap();
        let messages = rest["messages"].as_array().unwrap();
        assert_eq!((read.messages, messages.len()), (count - left, left));
        assert_eq!(
            messages.first().map(ToString::to_string),
            (left > 0).then(|| {
                let whole: serde_json::Value = serde_json::from_str(&message(count - left)).unwrap();
                whole.to_string()
            })
        );
        histories.remember(&read, &[]);
    }
}

#[test]
fn messages_are_known_by_the_prefixes_that_end_with_them() {
    let body = request(2, "");
    let end = body.find(&message(1)).unwrap() + message(1).len();
    let mut told = call(&body);
    let mut histories = Histories::default();
    for (prefixes, messages) in [
        (vec![], 0),
        (vec![Prefix::new(end, 7)], 0),
        (vec![Prefix::new(end - 1, 6), Prefix::new(end, 7)], 2),
        (vec![Prefix::new(end, 8)], 0),
        (vec![Prefix::new(end, 8)], 2),
    ] {
        told.prefixes = prefixes.into();
        let read = histories.cut(&told, usize::MAX).unwrap();
        assert_eq!(read.messages, messages, "{:?}", told.prefixes);
        histories.remember(&read, &[]);
    }
}

#[test]
fn no_more_is_cut_out_than_is_asked_for_and_nothing_of_another_line_of_talk() {
    let body = request(4, "");
    let mut histories = remembering(&body);
    assert_eq!(histories.cut(&call(&body), 2).unwrap().messages, 2);
    let mut beside = session();
    beside.thread = 1;
    assert_eq!(histories.cut(&call_in(beside, &body), usize::MAX).unwrap().messages, 0);
}

#[test]
fn what_is_no_json_is_none_without_what_is_known_either() {
    let mut histories = remembering(&request(3, ""));
    let prefixes = call(&request(3, "")).prefixes;
    let mut is_json = |body: &str| {
        let mut call = call(body);
        call.prefixes = prefixes.clone();
        histories.cut(&call, usize::MAX).is_some()
    };
    assert!(is_json(&request(3, "")));
    for end in [",", ", ", "}", ",,", "\"", ",{\"a\"}", " {}"] {
        assert!(!is_json(&request(3, end)), "{end}");
    }
    for cut in [1, 10, 40] {
        let body = request(3, "");
        assert!(!is_json(&body[..body.len() - cut]), "{cut}");
    }
}

#[test]
fn of_two_lists_none_is_cut() {
    let list = |name: &str| format!("\"{name}\":[{}]", message(0));
    let mut histories = remembering(&format!("{{\"request\":{{{},{}}}}}", list("contents"), list("input")));
    let body = format!("{{\"request\":{{{}}},{}}}", list("contents"), list("messages"));
    assert!(histories.cut(&call(&body), usize::MAX).is_none());
    let mut histories = remembering("{\"input\":\"a\",\"messages\":[1]}");
    assert!(histories.cut(&call("[1]"), usize::MAX).is_none());
}

#[test]
fn what_was_found_in_messages_is_told_of_them_again_where_it_is() {
    let body = request(3, "");
    let mut histories = Histories::default();
    let first = call(&body);
    let read = histories.cut(&first, usize::MAX).unwrap();
    let found = [30..40, STRETCH + 100..STRETCH + 120, body.len() - 8..body.len() - 6];
    histories.remember(&read, &found);
    let longer = request(4, "");
    let second = call(&longer);
    let read = histories.cut(&second, usize::MAX).unwrap();
    assert_eq!(histories.found(&read), [30..40, STRETCH + 100..STRETCH + 120]);
    // A place in what is left is one in the body.
    let at = read.rest.find("3 xx").unwrap();
    assert_eq!(read.place(at), longer.find("3 xx").unwrap());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut histories = Histories::default();
    let body = request(MOST_ENDS + 10, "");
    let found: Vec<_> = (body.len() / 2..).step_by(9).map(|at| at..at + 3).take(MOST_FOUND + 1).collect();
    for (name, found) in [("many", &[][..]), ("found", &found[..])] {
        let call = call_in(Session::new(name), &body);
        let read = histories.cut(&call, usize::MAX).unwrap();
        histories.remember(&read, found);
        let history = histories.lines.peek(&(Arc::clone(&call.session.id), 0)).unwrap();
        assert!((100..=MOST_ENDS).contains(&history.ends.len()));
        assert!(history.found.len() <= MOST_FOUND);
        let end = history.end();
        assert!(found.get(MOST_FOUND).is_none_or(|found| end <= found.start));
    }
    let body = request(2, "");
    for number in 0..LINES.get() + 10 {
        let call = call_in(Session::new(number.to_string()), &body);
        let read = histories.cut(&call, usize::MAX).unwrap();
        histories.remember(&read, &[]);
    }
    assert_eq!(histories.lines.len(), LINES.get());
}
