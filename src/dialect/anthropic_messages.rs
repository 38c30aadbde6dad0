//! Anthropic's Messages.

mod answer;
mod block;
mod body;
mod request;
mod stream;

use perimeter_interceptor::Usage;

pub(super) use self::answer::read_answer;
pub(super) use self::request::read_request;
pub(super) use self::stream::Stream;

/// The usage that the field of `usage` with a given name tells. Anthropic counts what is read from and written to the
/// cache beside the input.
fn usage(number: impl Fn(&str) -> Option<u64>) -> Option<Usage> {
    let (input, output) = (number("input_tokens"), number("output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let cache_read = number("cache_read_input_tokens");
    let cache_write = number("cache_creation_input_tokens");
    let input = [input, cache_read, cache_write].into_iter().flatten().fold(0, u64::saturating_add);
    let mut usage = Usage::new(input, output.unwrap_or(0));
    usage.cache_read = cache_read;
    usage.cache_write = cache_write;
    Some(usage)
}
