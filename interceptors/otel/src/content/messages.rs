//! Messages, as many as an attribute has room for.

use opentelemetry_proto::tonic::common::v1::AnyValue;
use perimeter_interceptor::{Answer, Part, Role, Turn};

use super::part::Teller;
use super::value::{self, list, member, object};
use super::{finish, fit};

/// A message before it is told: tools' results in a turn of another's are a message of their own.
#[derive(Clone, Copy)]
enum Message<'t> {
    Whole(&'t Turn),
    Results(&'t Turn),
    Rest(&'t Turn),
}

/// The messages of a turn: results first.
fn of_turn(turn: &Turn) -> impl DoubleEndedIterator<Item = Message<'_>> {
    let has_own = matches!(turn.role, Role::User | Role::System | Role::Other(_));
    let results = turn.parts.iter().filter(|part| is_result(part)).count();
    let messages = match results {
        0 => [Some(Message::Whole(turn)), None],
        _ if !has_own => [Some(Message::Whole(turn)), None],
        all if all == turn.parts.len() => [Some(Message::Results(turn)), None],
        _ => [Some(Message::Results(turn)), Some(Message::Rest(turn))],
    };
    messages.into_iter().flatten()
}

fn is_result(part: &Part) -> bool {
    matches!(part, Part::ToolResult(_))
}

impl<'t> Message<'t> {
    fn role(self) -> &'t str {
        match self {
            Self::Whole(turn) | Self::Rest(turn) => turn.role.as_str(),
            Self::Results(_) => "tool",
        }
    }

    fn parts(self, teller: &Teller<'_>) -> Vec<AnyValue> {
        let (turn, wanted): (_, fn(&Part) -> bool) = match self {
            Self::Whole(turn) => (turn, |_| true),
            Self::Results(turn) => (turn, is_result),
            Self::Rest(turn) => (turn, |part| !is_result(part)),
        };
        if let (Role::Other(word), [Part::Other(kind), Part::Other(id)]) = (&turn.role, &*turn.parts)
            && word == kind
        {
            // An item that the provider keeps.
            return vec![object(vec![member("type", teller.word(kind)), member("id", teller.word(id))])];
        }
        let by_model = (turn.role == Role::Assistant).then_some(&*turn.parts);
        turn.parts.iter().filter(|part| wanted(part)).map(|part| teller.part(part, by_model)).collect()
    }
}

/// A message, ready to be told.
struct Told {
    role: AnyValue,
    parts: Vec<AnyValue>,
    finish_reason: Option<AnyValue>,
}

impl Told {
    fn of(teller: &Teller<'_>, message: Message<'_>) -> Self {
        Self { role: teller.role(message.role()), parts: message.parts(teller), finish_reason: None }
    }

    /// How many bytes of JSON it takes.
    fn length(&self) -> usize {
        let parts: usize = self.parts.iter().map(|part| value::length(part) + 1).sum();
        self.frame() + parts
    }

    /// The same without its parts.
    fn frame(&self) -> usize {
        let reason = self.finish_reason.as_ref().map_or(0, |reason| value::length(reason) + KEY);
        FRAME + value::length(&self.role) + reason
    }

    /// Leaves out what was said first, so that it has no more bytes than these.
    fn shrink(&mut self, most: usize) {
        let most = most.saturating_sub(self.frame());
        self.parts = fit::newest(std::mem::take(&mut self.parts), most);
    }

    fn value(self) -> AnyValue {
        let reason = self.finish_reason.map(|reason| member("finish_reason", reason));
        let members = [member("role", self.role), member("parts", list(self.parts))];
        object(members.into_iter().chain(reason).collect())
    }
}

/// What is around the parts and values of a message.
const FRAME: usize = r#"{"role":,"parts":[]}"#.len();
const KEY: usize = r#","finish_reason":"#.len();

/// `gen_ai.input.messages`: the newest that there is room for. Where there are more, the first says how many.
pub(super) fn input(teller: &Teller<'_>, turns: &[Turn]) -> AnyValue {
    let all: usize = turns.iter().map(|turn| of_turn(turn).count()).sum();
    let newest_first = turns.iter().rev().flat_map(|turn| of_turn(turn).rev());
    let mut left = teller.room().saturating_sub(2 + fit::NOTE);
    let mut kept: Vec<Told> = Vec::new();
    for message in newest_first {
        let mut told = Told::of(teller, message);
        let length = told.length() + 1;
        if length > left {
            if kept.is_empty() {
                told.shrink(left);
                kept.push(told);
            }
            break;
        }
        left -= length;
        kept.push(told);
    }
    let left_out = all - kept.len();
    if let Some(first) = kept.last_mut().filter(|_| left_out > 0) {
        first.parts.insert(0, fit::note(left_out, "earlier message"));
    }
    list(kept.into_iter().rev().map(Told::value))
}

/// `gen_ai.output.messages`: one for each answer. Where they are too long, each keeps what was said last.
pub(super) fn output(teller: &Teller<'_>, answers: &[Answer], is_broken: bool) -> AnyValue {
    let each = (teller.room() / answers.len().max(1)).saturating_sub(2);
    list(answers.iter().map(|answer| {
        let word = answer.stop.as_deref().map(finish::reason);
        let word = word.unwrap_or(if is_broken { "error" } else { "unknown" });
        let parts = answer.parts.iter().map(|part| teller.part(part, Some(&answer.parts)));
        let mut told = Told {
            role: value::text("assistant"),
            parts: parts.collect(),
            finish_reason: Some(teller.role(word)),
        };
        if told.length() > each {
            told.shrink(each);
        }
        told.value()
    }))
}

/// `gen_ai.system_instructions`: as much of their beginning as there is room for.
pub(super) fn instructions(teller: &Teller<'_>, turn: &Turn) -> AnyValue {
    let parts = turn.parts.iter().map(|part| teller.part(part, None));
    list(fit::oldest(parts.collect(), teller.room().saturating_sub(2), |left_out| {
        fit::note(left_out, "part")
    }))
}
