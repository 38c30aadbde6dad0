//! Bridges, through the SDKs that people have: what is behind them speaks none of the providers' APIs, and the SDKs must
//! not notice. The same scripts run before both backends, each of which is scripted to say the same.

use crate::perimeter::Perimeter;
use crate::process::{ANTHROPIC_KEY, installed, script};
use crate::provider::{BRIDGED, Provider};

#[expect(dead_code, reason = "the tests of the binary alone use more of it")]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
#[path = "../it/bridges/scripted_stackspot.rs"]
mod scripted_stackspot;

use scripted_stackspot::{AGENT, Asked, Reply, SECRET, Stackspot};

/// A proxy before an agent of Stackspot's that answers by [`agent`].
fn stackspot() -> (Stackspot, Perimeter) {
    let spot = Stackspot::start();
    spot.answer_by(agent);
    let url = spot.url();
    let llm = format!(
        "stackspot, stackspot: {{realm: acme, client_id: me, client_secret: '{SECRET}', idm_url: '{url}', \
         files_url: '{url}', agents: {{bridged: {{agent_id: {AGENT}}}}}}}"
    );
    let perimeter = Perimeter::start(&llm, &url);
    (spot, perimeter)
}

/// What the agent says to what it is asked.
fn agent(asked: &Asked) -> Reply {
    let prompt = asked.prompt();
    let call = |city: &str| {
        format!("FUNCTION_CALL_START\nweather\narguments: {{\"city\": \"{city}\"}}\nFUNCTION_CALL_END\n")
    };
    let has = |words: &str| prompt.contains(words);
    if has("<tool_result ") {
        Reply::deltas(&["It is", " 18 degrees."])
    } else if has("Köln and Recife") {
        Reply::deltas(&[&call("Köln"), &call("Recife")])
    } else if has("Köln") {
        Reply::deltas(&[&call("Köln")])
    } else if has("Which hue?") {
        Reply::deltas(&["{\"colour\":", " \"red\"}"])
    } else if has("too much") {
        Reply::rate_limit().header("Retry-After", "7")
    } else if has("breaks off") {
        Reply::deltas(&["Half", " of it"]).without_end().cut()
    } else if has("for ever") {
        Reply::deltas(&["On", " and on"]).without_end().never_ends()
    } else if asked.json()["upload_ids"].as_array().is_some_and(|ids| !ids.is_empty()) {
        Reply::deltas(&["A picture."])
    } else if let Some((_, number)) = prompt.rsplit_once("Say the number ") {
        let number: String = number.chars().take_while(char::is_ascii_digit).collect();
        Reply::deltas(&[&number, " it is."])
    } else {
        Reply::deltas(&["Hello", " there."])
    }
}

#[test]
fn openais_sdk_talks_to_stackspot() {
    let (spot, perimeter) = stackspot();
    script("python/bridge_openai.py", &Provider::start(), &perimeter.url);
    spot.wait_until_left(1);
}

#[test]
fn responses_of_openais_sdk_come_from_stackspot() {
    let (_spot, perimeter) = stackspot();
    script("python/bridge_responses.py", &Provider::start(), &perimeter.url);
}

#[test]
fn anthropics_sdk_talks_to_stackspot() {
    let (_spot, perimeter) = stackspot();
    script("python/bridge_anthropic.py", &Provider::start(), &perimeter.url);
}

#[test]
fn pydantic_ai_talks_to_stackspot() {
    let (_spot, perimeter) = stackspot();
    script("python/bridge_pydantic.py", &Provider::start(), &perimeter.url);
}

#[test]
fn fifty_at_once_are_answered_by_stackspot() {
    let (_spot, perimeter) = stackspot();
    script("python/bridge_crowd.py", &Provider::start(), &perimeter.url);
}

/// A proxy before the real Claude Code CLI, which asks a scripted API of Anthropic's.
fn claude_code() -> (Provider, Perimeter) {
    let provider = Provider::start();
    let llm = format!(
        "claude_code, api_key: {ANTHROPIC_KEY}, claude_code: {{command: '{}', retries: 0, \
         models: {{bridged: {{model: {BRIDGED}}}}}}}",
        installed("claude").display()
    );
    let perimeter = Perimeter::start(&llm, &provider.url(""));
    (provider, perimeter)
}

#[test]
fn openais_sdk_talks_to_claude_code() {
    let (provider, perimeter) = claude_code();
    script("python/bridge_openai.py", &provider, &perimeter.url);
    provider.await_leaving(BRIDGED);
}

#[test]
fn responses_of_openais_sdk_come_from_claude_code() {
    let (provider, perimeter) = claude_code();
    script("python/bridge_responses.py", &provider, &perimeter.url);
}

#[test]
fn anthropics_sdk_talks_to_claude_code() {
    let (provider, perimeter) = claude_code();
    script("python/bridge_anthropic.py", &provider, &perimeter.url);
}

#[test]
fn pydantic_ai_talks_to_claude_code() {
    let (provider, perimeter) = claude_code();
    script("python/bridge_pydantic.py", &provider, &perimeter.url);
}
