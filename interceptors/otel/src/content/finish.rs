//! Why a model stopped, in the conventions' words.

/// The convention's word for a provider's. Where it has none, the provider's own.
pub(super) fn reason(word: &str) -> &str {
    match word {
        "stop" | "end_turn" | "stop_sequence" | "completed" | "STOP" | "eos" | "COMPLETE" => "stop",
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "model_length"
        | "model_context_window_exceeded"
        | "MAX_TOKENS" => "length",
        "tool_calls" | "function_call" | "tool_use" => "tool_call",
        "content_filter"
        | "refusal"
        | "safety"
        | "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter",
        "error" | "failed" | "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => {
            "error"
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_s_words_are_told_in_the_conventions() {
        for (words, expected) in [
            (&["stop", "end_turn", "stop_sequence", "completed", "STOP"][..], "stop"),
            (&["length", "max_tokens", "max_output_tokens", "MAX_TOKENS"], "length"),
            (&["tool_calls", "function_call", "tool_use"], "tool_call"),
            (&["content_filter", "refusal", "SAFETY", "RECITATION"], "content_filter"),
            (&["failed", "MALFORMED_FUNCTION_CALL"], "error"),
            (&["compaction"], "compaction"),
            (&["pause_turn"], "pause_turn"),
        ] {
            assert!(words.iter().all(|word| reason(word) == expected), "{words:?}");
        }
    }
}
