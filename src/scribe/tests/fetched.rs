use perimeter_interceptor::Completion;

use super::*;

const QUEUED: &str = r#"{"id":"resp_1","object":"response","status":"queued","output":[],"usage":null}"#;
const DONE: &str = r#"{"id":"resp_1","object":"response","status":"completed","output":[
    {"type":"function_call","call_id":"call_1","name":"read","arguments":"{}"}],
    "usage":{"input_tokens":12,"output_tokens":5}}"#;

impl Desk {
    fn exchange(&mut self, method: &str, path: &str, answer: &'static str) {
        let head = Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0;
        let head = journal::RequestHead::Parts(Box::new(head));
        let Opened { mut client, mut upstream } =
            self.journal.open(head, CLIENT, None, Instant::now()).unwrap();
        client.close(BodyEnd::COMPLETE);
        head_of(&upstream, 200, "application/json");
        upstream.chunk(&Bytes::from_static(answer.as_bytes()), true);
        drop((client, upstream));
        self.read();
    }

    fn answers(&self) -> Vec<&Completion> {
        let mut answers = Vec::new();
        for event in self.events() {
            if let LlmEvent::Completion(completion) = event {
                answers.push(&**completion);
            }
        }
        answers
    }
}

#[test]
fn an_answer_that_is_made_in_the_background_is_new_once_however_often_it_is_fetched() {
    let mut desk = Desk::large();
    desk.exchange("POST", "/v1/responses", QUEUED);
    for answer in [QUEUED, DONE, DONE] {
        desk.exchange("GET", "/v1/responses/resp_1", answer);
    }
    let told: Vec<_> =
        desk.answers().iter().map(|answer| (answer.usage.is_some(), answer.repeated)).collect();
    assert_eq!(told, [(false, false), (false, true), (true, false), (true, true)]);
    let tools = desk.events().iter().filter(|event| matches!(event, LlmEvent::ToolUse(_))).count();
    assert_eq!(tools, 1);
    desk.check_empty();
}

#[test]
fn an_answer_that_was_told_at_once_is_repeated_when_it_is_fetched() {
    let mut desk = Desk::large();
    desk.exchange("POST", "/v1/responses", DONE);
    desk.exchange("GET", "/v1/responses/resp_1", DONE);
    assert_eq!(desk.answers().iter().map(|answer| answer.repeated).collect::<Vec<_>>(), [false, true]);
    desk.check_empty();
}
