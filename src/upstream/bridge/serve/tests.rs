//! The way of a request, with a backend that does as it is told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;

use super::*;
use crate::upstream::bridge::event::{Begin, Done, Stop, Usage};
use crate::upstream::bridge::{Count, Later, Model, Models, Readiness};

/// Says its events when it is let go on, and counts how many of its answers are in progress.
struct Scripted {
    models: Models,
    script: Mutex<Vec<Step>>,
    go_on: Notify,
    running: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Step {
    Say(Event),
    Wait,
    Fail(Failure),
    Panic,
    Rest,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Backend for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn places(&self) -> usize {
        1
    }

    fn models(&self) -> &Models {
        &self.models
    }

    fn check(&self, ask: &mut Ask, _: &Model, _: bool) -> Result<(), Failure> {
        ask.warnings.dropped("seed");
        Ok(())
    }

    fn answer(self: Arc<Self>, _: Ask, out: Out) -> Later<Result<(), Failure>> {
        self.running.fetch_add(1, SeqCst);
        let running = Running(self.running.clone());
        let script = self.script.lock().unwrap().clone();
        Box::pin(async move {
            let _running = running;
            for step in script {
                match step {
                    Step::Say(event) => out.say(event).await.unwrap(),
                    Step::Wait => self.go_on.notified().await,
                    Step::Fail(failure) => return Err(failure),
                    Step::Rest => tokio::time::sleep(Duration::from_millis(5)).await,
                    Step::Panic => panic!("as it was told"),
                }
            }
            Ok(())
        })
    }

    fn count(self: Arc<Self>, _: Ask) -> Later<Result<Count, Failure>> {
        Box::pin(std::future::ready(Ok(Count { tokens: 7, estimated: false })))
    }

    fn readiness(self: Arc<Self>) -> Later<Readiness> {
        let missing = "a script".to_owned();
        Box::pin(std::future::ready(Readiness { ready: false, missing, detail: Value::Null }))
    }
}

struct Set {
    bridge: Arc<Bridge>,
    backend: Arc<Scripted>,
}

fn set(script: Vec<Step>) -> Set {
    set_with(script, Settings::default())
}

fn set_with(script: Vec<Step>, settings: Settings) -> Set {
    let model = Model { id: "parrot".to_owned(), ..Model::default() };
    let backend = Arc::new(Scripted {
        models: Models::new(vec![model]),
        script: Mutex::new(script),
        go_on: Notify::new(),
        running: Arc::default(),
    });
    let bridge = Arc::new(Bridge {
        backend: backend.clone(),
        queue: Queue::new(1, settings.queue, settings.queue_timeout),
        settings,
        kept: door::Kept::default(),
        ready: IsReady::new(backend.clone(), tokio::runtime::Handle::current()),
        tasks: TaskTracker::new(),
    });
    Set { bridge, backend }
}

impl Set {
    async fn chat(&self, body: Value) -> Response<Body> {
        let request = Request::post("/v1/chat/completions").body(Body::full(body.to_string())).unwrap();
        self.bridge.clone().answer(request).await
    }

    async fn idle(&self) {
        while self.backend.running.load(SeqCst) > 0 || self.bridge.queue.state() != (0, 1) {
            tokio::task::yield_now().await;
        }
    }
}

fn asks(stream: bool) -> Value {
    json!({"model": "parrot", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
}

fn hello() -> Vec<Step> {
    vec![Step::Say(Event::Begin(Begin::Text)), Step::Say(Event::Text("Hello".to_owned()))]
}

fn end() -> Vec<Step> {
    let done = Done { stop: Stop::EndTurn, usage: Usage::default(), refusal: None, cost: Some(0.25) };
    vec![Step::Say(Event::End), Step::Say(Event::Done(done))]
}

fn busy() -> Failure {
    Failure::new(Kind::Overloaded, "too much to do").after(Duration::from_millis(1500))
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The next piece of a stream.
async fn piece(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_whole_answer_says_what_was_dropped_and_what_it_cost() {
    let set = set([hello(), end()].concat());
    let response = set.chat(asks(false)).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["x-bridge"], "scripted");
    assert_eq!(headers["x-bridge-warnings"], "dropped=seed");
    assert_eq!(headers["x-bridge-cost-usd"], "0.250000");
    assert!(headers.contains_key("x-request-id") && headers.contains_key("openai-processing-ms"));
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    set.idle().await;
}

#[tokio::test]
async fn a_failure_before_the_first_word_is_the_status_however_much_was_hinted_before() {
    for stream in [true, false] {
        let head = Event::Head(Head::default());
        let set = set(vec![Step::Say(head), Step::Say(Event::Alive), Step::Fail(busy())]);
        let response = set.chat(asks(stream)).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(
            serde_json::from_str::<Value>(&text(response).await).unwrap()["error"]["code"],
            "overloaded"
        );
        set.idle().await;
    }
}

#[tokio::test]
async fn a_failure_after_the_first_word_is_seen_and_nothing_follows_it() {
    let set = set([hello(), vec![Step::Fail(busy())]].concat());
    let response = set.chat(asks(true)).await;
    assert_eq!(response.status(), 200);
    let text = text(response).await;
    assert!(text.contains("Hello") && text.contains(r#""code":"overloaded""#), "{text}");
    assert!(!text.contains("[DONE]") && !text.contains(r#""finish_reason":"stop""#), "{text}");
}

#[tokio::test]
async fn a_backend_that_just_stops_has_failed() {
    let set = set(hello());
    assert_eq!(set.chat(asks(false)).await.status(), 502);
    let text = text(set.chat(asks(true)).await).await;
    assert!(text.contains("upstream_error") && !text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn a_head_waits_no_longer_than_it_is_told_and_signs_of_life_follow() {
    let brief = Duration::from_millis(20);
    let settings = Settings { head_wait: brief, heartbeat: brief, ..Settings::default() };
    let set = set_with([vec![Step::Wait], hello(), end()].concat(), settings);
    let response = set.chat(asks(true)).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await.unwrap(), ": alive\n\n");
    set.backend.go_on.notify_one();
    let mut rest = String::new();
    while let Some(piece) = piece(&mut body).await {
        rest.push_str(&piece);
    }
    assert!(rest.contains("Hello") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
}

#[tokio::test]
async fn events_that_are_no_word_to_the_client_keep_no_sign_of_life_from_it() {
    let settings = Settings { heartbeat: Duration::from_millis(20), ..Settings::default() };
    // A head that is told is no word, however often.
    let silent = (0..200).flat_map(|_| [Step::Say(Event::Head(Head::default())), Step::Rest]);
    let set = set_with([hello(), silent.collect(), end()].concat(), settings);
    let text = text(set.chat(asks(true)).await).await;
    assert!(text.contains(": alive") && text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_backend_that_falls_over_in_a_stream_breaks_the_stream_off_and_frees_its_place() {
    let set = set([hello(), vec![Step::Rest, Step::Panic]].concat());
    let broken = set.chat(asks(true)).await.into_body().collect().await;
    assert!(broken.is_err(), "a client would take it for whole");
    set.idle().await;
}

#[tokio::test]
async fn what_comes_goes_out_before_the_rest_is_there() {
    let set = set([hello(), vec![Step::Wait], end()].concat());
    let mut body = set.chat(asks(true)).await.into_body();
    let mut heard = String::new();
    while !heard.contains("Hello") {
        heard.push_str(&piece(&mut body).await.unwrap());
    }
    set.backend.go_on.notify_one();
    while piece(&mut body).await.is_some() {}
    set.idle().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work_and_frees_the_place_wherever_it_was() {
    let set = set([hello(), vec![Step::Wait], end()].concat());
    let streaming = set.chat(asks(true)).await;
    assert_eq!(set.bridge.queue.state(), (0, 0));
    // One that waits for its turn, and leaves.
    let mut waiting = Box::pin(set.chat(asks(true)));
    while set.bridge.queue.state().0 == 0 {
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("it has its turn"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(waiting);
    assert_eq!(set.bridge.queue.state(), (0, 0));
    // One in the middle of its answer.
    drop(streaming);
    set.idle().await;
    // One whose whole answer is not there yet.
    let mut whole = Box::pin(set.chat(asks(false)));
    while set.backend.running.load(SeqCst) == 0 {
        tokio::select! {
            biased;
            _ = &mut whole => panic!("it is whole"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(whole);
    set.idle().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_words_of_the_api() {
    let set = set(Vec::new());
    let answer = |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).body(Body::full(body)).unwrap();
        let bridge = set.bridge.clone();
        async move {
            let response = bridge.answer(request).await;
            let status = response.status().as_u16();
            (status, serde_json::from_str::<Value>(&text(response).await).unwrap())
        }
    };
    let unknown = r#"{"model": "parot", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}"#;
    let (status, body) = answer("POST", "/v1/chat/completions", unknown).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(body["error"]["message"], "the model `parot` does not exist here; the nearest: parrot");
    let (status, body) = answer("POST", "/v1/messages", unknown).await;
    assert_eq!((status, &body["error"]["type"]), (404, &json!("not_found_error")));
    let (status, body) = answer("GET", "/v1/chat/completions", "").await;
    assert_eq!((status, &body["error"]["code"]), (405, &json!("method_not_allowed")));
    let (status, body) = answer("POST", "/v1/embeddings", "{}").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("not_found")));
    let (status, body) = answer("GET", "/ready", "").await;
    assert_eq!((status, &body["missing"]), (503, &json!("a script")));
    assert_eq!(answer("GET", "/health", "").await.0, 200);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_before_it_is_read() {
    let set = set_with(Vec::new(), Settings { body_limit: 10, ..Settings::default() });
    assert_eq!(set.chat(asks(false)).await.status(), 413);
    // Nothing of it is waited for.
    let announced = Body::new(Announced(11));
    let request = Request::post("/v1/chat/completions").body(announced).unwrap();
    assert_eq!(set.bridge.clone().answer(request).await.status(), 413);
}

/// A body that says how long it is, and never comes.
struct Announced(u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn a_request_keeps_the_id_that_its_client_gave_it_through_each_door_and_in_errors_of_streams() {
    let set = set([hello(), vec![Step::Fail(busy())]].concat());
    let body = json!({"model": "parrot", "max_tokens": 9, "stream": true,
        "messages": [{"role": "user", "content": "hi"}]});
    for (given, id) in [(Some("mine"), "mine"), (Some(""), "req_"), (None, "req_")] {
        let mut request = Request::post("/v1/messages");
        request = given.into_iter().fold(request, |request, id| request.header("x-request-id", id));
        let request = request.body(Body::full(body.to_string())).unwrap();
        let response = set.bridge.clone().answer(request).await;
        let told = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(told.starts_with(id), "{told}");
        assert_eq!(response.headers()["request-id"], told);
        let stream = text(response).await;
        assert!(stream.contains(&format!("\"request_id\":\"{told}\"")), "{stream}");
    }
    set.idle().await;
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_that_name() {
    let set = set([hello(), end()].concat());
    for (coding, status) in [("gzip", 400), ("zstd", 400), ("identity", 200)] {
        let request = Request::post("/v1/chat/completions").header("content-encoding", coding);
        let response =
            set.bridge.clone().answer(request.body(Body::full(asks(false).to_string())).unwrap()).await;
        assert_eq!(response.status(), status, "{coding}");
        let said = text(response).await;
        assert_eq!(status == 400, said.contains("without compression"), "{said}");
    }
    set.idle().await;
}

#[tokio::test]
async fn tokens_are_counted_with_and_without_the_version_in_the_path() {
    let set = set(Vec::new());
    for path in ["/v1/messages/count_tokens", "/messages/count_tokens"] {
        let request = Request::post(path).body(Body::full(asks(false).to_string())).unwrap();
        let response = set.bridge.clone().answer(request).await;
        assert_eq!(text(response).await, "{\"input_tokens\":7}");
    }
}
