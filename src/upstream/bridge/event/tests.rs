//! Made-up answers, for tests of whatever hears events.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

/// Any valid sequence of events.
pub(crate) fn answers() -> impl Strategy<Value = Vec<Event>> {
    let parts =
        (option::of(head()), vec((noise(), block()), 0..5), noise(), usage(), option::of(0.0..9.0_f64));
    (parts, any::<u8>()).prop_map(|((head, blocks, noise, usage, cost), stop)| {
        let mut events: Vec<Event> = head.into_iter().map(Event::Head).collect();
        for (at, (noise, block)) in blocks.into_iter().enumerate() {
            events.extend(noise);
            events.extend(numbered(block, at));
        }
        events.extend(noise);
        let (stop, refusal) = stopped(&events, stop);
        events.push(Event::Done(Done { stop, usage, refusal, cost }));
        events
    })
}

/// Any valid sequence of events of an answer that is only text.
pub(crate) fn texts() -> impl Strategy<Value = Vec<Event>> {
    answers().prop_map(|events| {
        let mut text = true;
        let mut events: Vec<_> = events
            .into_iter()
            .filter(|event| {
                if let Event::Begin(begin) = event {
                    text = *begin == Begin::Text;
                }
                let inside = !matches!(event, Event::Head(_) | Event::Done(_));
                let kept = !inside || text;
                if matches!(event, Event::End) {
                    text = true;
                }
                kept
            })
            .collect();
        if let Some(Event::Done(done)) = events.last_mut()
            && done.stop == Stop::ToolUse
        {
            done.stop = Stop::EndTurn;
        }
        events
    })
}

/// Why an answer of these events may have ended.
fn stopped(events: &[Event], choice: u8) -> (Stop, Option<String>) {
    if events.iter().any(|event| matches!(event, Event::Begin(Begin::Tool { .. }))) {
        return (if choice.is_multiple_of(8) { Stop::MaxTokens } else { Stop::ToolUse }, None);
    }
    match choice % 4 {
        0 => (Stop::MaxTokens, None),
        1 => (Stop::Sequence("END".to_owned()), None),
        2 => (Stop::Refusal, choice.is_multiple_of(8).then(|| "I would rather not.".to_owned())),
        _ => (Stop::EndTurn, None),
    }
}

fn head() -> impl Strategy<Value = Head> {
    (option::of("[a-z]{1,8}"), option::of(usage())).prop_map(|(conversation, usage)| Head {
        conversation,
        usage,
        ..Head::default()
    })
}

fn usage() -> impl Strategy<Value = Usage> {
    let tokens = || 0..1_000_u64;
    (tokens(), tokens(), tokens(), tokens(), option::of(0..10_u64), any::<bool>()).prop_map(
        |(input, cache_read, cache_write, output, reasoning, estimated)| Usage {
            input,
            cache_read,
            cache_write,
            output: output + 10,
            reasoning,
            estimated,
        },
    )
}

/// What may stand anywhere.
fn noise() -> impl Strategy<Value = Vec<Event>> {
    let citation = (option::of("[a-z é]{1,8}"), option::of("https://[a-z]{1,8}/"), "[a-z]{1,4}")
        .prop_map(|(title, url, id)| Event::Citation(Citation { title, url, id }));
    let event = prop_oneof![Just(Event::Alive), "[a-z]{1,8}".prop_map(Event::Warning), citation];
    vec(event, 0..3)
}

fn block() -> impl Strategy<Value = Vec<Event>> {
    let text = (pieces(".{0,20}"), noise()).prop_map(|(pieces, noise)| {
        let pieces = pieces.into_iter().map(Event::Text);
        whole(Begin::Text, noise.into_iter().chain(pieces))
    });
    let thinking = (pieces(".{0,20}"), option::of("[a-zA-Z0-9+/]{4,12}")).prop_map(|(pieces, signature)| {
        let pieces = pieces.into_iter().map(Event::Thinking);
        whole(Begin::Thinking, pieces.chain(signature.map(Event::Signature)))
    });
    let redacted = "[a-zA-Z0-9]{1,12}".prop_map(|data| whole(Begin::Redacted(data), []));
    let tool = ("[a-z_]{1,12}", object().prop_flat_map(pieces_of)).prop_map(|(name, pieces)| {
        whole(Begin::Tool { id: String::new(), name }, pieces.into_iter().map(Event::Input))
    });
    prop_oneof![3 => text, 1 => thinking, 1 => redacted, 2 => tool]
}

fn whole(begin: Begin, inside: impl IntoIterator<Item = Event>) -> Vec<Event> {
    std::iter::once(Event::Begin(begin)).chain(inside).chain([Event::End]).collect()
}

/// Gives a tool's call an id that no other has.
fn numbered(mut block: Vec<Event>, at: usize) -> Vec<Event> {
    if let Some(Event::Begin(Begin::Tool { id, .. })) = block.first_mut() {
        *id = format!("call_{at}");
    }
    block
}

/// A JSON object as a model may write it.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((".{0,4}", inner), 0..3).prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    });
    (vec(("[a-z\"\\\\é]{1,4}", value), 0..3), any::<bool>()).prop_map(|(fields, pretty)| {
        let object = Value::Object(fields.into_iter().collect::<Map<_, _>>());
        if pretty { format!("{object:#}") } else { object.to_string() }
    })
}

fn pieces(pattern: &'static str) -> impl Strategy<Value = Vec<String>> {
    vec(pattern, 0..4)
}

/// `text`, cut anywhere.
fn pieces_of(text: String) -> impl Strategy<Value = Vec<String>> {
    vec(any::<prop::sample::Index>(), 0..4).prop_map(move |cuts| {
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| ends[cut.index(ends.len())]).collect();
        cuts.sort_unstable();
        let from = std::iter::once(0).chain(cuts.clone());
        from.zip(cuts.iter().copied().chain([text.len()]))
            .map(|(from, to)| text[from..to].to_owned())
            .collect()
    })
}
