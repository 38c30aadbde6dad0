//! Calls that are no conversation: embeddings, pictures, files, lists of models … What is told of them is mostly how
//! much there was.

use perimeter_interceptor::{Answer, Call, Operation, Part};

use crate::measure;

/// Whether a call of this operation is one.
pub(crate) fn is_errand(operation: Operation) -> bool {
    !matches!(operation, Operation::Chat | Operation::TextCompletion)
}

/// What such a call brought, if it is more than one text, in words.
pub(crate) fn brought(call: &Call) -> Option<String> {
    let parts = &call.news.last()?.parts;
    let is_input = |part: &&Part| matches!(part, Part::Text(_) | Part::Other(_));
    match (call.operation, parts.iter().filter(is_input).count()) {
        (Operation::Embeddings | Operation::Moderation, count @ 2..) => Some(format!("{count} inputs")),
        _ => parts.iter().find_map(|part| match part {
            Part::Other(words) => Some(words.to_string()),
            _ => None,
        }),
    }
}

/// Its answer, with words in place of what is no text: what there are many of is told as one.
pub(crate) fn told(answer: &Answer) -> Answer {
    let mut told = Answer::new(answer.choice);
    let (mut vectors, mut size) = (0, 0);
    let mut words: Vec<String> = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Media(media) if &*media.kind == "embedding" => {
                vectors += 1;
                size += media.size;
            }
            Part::Other(word) => words.push(word.to_string()),
            part => told.parts.push(part.clone()),
        }
    }
    if vectors > 0 {
        let s = if vectors == 1 { "" } else { "s" };
        words.push(format!("{vectors} embedding{s}, {}", measure::bytes(size)));
    }
    // What a batch or a file is at, not why a model stopped.
    words.extend(answer.stop.as_deref().map(str::to_owned));
    if !words.is_empty() {
        // Texts that follow each other are printed as one.
        let begin = if matches!(told.parts.last(), Some(Part::Text(_))) { "\n" } else { "" };
        told.parts.push(Part::Text(format!("{begin}{}", words.join(", ")).into()));
    }
    told
}
