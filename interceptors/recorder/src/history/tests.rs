use super::*;

fn session() -> Session {
    Session::new("s")
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
    let read = histories.cut(&session(), body.as_bytes(), usize::MAX).unwrap();
    histories.remember(&session(), &read, &[]);
    histories
}

#[test]
fn what_an_earlier_request_had_is_cut_out_and_the_rest_is_json() {
    let mut histories = remembering(&request(3, ""));
    for (count, left) in [(3, 0), (5, 2), (7, 2), (2, 0), (3, 1)] {
        let body = request(count, "");
        let read = histories.cut(&session(), body.as_bytes(), usize::MAX).unwrap();
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
        histories.remember(&session(), &read, &[]);
    }
}

#[test]
fn no_more_is_cut_out_than_is_asked_for_and_nothing_of_another_line_of_talk() {
    let body = request(4, "");
    let mut histories = remembering(&body);
    assert_eq!(histories.cut(&session(), body.as_bytes(), 2).unwrap().messages, 2);
    let mut beside = session();
    beside.thread = 1;
    assert_eq!(histories.cut(&beside, body.as_bytes(), usize::MAX).unwrap().messages, 0);
}

#[test]
fn what_is_no_json_is_none_without_what_is_known_either() {
    let mut histories = remembering(&request(3, ""));
    let mut is_json = |body: &str| histories.cut(&session(), body.as_bytes(), usize::MAX).is_some();
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
    assert!(histories.cut(&session(), body.as_bytes(), usize::MAX).is_none());
    let mut histories = remembering("{\"input\":\"a\",\"messages\":[1]}");
    assert!(histories.cut(&session(), b"[1]", usize::MAX).is_none());
}

#[test]
fn what_was_found_in_messages_is_told_of_them_again_where_it_is() {
    let body = request(3, "");
    let mut histories = Histories::default();
    let read = histories.cut(&session(), body.as_bytes(), usize::MAX).unwrap();
    let found = [30..40, STRETCH + 100..STRETCH + 120, body.len() - 8..body.len() - 6];
    histories.remember(&session(), &read, &found);
    let longer = request(4, "");
    let read = histories.cut(&session(), longer.as_bytes(), usize::MAX).unwrap();
    assert_eq!(histories.found(&session(), &read), [30..40, STRETCH + 100..STRETCH + 120]);
    // A place in what is left is one in the body.
    let at = read.rest.find("3 xx").unwrap();
    assert_eq!(read.place(at), longer.find("3 xx").unwrap());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut histories = Histories::default();
    let body = request(MOST_STRETCHES + 10, "");
    let found: Vec<_> = (body.len() / 2..).step_by(9).map(|at| at..at + 3).take(MOST_FOUND + 1).collect();
    for (name, found) in [("many", &[][..]), ("found", &found[..])] {
        let session = Session::new(name);
        let read = histories.cut(&session, body.as_bytes(), usize::MAX).unwrap();
        histories.remember(&session, &read, found);
        let history = histories.lines.peek(&(Arc::clone(&session.id), 0)).unwrap();
        assert!((100..=MOST_STRETCHES).contains(&history.stretches.len()));
        assert!(history.found.len() <= MOST_FOUND);
        let end = history.stretches.last().unwrap().end;
        assert!(found.get(MOST_FOUND).is_none_or(|found| end <= found.start));
    }
    let body = request(2, "");
    for number in 0..LINES.get() + 10 {
        let session = Session::new(number.to_string());
        let read = histories.cut(&session, body.as_bytes(), usize::MAX).unwrap();
        histories.remember(&session, &read, &[]);
    }
    assert_eq!(histories.lines.len(), LINES.get());
}
