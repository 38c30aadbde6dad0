use std::sync::LazyLock;

use http::{HeaderMap, Method, Version};
use perimeter_interceptor::{CallId, Completion, CostSource, LlmEvent, Operation, RequestHead, Usage, Usd};
use proptest::prelude::*;
use serde_json::Value;

use super::decimal::Decimal;
use super::names::Rule;
use super::*;
use crate::dialect::{Asked, Form};

fn shipped() -> &'static Prices {
    static SHIPPED: LazyLock<Prices> = LazyLock::new(|| Prices::load(None).unwrap());
    &SHIPPED
}

/// A day on which the prices are what they are.
fn today() -> Day {
    Day::parse("2026-11-21").unwrap()
}

fn frozen() -> &'static Prices {
    const TEXT: &str = include_str!("../../tests/fixtures/bills/prices.json");
    static FROZEN: LazyLock<Prices> =
        LazyLock::new(|| Prices { table: Table::new(parse("prices.json", TEXT).unwrap()).into() });
    &FROZEN
}

fn bills() -> Vec<Value> {
    serde_json::from_str(include_str!("../../tests/fixtures/bills/bills.json")).unwrap()
}

/// The usage that is written out in a bill.
fn usage_of(bill: &Value) -> Usage {
    let mut usage = Usage::default();
    for (key, number) in bill["usage"].as_object().unwrap() {
        let number = number.as_u64().unwrap();
        match key.as_str() {
            "input" => usage.input = number,
            "output" => usage.output = number,
            "cache_read" => usage.cache_read = Some(number),
            "cache_write" => usage.cache_write = Some(number),
            "cache_write_1h" => usage.cache_write_1h = Some(number),
            "audio_input" => usage.audio_input = Some(number),
            "audio_cache_read" => usage.audio_cache_read = Some(number),
            "image_input" => usage.image_input = Some(number),
            "reasoning" => usage.reasoning = Some(number),
            "audio_output" => usage.audio_output = Some(number),
            "image_output" => usage.image_output = Some(number),
            "searches" => usage.searches = Some(number),
            key => panic!("{key}"),
        }
    }
    usage.charged = bill["charged"].as_str().map(|charged| Usd(Decimal::parse(charged).unwrap().units()));
    usage
}

/// What the dialect reads in the response of a bill.
fn read(bill: &Value, path: &str) -> Completion {
    let head = RequestHead::new(Method::POST, path.parse().unwrap(), Version::HTTP_11, HeaderMap::new());
    let asked = Asked::of(&head).unwrap();
    let mut reader = asked.reader(CallId(0), 200, Form::of(Some(b"application/json")), 1 << 20);
    let mut told = Vec::new();
    reader.read(bill["response"].to_string().as_bytes(), &mut |event| told.push(event));
    reader.finish(true, &mut |event| told.push(event));
    match told.as_slice() {
        [.., LlmEvent::Completion(completion)] => Completion::clone(completion),
        told => panic!("{told:?}"),
    }
}

fn completion_of(bill: &Value) -> Completion {
    let mut completion = match (bill["response"].as_object(), bill["path"].as_str()) {
        (Some(_), Some(path)) => read(bill, path),
        _ => {
            let mut completion = Completion::new(CallId(0));
            completion.usage = Some(usage_of(bill));
            completion
        }
    };
    if let (None, Some(tier)) = (&completion.tier, bill["tier_told"].as_str()) {
        completion.tier = Some(tier.into());
    }
    completion
}

#[test]
fn every_bill_is_what_was_worked_out_by_hand() {
    let prices = frozen();
    let bills = bills();
    assert!(bills.len() >= 25);
    for bill in &bills {
        let name = bill["name"].as_str().unwrap();
        let asked = bill["asked"].as_str();
        let told = prices.bill(Operation::Chat, asked, &completion_of(bill), today());
        let Some(dollars) = bill["dollars"].as_str() else {
            assert!(matches!(told, Bill::Unknown(_)), "{name}: {told:?}");
            continue;
        };
        let Bill::Cost(cost) = told else { panic!("{name}: {told:?}") };
        assert_eq!(cost.total.to_string(), dollars, "{name}");
        match &cost.source {
            CostSource::Provider => assert_eq!(bill["provider"].as_bool(), Some(true), "{name}"),
            CostSource::Prices { model, tier, as_of } => {
                assert_eq!(bill["model"].as_str(), Some(&**model), "{name}");
                assert_eq!(bill["tier"].as_str(), Some(*tier), "{name}");
                assert_eq!(as_of.len(), 10, "{name}");
                let parts = [cost.input, cost.cache_read, cost.cache_write, cost.output, cost.tools];
                assert_eq!(parts.into_iter().sum::<Usd>(), cost.total, "{name}");
            }
            source => panic!("{name}: {source:?}"),
        }
    }
}

#[test]
fn the_shipped_prices_are_sorted_and_dated_and_each_says_where_it_stands() {
    let entries = parse("prices.json", SHIPPED).unwrap();
    assert!(entries.len() >= 150);
    let names: Vec<&str> = entries.iter().map(|entry| &*entry.model).collect();
    assert!(names.is_sorted(), "{names:?}");
    for entry in &entries {
        assert!(entry.source.starts_with("https://"), "{}", entry.model);
        assert!((&*entry.as_of) >= "2026-01-01", "{}", entry.model);
        assert!(entry.aliases.is_sorted(), "{}", entry.model);
        let standard = &entry.tier(Tier::Standard, today()).unwrap().1.usual;
        assert!(standard.get(Part::Input).is_some(), "{}", entry.model);
        // Only vectors come without a price for the answer.
        assert!(standard.get(Part::Output).is_some() || entry.model.contains("embed"), "{}", entry.model);
        for (tier, tariff) in &entry.tiers {
            for (above, sheet) in &tariff.long {
                assert!(*above >= 100_000, "{} {tier:?}", entry.model);
                let is_dearer =
                    sheet.get(Part::Input).is_none_or(|long| Some(long) > tariff.usual.get(Part::Input));
                assert!(is_dearer, "{} {tier:?}", entry.model);
            }
        }
        if let (Some(input), Some(read)) = (standard.get(Part::Input), standard.get(Part::CacheRead)) {
            assert!(read < input, "{}", entry.model);
        }
    }
}

#[test]
fn every_shipped_name_leads_to_its_entry_and_to_no_other() {
    let prices = shipped();
    for entry in prices.entries() {
        let (found, way) = prices.find(&entry.model).unwrap();
        assert_eq!((&found.model, way.rules.as_slice()), (&entry.model, [].as_slice()));
        for alias in &entry.aliases {
            let (found, way) = prices.find(alias).unwrap();
            assert_eq!(
                (&found.model, way.rules.as_slice()),
                (&entry.model, [Rule::Alias].as_slice()),
                "{alias}"
            );
        }
    }
}

#[test]
fn what_the_predecessor_got_wrong_is_right() {
    let prices = shipped();
    let found = |name: &str| prices.find(name).map(|(entry, _)| entry.model.to_string());
    for (name, model) in [
        ("gpt-4.1-mini-2025-04-14", Some("gpt-4.1-mini")),
        ("gpt-5-nano-2025-08-07", Some("gpt-5-nano")),
        ("o3-mini-2025-01-31", Some("o3-mini")),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", Some("ft:gpt-4o-mini-2024-07-18")),
        ("ft:gpt-4o-mini", None),
        ("", None),
        ("claude-3-5-sonnet-20241022", Some("claude-3-5-sonnet")),
        ("claude-opus-4-5", Some("claude-opus-4-5")),
        ("text-embedding-3-small", Some("text-embedding-3-small")),
        ("gemini-2.5-flash", Some("gemini-2.5-flash")),
        // And what clients and clouds write.
        ("claude-3-5-sonnet-latest", Some("claude-3-5-sonnet")),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("claude-sonnet-4-5")),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", Some("claude-3-5-sonnet")),
        ("claude-opus-4-1@20250805", Some("claude-opus-4-1")),
        ("anthropic/claude-3.7-sonnet", Some("claude-3-7-sonnet")),
        ("anthropic/claude-3.7-sonnet:thinking", None),
        ("claude-4-opus-20250514", Some("claude-opus-4")),
        ("gpt-4-0613", Some("gpt-4")),
        ("gpt-4o-2024-05-13", Some("gpt-4o-2024-05-13")),
        ("deepseek/deepseek-chat:free", None),
        ("x-ai/grok-4", Some("grok-4")),
        ("gpt-5-turbo", None),
    ] {
        assert_eq!(found(name).as_deref(), model, "{name}");
    }
}

#[test]
fn a_few_bills_with_the_shipped_prices() {
    let prices = shipped();
    let cost = |model: &str, usage: Usage| {
        let mut completion = Completion::new(CallId(0));
        completion.model = Some(model.into());
        completion.usage = Some(usage);
        match prices.bill(Operation::Chat, None, &completion, today()) {
            Bill::Cost(cost) => cost.total.to_string(),
            bill => panic!("{bill:?}"),
        }
    };
    // 1000 × 0.05 + 1000 × 0.4
    assert_eq!(cost("gpt-5-nano-2025-08-07", Usage::new(1000, 1000)), "0.00045");
    // 1000 × 3 + 1000 × 15
    assert_eq!(cost("claude-3-5-sonnet-20241022", Usage::new(1000, 1000)), "0.018");
    // 1000 × 0.13
    assert_eq!(cost("text-embedding-3-large", Usage::new(1000, 0)), "0.00013");
    // 1000 × 0.3 + 1000 × 2.5
    assert_eq!(cost("models/gemini-2.5-flash", Usage::new(1000, 1000)), "0.0028");
}

#[test]
fn calls_of_a_kind_that_is_free_have_no_cost_and_are_not_unknown() {
    let prices = shipped();
    let mut completion = Completion::new(CallId(0));
    let bill =
        |completion: &Completion, operation| prices.bill(operation, Some("gpt-5"), completion, today());
    for operation in [Operation::CountTokens, Operation::Models, Operation::Files, Operation::Moderation] {
        assert_eq!(bill(&completion, operation), Bill::Free, "{operation:?}");
    }
    completion.usage = Some(Usage::new(10, 10));
    assert_eq!(bill(&completion, Operation::CountTokens), Bill::Free);
    assert!(matches!(bill(&completion, Operation::Retrieval), Bill::Cost(_)));
    completion.repeated = true;
    assert_eq!(bill(&completion, Operation::Retrieval), Bill::Free);
}

/// What a call of this model, of a thousand tokens in and as many out, comes to.
fn thousand(prices: &Prices, model: &str, tier: Option<&str>, day: &str) -> Option<String> {
    let mut completion = Completion::new(CallId(0));
    completion.usage = Some(Usage::new(1000, 1000));
    completion.tier = tier.map(Into::into);
    match prices.bill(Operation::Chat, Some(model), &completion, Day::parse(day).unwrap()) {
        Bill::Cost(cost) => Some(cost.total.to_string()),
        _ => None,
    }
}

#[test]
fn a_price_that_changes_on_a_day_is_that_of_the_day_of_the_call() {
    let own = r#"{"models": {
        "factor": {
            "input": 1, "output": 2, "tiers": {"flex": 0.5}, "from": {"2027-01-01": 2},
            "source": "x", "as_of": "2026-01-31"
        },
        "anew": {
            "input": 1, "output": 2, "tiers": {"flex": 0.5}, "source": "x", "as_of": "2026-01-31",
            "from": {"2027-02-01": {"input": 5, "output": 5}, "2027-01-01": {"input": 3, "output": 3, "tiers": {"flex": 0.1}}}
        }
    }}"#;
    let prices = Prices { table: Table::new(parse("my.json", own).unwrap()).into() };
    let cost = |model, tier, day| thousand(&prices, model, tier, day);
    let dollars = |text: &str| Some(text.to_owned());
    assert_eq!(cost("factor", None, "2026-12-31"), dollars("0.003"));
    assert_eq!(cost("factor", None, "2027-01-01"), dollars("0.006"));
    assert_eq!(cost("factor", Some("flex"), "2026-12-31"), dollars("0.0015"));
    assert_eq!(cost("factor", Some("flex"), "2027-06-30"), dollars("0.003"));
    assert_eq!(cost("anew", None, "2026-12-31"), dollars("0.003"));
    assert_eq!(cost("anew", None, "2027-01-31"), dollars("0.006"));
    assert_eq!(cost("anew", Some("flex"), "2027-01-31"), dollars("0.0006"));
    assert_eq!(cost("anew", None, "2027-02-01"), dollars("0.01"));
    // Nothing of the prices before is left.
    assert_eq!(cost("anew", Some("flex"), "2027-02-01"), None);
}

#[test]
fn an_introductory_price_ends_when_its_provider_says() {
    assert_eq!(thousand(shipped(), "gemini-3.8-flash", None, "2026-12-31"), Some("0.0045".to_owned()));
    assert_eq!(thousand(shipped(), "gemini-3.8-flash", None, "2027-01-01"), Some("0.009".to_owned()));
}

#[test]
fn fast_is_the_priority_tier_where_that_is_sold_and_never_the_other_way_round() {
    let cost = |model, tier| thousand(shipped(), model, Some(tier), "2026-11-21");
    assert_eq!(cost("gpt-5", "fast"), cost("gpt-5", "priority"));
    assert_eq!(cost("gpt-5", "fast"), Some("0.0225".to_owned()));
    assert_eq!(cost("gpt-5-nano", "fast"), None);
    // 1000 × 5 × 2 + 1000 × 25 × 2
    assert_eq!(cost("claude-opus-5", "fast"), Some("0.06".to_owned()));
    assert_eq!(cost("claude-opus-5", "priority"), None);
}

#[test]
fn a_response_that_names_an_unknown_model_is_not_priced_as_what_was_asked_for() {
    let mut completion = Completion::new(CallId(0));
    completion.usage = Some(Usage::new(1000, 1000));
    let bill = |completion: &Completion| shipped().bill(Operation::Chat, Some("gpt-4o"), completion, today());
    assert!(matches!(bill(&completion), Bill::Cost(_)));
    completion.model = Some("".into());
    assert!(matches!(bill(&completion), Bill::Cost(_)));
    completion.model = Some("llama-3.1-8b-instant".into());
    assert_eq!(bill(&completion), Bill::Unknown(bill::Why::Model));
}

#[test]
fn what_is_kept_to_the_us_costs_a_tenth_more() {
    let mut completion = Completion::new(CallId(0));
    completion.usage = Some(Usage::new(1000, 1000));
    completion.region = Some("us".into());
    let bill =
        |completion: &Completion, model| shipped().bill(Operation::Chat, Some(model), completion, today());
    let Bill::Cost(cost) = bill(&completion, "claude-opus-4-6") else { panic!() };
    // (1000 × 5 + 1000 × 25) × 1.1
    assert_eq!(cost.total.to_string(), "0.033");
    completion.region = Some("moon".into());
    assert_eq!(bill(&completion, "claude-opus-4-6"), Bill::Unknown(bill::Why::Region));
}

#[test]
fn models_cost_what_they_cost_in_november_2026() {
    let cost = |model| thousand(shipped(), model, None, "2026-11-21").unwrap_or_default();
    for (model, dollars) in [
        // The increase that was announced for September never came.
        ("claude-sonnet-5", "0.012"),
        ("claude-sonnet-5-5", "0.012"),
        ("us.anthropic.claude-haiku-5-5", "0.00066"),
        ("claude-haiku-5-5", "0.0006"),
        ("claude-opus-5-5", "0.024"),
        ("anthropic/claude-fable-5.1", "0.06"),
        ("gpt-5.6", "0.024"),
        ("gpt-6-luna", "0.0006"),
        ("gpt-6.1-terra", "0.006"),
        ("gpt-6.2-astra", "0.048"),
        ("gpt-6.2-sol", "0.012"),
        // Prices by the hour and by holidays are none that a table can tell.
        ("deepseek-v4-flash", ""),
    ] {
        assert_eq!(cost(model), dollars, "{model}");
    }
}

/// What is wrong with a price file of this text.
fn refused(text: &str) -> String {
    parse("my.json", text).unwrap_err().to_string()
}

#[test]
fn an_error_in_a_price_file_tells_line_model_key_what_was_found_and_what_would_be_right() {
    let model =
        |fields: &str| format!("{{\n  \"models\": {{\n    \"m\": {{\n      {fields}\n    }}\n  }}\n}}\n");
    let dated = "\"source\": \"https://x\", \"as_of\": \"2026-01-31\"";
    for (text, error) in [
        (String::new(), "my.json:1: not JSON: EOF while parsing a value at line 1 column 0"),
        (
            "{\n  \"models\": {\n".to_owned(),
            "my.json:3: not JSON: EOF while parsing an object at line 3 column 0",
        ),
        ("[]".to_owned(), "my.json:1: found []; expected an object with the key `models`"),
        ("{}".to_owned(), "my.json:1: `models` is missing"),
        ("{\n\"model\": {}}".to_owned(), "my.json:2: model: there is no such key; did you mean `models`?"),
        (
            model(&format!("\"inptu\": 1,\n{dated}")),
            "my.json:4: models › m › inptu: there is no such key; did you mean `input`?",
        ),
        (
            model(&format!("\"input\": \"1,25\", {dated}")),
            "my.json:4: models › m › input: found \"1,25\"; expected a price in USD, such as 1.25 or \"0.075\"",
        ),
        (
            model(&format!("\"output\": 2,\n\"input\": -1, {dated}")),
            "my.json:5: models › m › input: found -1; expected a price in USD, such as 1.25 or \"0.075\"",
        ),
        (
            model(&format!("\"input\": 1e-3, {dated}")),
            "my.json:4: models › m › input: found 1e-3; expected a price in USD, such as 1.25 or \"0.075\"",
        ),
        (model("\"input\": 1, \"as_of\": \"2026-01-31\""), "my.json:3: models › m: `source` is missing"),
        (
            model("\"input\": 1, \"source\": \"x\",\n\"as_of\": \"31.1.2026\""),
            "my.json:5: models › m › as_of: found \"31.1.2026\"; expected a day, such as \"2026-11-01\"",
        ),
        (model(dated), "my.json:3: models › m: no price; expected at least `input`"),
        (
            model(&format!("\"output\": 2, {dated}")),
            "my.json:3: models › m: no price; expected at least `input`",
        ),
        (
            model(&format!("\"input\": NaN, {dated}")),
            "my.json:4: not JSON: expected value at line 4 column 16",
        ),
        (
            model(&format!("\"input\": \"NaN\", {dated}")),
            "my.json:4: models › m › input: found \"NaN\"; expected a price in USD, such as 1.25 or \"0.075\"",
        ),
        (
            model(&format!("\"input\": 0.0000000000001, {dated}")),
            "my.json:4: models › m › input: found 0.0000000000001; expected a price in USD, such as 1.25 or \"0.075\"",
        ),
        (
            model(&format!("\"input\": 1, \"from\": {{\"2027-02-29\": 2}}, {dated}")),
            "my.json:4: models › m › from › 2027-02-29: expected a day, such as 2027-01-01",
        ),
        (
            model(&format!("\"input\": 1, \"from\": {{\"2027-01-01\": {{\"output\": 2}}}}, {dated}")),
            "my.json:4: models › m › from › 2027-01-01: no price; expected at least `input`",
        ),
        (
            model(&format!(
                "\"input\": 1, \"from\": {{\"2027-01-01\": {{\"input\": 1, \"source\": \"x\"}}}}, {dated}"
            )),
            "my.json:4: models › m › from › 2027-01-01 › source: there is no such key; known are input, cache_read, cache_write_5m, cache_write_1h, audio_input, audio_cache_read, image_input, output, reasoning, audio_output, image_output, searches, tiers, long_context",
        ),
        (
            model(&format!("\"input\": 1, \"input\": 2, {dated}")),
            "my.json:4: models › m › input: this key stands here a second time",
        ),
        (
            model(&format!("\"input\": 1, \"tiers\": {{\"batch\": \"half\"}}, {dated}")),
            "my.json:4: models › m › tiers › batch: found \"half\"; expected a factor such as 0.5, or an object of prices",
        ),
        (
            model(&format!("\"input\": 1, \"tiers\": {{\"slow\": 2}}, {dated}")),
            "my.json:4: models › m › tiers › slow: there is no such key; known are batch, flex, priority, fast",
        ),
        (
            model(&format!("\"input\": 1, \"long_context\": {{\"200k\": {{}}}}, {dated}")),
            "my.json:4: models › m › long_context › 200k: expected a number of tokens, such as 200000",
        ),
        (
            model(&format!("\"input\": 1, \"aliases\": [\"M\"], {dated}")),
            "my.json:4: models › m › aliases: found [\"M\"]; expected a list of names in lower case, without blanks",
        ),
        (
            model(&format!("\"input\": 1, \"aliases\": [\"m\"], {dated}")),
            "my.json:3: models › m › aliases: `m` is a name of m too; a name has one price",
        ),
        (
            model(&format!("\"input\": \"0.000000000001\", \"regional\": 1.1, {dated}")),
            "my.json:4: models › m › regional: times 1.1, a price has more than 12 digits after the point",
        ),
    ] {
        assert_eq!(refused(&text), error, "{text}");
    }
}

#[test]
fn a_file_of_ones_own_stands_above_the_shipped_prices() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prices.json");
    let own = r#"{"models": {
        "our-own-llama": {"input": 0.1, "output": 0.2, "source": "here", "as_of": "2026-01-31"},
        "gpt-5": {"input": 1, "output": 8, "source": "our contract", "as_of": "2026-01-31"},
        "gpt-4-0613": {"input": 3, "output": 6, "source": "our contract", "as_of": "2026-01-31"}
    }}"#;
    std::fs::write(&path, format!("\u{feff}{own}")).unwrap();
    let prices = Prices::load(Some(&path)).unwrap();
    let source = |name: &str| prices.find(name).map(|(entry, _)| entry.source.clone());
    assert_eq!(source("our-own-llama").as_deref(), Some("here"));
    assert_eq!(source("gpt-5-2025-08-07").as_deref(), Some("our contract"));
    assert_eq!(source("gpt-4-0613").as_deref(), Some("our contract"));
    assert!(source("gpt-4").unwrap().starts_with("https://"));
    let (gpt_5, _) = prices.find("gpt-5").unwrap();
    // Nothing of the shipped entry is left.
    assert!(gpt_5.tier(Tier::Flex, today()).is_none());
    assert_eq!(prices.entries().len(), shipped().entries().len() + 2);

    let missing = Prices::load(Some(&dir.path().join("none.json"))).unwrap_err();
    assert!(missing.to_string().ends_with("none.json: cannot be read"), "{missing}");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(
        Prices::load(Some(&path))
            .unwrap_err()
            .to_string()
            .ends_with("not UTF-8; a list of prices is UTF-8 text")
    );
}

#[test]
fn the_file_that_the_readme_shows_can_be_read() {
    let readme = include_str!("../../README.md");
    let text = readme.split("```json\n").find(|text| text.starts_with("{ \"models\"")).unwrap();
    let [entry] = &parse("README.md", text.split("```").next().unwrap()).unwrap()[..] else {
        panic!("{text}")
    };
    assert_eq!(entry.tiers.len(), 3);
    assert_eq!(
        entry.tier(Tier::Batch, today()).unwrap().1.of(200_001).get(Part::Input),
        Decimal::parse("0.1").ok()
    );
}

#[test]
fn the_names_nearest_to_an_unknown_one_are_told() {
    let prices = shipped();
    assert_eq!(prices.nearest("gpt-5-nanoo").first(), Some(&"gpt-5-nano"));
    assert_eq!(prices.nearest("openai/GPT5").first(), Some(&"gpt-5"));
    assert_eq!(prices.nearest("gpt-4o-mini-2024-07-18-preview").first(), Some(&"gpt-4o-mini"));
    assert_eq!(prices.nearest("zzzzzzzz"), [""; 0]);
}

/// Names made of what names are made of, besides any text at all.
fn name() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "gpt-5",
        "claude-sonnet-4",
        "claude-3.5",
        "ft:",
        "openai/",
        "models/",
        "us.",
        "anthropic.",
        "-v1",
        ":0",
        "@",
        "-2025-08-07",
        "20250929",
        "-latest",
        ":",
        "/",
        ".",
        "-",
        "arn:aws:",
        "projects/",
        "ü",
    ]);
    prop_oneof![any::<String>(), proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat()),]
}

proptest! {
    #[test]
    fn no_name_makes_it_panic_and_what_is_found_is_a_model_whose_name_can_be_seen_in_it(name in name()) {
        let prices = shipped();
        if let Some((entry, way)) = prices.find(&name) {
            prop_assert!(prices.entries().iter().any(|known| known.model == entry.model));
            let plain = name.to_ascii_lowercase().replace('.', "-");
            let names = entry.aliases.iter().map(String::as_str).chain([&*entry.model]);
            let seen = names.into_iter().any(|known| plain.contains(&known.replace('.', "-")));
            prop_assert!(seen, "{name} → {} by {:?}", entry.model, way);
        }
        prices.nearest(&name);
    }

    #[test]
    fn no_file_makes_it_panic(text in "\\PC*", cut in 0..SHIPPED.len(), byte: u8) {
        let _ = parse("x", &text);
        let cut = SHIPPED.floor_char_boundary(cut);
        let _ = parse("x", &SHIPPED[..cut]);
        let mut spoilt = SHIPPED.as_bytes().to_vec();
        spoilt[cut] = byte;
        let _ = parse("x", &String::from_utf8_lossy(&spoilt));
    }

    #[test]
    fn no_usage_makes_it_panic_and_the_parts_add_up(
        model in 0..26_usize, numbers: [u64; 12], small: [u16; 12], is_small: bool,
    ) {
        let prices = frozen();
        let number = |index: usize| if is_small { small[index].into() } else { numbers[index] };
        let mut usage = Usage::new(number(0), number(1));
        usage.cache_read = Some(number(2));
        usage.cache_write = Some(number(3));
        usage.cache_write_1h = Some(number(4));
        usage.audio_input = Some(number(5));
        usage.audio_cache_read = Some(number(6));
        usage.image_input = Some(number(7));
        usage.reasoning = Some(number(8));
        usage.audio_output = Some(number(9));
        usage.image_output = Some(number(10));
        usage.searches = Some(number(11));
        let mut completion = Completion::new(CallId(0));
        completion.usage = Some(usage);
        let model = &prices.entries()[model % prices.entries().len()].model;
        if let Bill::Cost(cost) = prices.bill(Operation::Chat, Some(model), &completion, today()) {
            let parts = [cost.input, cost.cache_read, cost.cache_write, cost.output, cost.tools];
            prop_assert_eq!(parts.into_iter().sum::<Usd>(), cost.total);
        }
    }
}
