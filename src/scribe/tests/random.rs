//! Exchanges made up at random, step by step, in whatever order their sides' steps come.

use perimeter_interceptor::Failure;
use perimeter_interceptor::testing::breaches;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const CLAUDE: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"c\",\"model\":\"m\",",
    "\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
    "\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"look\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
    "\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
);

const REFUSED: &str = r#"{"error":{"message":"no such key","type":"invalid_request_error"}}"#;

/// A conversation that goes on, from the answer to another request or not, or is another one by now.
const GOES_ON: &str = concat!(
    r#"{"model":"m","messages":[{"role":"user","content":"Hello there"},"#,
    r#"{"role":"assistant","content":"Hi"},{"role":"user","content":"Go on"}]}"#,
);
const GOES_ON_OTHERWISE: &str = concat!(
    r#"{"model":"m","messages":[{"role":"user","content":"Hello there"},"#,
    r#"{"role":"assistant","content":"Hi"},{"role":"user","content":"Stop"},"#,
    r#"{"role":"assistant","content":"Hi"},{"role":"user","content":"Why?"}]}"#,
);
const SUMMARISED: &str = concat!(
    r#"{"model":"m","messages":[{"role":"user","content":"This session is being continued from a previous "#,
    r#"conversation that ran out of context. They greeted each other."},{"role":"user","content":"Go on"}]}"#,
);

/// What one side does, step by step.
#[derive(Clone, Debug)]
enum Step {
    Failed,
    Head(u16, &'static str),
    Upgraded,
    Chunk(Bytes),
    /// Of another protocol.
    Bytes(Bytes),
    /// With the last chunk.
    Ends(Bytes),
    Close(BodyEnd),
    /// Its lane is dropped.
    Gone,
}

#[derive(Clone, Debug)]
struct Plan {
    path: &'static str,
    session: Option<&'static str>,
    client: Vec<Step>,
    upstream: Vec<Step>,
}

fn cut(text: &'static str) -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(any::<Index>(), 0..4).prop_map(move |cuts| {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|ends| Bytes::from_static(&text.as_bytes()[ends[0]..ends[1]])).collect()
    })
}

fn ending() -> impl Strategy<Value = Option<BodyEnd>> {
    let trailers = || BodyEnd::Complete { trailers: Some(Arc::new(http::HeaderMap::new())) };
    prop_oneof![
        4 => Just(Some(BodyEnd::COMPLETE)),
        1 => Just(Some(trailers())),
        1 => Just(Some(BodyEnd::Failed("reset".into()))),
        1 => Just(Some(BodyEnd::Aborted)),
        1 => Just(None),
    ]
}

/// A body that is said in pieces and ends so; one that does not end well is broken off somewhere. After its end more may
/// be said, which counts for nothing.
fn body(text: &'static str) -> impl Strategy<Value = Vec<Step>> {
    let afterthought = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Step::Chunk(Bytes::from_static(b"too late")))),
        1 => Just(Some(Step::Close(BodyEnd::Failed("too late".into())))),
    ];
    (body_itself(text), afterthought).prop_map(|(mut steps, late)| {
        steps.extend(late);
        steps
    })
}

fn body_itself(text: &'static str) -> impl Strategy<Value = Vec<Step>> {
    (cut(text), ending(), any::<bool>(), any::<Index>()).prop_map(|(mut pieces, end, at_once, broken)| {
        match &end {
            Some(BodyEnd::Complete { trailers: None }) if at_once => {
                let last = pieces.pop().unwrap_or_default();
                return pieces.into_iter().map(Step::Chunk).chain([Step::Ends(last)]).collect();
            }
            Some(BodyEnd::Complete { .. }) => {}
            _ => pieces.truncate(broken.index(pieces.len() + 1)),
        }
        pieces.into_iter().map(Step::Chunk).chain([end.map_or(Step::Gone, Step::Close)]).collect()
    })
}

/// The same in another protocol.
fn switched(steps: Vec<Step>) -> Vec<Step> {
    let switched = |step| match step {
        Step::Chunk(bytes) => vec![Step::Bytes(bytes)],
        Step::Ends(bytes) => vec![Step::Bytes(bytes), Step::Close(BodyEnd::COMPLETE)],
        step => vec![step],
    };
    steps.into_iter().flat_map(switched).collect()
}

fn plan() -> impl Strategy<Value = Plan> {
    let paths = vec!["/v1/chat/completions", "/v1/messages", "/v1/models", "/socket"];
    let asked = prop::sample::select(vec![
        ASKS,
        ASKS,
        GOES_ON,
        GOES_ON,
        GOES_ON_OTHERWISE,
        SUMMARISED,
        "{\"model\":",
        "",
    ]);
    let answers = vec![
        (200, "text/event-stream", STREAM),
        (200, "text/event-stream", CLAUDE),
        (200, "application/json", WHOLE),
        (401, "application/json", REFUSED),
        (200, "text/plain", "\u{0}\u{1}"),
        (204, "", ""),
    ];
    let answer = prop::sample::select(answers)
        .prop_flat_map(|(status, kind, text)| (Just(Step::Head(status, kind)), body(text)));
    let session = prop::sample::select(vec![None, Some("s"), Some("t")]);
    (prop::sample::select(paths), session, asked.prop_flat_map(body), answer, 0..8_u8).prop_map(
        |(path, session, mut client, (head, mut upstream), chance)| {
            if path == "/socket" && chance < 6 {
                (client, upstream) = (switched(client), switched(upstream));
                upstream.splice(0..0, [Step::Head(101, ""), Step::Upgraded]);
                // Until then the client says nothing.
                client.insert(0, Step::Upgraded);
            } else if chance < 6 {
                upstream.insert(0, head);
            } else if chance == 6 {
                upstream.splice(0..0, [Step::Failed, Step::Head(502, "application/json")]);
            } else {
                upstream = vec![Step::Gone];
            }
            Plan { path, session, client, upstream }
        },
    )
}

fn take(lane: &mut Option<Lane>, step: Step) {
    let Some(at_work) = lane else { return };
    match step {
        Step::Failed => at_work.failed(Failure::new("upstream_connect", "refused")),
        Step::Head(status, kind) => head_of(at_work, status, kind),
        Step::Upgraded => at_work.upgraded("websocket"),
        Step::Chunk(bytes) => at_work.chunk(&bytes, false),
        Step::Bytes(bytes) => at_work.bytes(&bytes),
        Step::Ends(bytes) => at_work.chunk(&bytes, true),
        Step::Close(end) => at_work.close(end),
        Step::Gone => *lane = None,
    }
}

/// Carries out plans, one step after another of whichever side's turn it is; the desk reads now and then. Gives back
/// how many exchanges were opened.
fn carry_out(desk: &mut Desk, plans: Vec<Plan>, turns: &[(Index, bool)]) -> usize {
    let opened = carry_out_unread(desk, plans, turns);
    desk.read();
    opened
}

/// As [`carry_out`]; what came after the last look is left unread.
fn carry_out_unread(desk: &mut Desk, mut waiting: Vec<Plan>, turns: &[(Index, bool)]) -> usize {
    let mut turns = turns.iter().cycle();
    let mut opened = 0;
    let mut open: Vec<(Option<Lane>, Option<Lane>, Plan)> = Vec::new();
    while !waiting.is_empty() || !open.is_empty() {
        let (chosen, then_read) = turns.next().unwrap();
        let choice = chosen.index(waiting.len() + 2 * open.len());
        if choice < waiting.len() {
            let mut plan = waiting.remove(choice);
            let session = plan.session.map(|session| ("x-perimeter-session-id", session));
            if let Some(lanes) = desk.open(plan.path, session.as_slice()) {
                opened += 1;
                plan.client.reverse();
                plan.upstream.reverse();
                open.push((Some(lanes.client), Some(lanes.upstream), plan));
            }
        } else {
            let at = (choice - waiting.len()) / 2;
            let (client, upstream, plan) = &mut open[at];
            let waits = matches!(plan.client.last(), Some(Step::Upgraded));
            let clients_turn = choice % 2 == 0 || plan.upstream.is_empty();
            if clients_turn && !plan.client.is_empty() && !waits {
                take(client, plan.client.pop().unwrap());
            } else if let Some(step) = plan.upstream.pop() {
                if matches!(step, Step::Upgraded) {
                    plan.client.pop();
                }
                take(upstream, step);
            }
            if plan.client.is_empty() && plan.upstream.is_empty() {
                open.swap_remove(at);
            }
        }
        if *then_read {
            desk.read();
        }
    }
    opened
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_is_told_by_the_rules(
        interest in prop::sample::select(vec![
            Interest::ALL, Interest::ALL, Interest::ALL, Interest::LLM, Interest::NONE,
            Interest::REQUEST_CHUNKS, Interest::RESPONSE_CHUNKS, Interest::UPGRADED_CHUNKS,
        ]),
        plans in prop::collection::vec(plan(), 1..8),
        turns in prop::collection::vec(any::<(Index, bool)>(), 50),
        journal_size in prop_oneof![Just(1 << 20), 1_000..8_000_usize],
        memory in prop_oneof![Just(1 << 20), 1_000..20_000_usize],
        body_limit in prop_oneof![Just(1 << 20), 0..200_usize],
    ) {
        let mut desk = Desk::of(interest, journal_size, memory, body_limit);
        let opened = carry_out(&mut desk, plans, &turns);
        prop_assert_eq!(breaches(&desk.told), [""; 0]);
        prop_assert_eq!(desk.ends().len(), opened);
        prop_assert!(desk.whats().iter().all(|what| interest.wants(what)));
        let unseen: u64 = desk.ends().iter().map(|end| end.unseen.total()).sum();
        let lost = desk.journal.losses().unseen.load(std::sync::atomic::Ordering::Relaxed);
        // What there was no memory to read is lost as well.
        prop_assert_eq!(unseen, lost + desk.tally.unseen());
        // What must arrive is small, and was paid for by the heads.
        prop_assert!(desk.most <= memory + 16 * 1024, "{} of {memory}", desk.most);
        desk.check_empty();
    }

    #[test]
    fn records_that_make_no_sense_harm_nothing(
        plans in prop::collection::vec(plan(), 1..8),
        turns in prop::collection::vec(any::<Index>(), 50),
        mixed in prop::collection::vec((0..3_u64, any::<Index>()), 20),
    ) {
        let mut desk = Desk::large();
        let turns: Vec<_> = turns.into_iter().map(|turn| (turn, false)).collect();
        let mut records = desk.records(|desk| _ = carry_out_unread(desk, plans, &turns));
        for (exchange, at) in mixed {
            // Something of one exchange comes as if it were another's, and out of its turn.
            let at = at.index(records.len());
            if !matches!(records[at].what, journal::What::Request { .. }) {
                let mut record = records.remove(at);
                record.exchange = exchange;
                records.push(record);
            }
        }
        let Desk { scribe, told, .. } = &mut desk;
        for record in records {
            scribe.ingest(record, &mut |notice| told.push(notice));
        }
        scribe.close(Instant::now(), &mut |notice| told.push(notice));
        for rule in ["a chunk of the request after its end", "a second end", "something comes after the end"] {
            prop_assert!(!breaches(told).iter().any(|breach| breach.contains(rule)), "{:?}", breaches(told));
        }
        desk.check_empty();
    }

    #[test]
    fn what_is_open_when_nothing_comes_any_more_is_ended(
        plans in prop::collection::vec(plan(), 1..8),
        turns in prop::collection::vec(any::<(Index, bool)>(), 50),
        left in 1..9_usize,
    ) {
        let mut desk = Desk::large();
        let open: Vec<_> = (0..left).filter_map(|_| desk.open("/v1/chat/completions", &[])).collect();
        let opened = carry_out(&mut desk, plans, &turns);
        let Desk { scribe, told, .. } = &mut desk;
        scribe.close(Instant::now(), &mut |notice| told.push(notice));
        prop_assert_eq!(breaches(&desk.told), [""; 0]);
        prop_assert_eq!(desk.ends().len(), opened + open.len());
        let before = desk.told.len();
        drop(open);
        desk.read();
        prop_assert_eq!(desk.told.len(), before, "nothing follows an end");
        desk.check_empty();
    }
}
