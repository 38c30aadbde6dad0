//! `/sessions`: those that are held, the latest first.

use http::{Response, StatusCode};
use perimeter_printer::text::escape_in_json;
use perimeter_redact::redact;
use serde_json::json;

use super::{json_page, page};
use crate::body::Body;
use crate::scribe::live::{Asker, Held};

/// So many are shown where nobody says how many.
const USUAL: usize = 100;
/// And never more than these.
const MOST: usize = 10_000;

/// So many are written before others get their turn: on the proxy's port, the traffic is on this thread.
const AT_ONCE: usize = 16;

/// The page, for a request with this query.
pub(super) async fn answer(asker: Option<Asker>, query: Option<String>) -> Response<Body> {
    let Some(limit) = limit(query.as_deref()) else {
        let problem = format!("`limit` is a number from 1 to {MOST}");
        return json_page(StatusCode::BAD_REQUEST, &json!({"error": problem}));
    };
    let Some(asker) = asker else {
        return json_page(StatusCode::OK, &json!({"sessions": [], "live": 0, "shown": 0, "watching": false}));
    };
    match asker.ask(limit).await {
        Ok(held) => page(StatusCode::OK, "application/json", write(&held).await),
        Err(why) => json_page(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": why.to_string()})),
    }
}

/// How many are asked for; `None` where that is not said as it should be.
fn limit(query: Option<&str>) -> Option<usize> {
    let mut said = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("limit="));
    match said.next() {
        None => Some(USUAL),
        Some(number) => number.parse().ok().filter(|number| (1..=MOST).contains(number)),
    }
}

async fn write(held: &Held) -> String {
    let mut text = "{\"sessions\":[".to_owned();
    for (number, live) in held.latest().iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        // Names are the client's own words, and who asks may do so from a terminal.
        text.push_str(&escape_in_json(&redact(&live.to_json())));
        if number % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
    text.push_str(&format!(
        "],\"live\":{},\"shown\":{},\"watching\":true}}",
        held.count,
        held.latest().len()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_in_its_bounds() {
        for (query, expected) in [
            (None, Some(USUAL)),
            (Some(""), Some(USUAL)),
            (Some("x=1"), Some(USUAL)),
            (Some("limit=1"), Some(1)),
            (Some("x=1&limit=10000"), Some(MOST)),
            (Some("limit="), None),
            (Some("limit=0"), None),
            (Some("limit=10001"), None),
            (Some("limit=-1"), None),
            (Some("limit=99999999999999999999999"), None),
            (Some("limit=ten"), None),
        ] {
            assert_eq!(limit(query), expected, "{query:?}");
        }
    }
}
