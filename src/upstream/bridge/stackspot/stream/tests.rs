use proptest::prelude::*;

use super::*;

fn hear<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (String, Result<Ending, Failure>) {
    let mut stream = Stream::new("m");
    let mut text = String::new();
    for piece in pieces {
        if let Err(failure) = stream.hear(piece, &mut text) {
            return (text, Err(failure));
        }
    }
    let ending = stream.finish(&mut text);
    (text, ending)
}

#[track_caller]
fn check(bytes: &str, text: &str, stop: Option<&str>, input: Option<u64>, output: Option<u64>) {
    let (said, ending) = hear([bytes.as_bytes()]);
    let ending = ending.unwrap_or_else(|failure| panic!("{failure}: {bytes}"));
    assert_eq!(said, text, "{bytes}");
    assert_eq!((ending.stop.as_deref(), ending.input, ending.output), (stop, input, output), "{bytes}");
}

#[track_caller]
fn fails(bytes: &str, kind: Kind, words: &str) {
    let failure = hear([bytes.as_bytes()]).1.expect_err(bytes);
    assert_eq!(failure.kind, kind, "{bytes}");
    assert!(failure.message.contains(words), "{failure}");
}

const DELTAS: &str = ": hi\n\ndata: {\"message\":\"Olá \"}\n\ndata: {\"message\":\"mündo\"}\n\n: beat\n\n\
    data: {\"stop_reason\":\"stop\",\"tokens\":{\"user\":\"40\",\"enrichment\":2,\"output\":\"5\"},\
    \"source\":[{\"name\":\"Guide\",\"url\":\"https://k/1\",\"id\":7},\"ks-2\"],\"knowledge_source_id\":[\"ks-2\",\"ks-3\"]}\n\n\
    data: [DONE]\n\n";

#[test]
fn every_form_of_an_answer_is_read() {
    check(DELTAS, "Olá mündo", Some("stop"), Some(42), Some(5));
    check(&DELTAS.replace('\n', "\r\n"), "Olá mündo", Some("stop"), Some(42), Some(5));
    check(&DELTAS.replace('\n', "\r"), "Olá mündo", Some("stop"), Some(42), Some(5));
    check(&format!("\u{feff}{DELTAS}"), "Olá mündo", Some("stop"), Some(42), Some(5));
    let whole = "data: {\"message\":\"a\"}\n\ndata: {\"message\":\"ab\"}\n\ndata: {\"message\":\"abc\"}\n\n\
        data: {\"message\":\"abc\",\"stop_reason\":\"length\",\"tokens\":{\"input\":1,\"output\":null}}";
    check(whole, "abc", Some("length"), Some(1), None);
    let document = r#" {"message":"all\nof it","stop_reason":"stop","tokens":{"user":null,"enrichment":null,"input":42,"output":5},
        "message_id":"x","conversation_id":"y","knowledge_source_id":[],"source":[],"agent_info":[]}"#;
    check(document, "all\nof it", Some("stop"), Some(42), Some(5));
    check(r#"{"message":"older"}"#, "older", None, None, None);
    let chunks = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"hey\"}}]}\n\n\
        data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    check(chunks, "hey", Some("stop"), Some(3), Some(1));
    check("data: {\"message\":\"a\"}\n\ndata: [DONE]\n\n", "a", None, None, None);
    check("event: new\ndata: {\"message\":\ndata: \"a\"}\n\ndata: [DONE]\n\n", "a", None, None, None);
}

#[test]
fn sources_are_told_once_with_all_that_is_known_of_them() {
    let sources = hear([DELTAS.as_bytes()]).1.unwrap().sources;
    let told: Vec<_> =
        sources.iter().map(|s| (s.id.as_str(), s.title.as_deref(), s.url.as_deref())).collect();
    assert_eq!(told, [("7", Some("Guide"), Some("https://k/1")), ("ks-2", None, None), ("ks-3", None, None)]);
    let document = r#"{"message":"a","source":[{"document_id":"01D","slug":"guide","name":"Guide"}],"knowledge_source_id":["guide","other"]}"#;
    let sources = hear([document.as_bytes()]).1.unwrap().sources;
    let told: Vec<_> = sources.iter().map(|s| (s.id.as_str(), s.title.as_deref())).collect();
    assert_eq!(told, [("01D", Some("Guide")), ("other", None)]);
}

#[test]
fn what_is_no_whole_answer_is_a_failure() {
    for nothing in [
        "",
        "{}",
        "{\"detail\": 1}",
        "data: {\"foo\":1}\n\n",
        "<html>maintenance</html>",
        "[{}]",
        "\u{1f}\u{8b}",
    ] {
        fails(nothing, Kind::Upstream, "nothing that an agent says");
    }
    fails("data: {\"message\":\"half\"}\n\n", Kind::Upstream, "truncated");
    fails("data: {\"message\":\"half\"}\n\ndata: {\"stop_rea", Kind::Upstream, "truncated");
    fails("{\"message\":\"half", Kind::Upstream, "truncated");
    fails("data: hello\n\n", Kind::Upstream, "no JSON");
    fails("data: [1]\n\n", Kind::Upstream, "not what an agent says");
    fails("event: error\ndata: {\"code\":\"INFERENCE_3008_X\"}\n\n", Kind::RateLimit, "limit");
    fails("event: error\ndata: Credit Limit Reached\n\n", Kind::Quota, "credits");
    fails("event: error\n\n", Kind::Upstream, "failed");
    fails("data: {\"error\":{\"message\":\"boom\"}}\n\n", Kind::Upstream, "boom");
    fails("{\"code\":\"INFERENCE_6001\",\"details\":\"tokens exceed\"}", Kind::TooLong, "tokens exceed");
    fails(&format!("data: {}", "x".repeat(MOST + 1)), Kind::Upstream, "16 MiB");
}

fn form() -> impl Strategy<Value = String> {
    let event = prop_oneof![
        "[a-zé☃ ]{0,6}".prop_map(|text| format!("data: {}", serde_json::json!({ "message": text }))),
        Just(": beat".to_owned()),
        Just("event: error\ndata: {\"details\":\"é\"}".to_owned()),
        Just("data: {\"stop_reason\":\"stop\",\"tokens\":{\"input\":\"1\"}}".to_owned()),
        Just("data: [DONE]".to_owned()),
        "[a-z:{}\" \r\n]{0,8}",
    ];
    let end = prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\r\r"), Just("\n")];
    proptest::collection::vec((event, end), 0..8)
        .prop_map(|events| events.into_iter().map(|(event, end)| event + end).collect())
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same(bytes in form(), cuts in proptest::collection::vec(1..9_usize, 1..40)) {
        let mut rest = bytes.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        let (text, end) = hear(pieces);
        let (whole_text, whole) = hear([bytes.as_bytes()]);
        prop_assert_eq!(end.as_ref().ok(), whole.as_ref().ok());
        prop_assert_eq!(end.as_ref().err().map(|f| (f.kind, &f.message)), whole.as_ref().err().map(|f| (f.kind, &f.message)));
        prop_assert_eq!(text, whole_text);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = hear([bytes.as_slice()]);
    }
}
