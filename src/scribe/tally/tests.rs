use super::*;
use crate::memory::Memory;
use crate::metrics::{self, Observation};

fn agent(name: &str, standing: Standing) -> (Arc<str>, Standing) {
    (name.into(), standing)
}

fn finished<'a>(model: &'a Arc<str>, error: Option<&'a Arc<str>>) -> Finished<'a> {
    Finished {
        operation: Operation::Chat,
        dialect: "openai_chat",
        vendor: "openai",
        model: Some(model),
        response_model: error.is_none().then_some(model),
        error,
        took: Duration::from_millis(15),
        stream: None,
        closed: Closer::Upstream,
        used: Some(None),
    }
}

#[test]
fn no_client_can_fill_the_metrics_with_models() {
    let tally = Tally::default();
    for n in 0..300 {
        tally.call("openai_chat", Some(&format!("m{n}").into()), None, Outcome::Complete);
    }
    tally.call("openai_chat", Some(&"m1".into()), None, Outcome::Cut);
    tally.call("openai_chat", Some(&"x".repeat(500).into()), None, Outcome::Complete);
    tally.call("openai_chat", None, None, Outcome::None);
    let lines = tally.lines();
    assert_eq!(lines.len(), 100 + 3);
    let others = lines.iter().find(|line| line.model.as_deref() == Some("other")).unwrap();
    assert_eq!(others.count, 201);
    assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), 303);
}

#[test]
fn models_that_nobody_answers_for_leave_room_for_those_that_are_real() {
    let prices = Arc::new(Prices::load(None).unwrap());
    let tally = Tally::new(config::Labels::default(), prices, "api.openai.com");
    for n in 0..300 {
        tally.call("openai_chat", Some(&format!("made-up-{n}").into()), None, Outcome::Error);
    }
    for real in ["our-own-llama", "gpt-5"] {
        tally.call("openai_chat", Some(&real.into()), None, Outcome::Complete);
    }
    for n in 0..300 {
        tally.call("openai_chat", Some(&format!("real-{n}").into()), None, Outcome::Complete);
    }
    tally.call("openai_chat", Some(&"gpt-5-mini".into()), None, Outcome::Error);
    let lines = tally.lines();
    for real in ["our-own-llama", "gpt-5", "gpt-5-mini"] {
        assert!(lines.iter().any(|line| line.model.as_deref() == Some(real)), "{real}");
    }
    assert!(lines.iter().filter(|line| line.outcome == "error").count() <= 52);
}

#[test]
fn however_labels_combine_there_are_only_so_many_lines() {
    let labels = config::Labels { model: 1000, agent: 1000, ..config::Labels::default() };
    let tally = Tally::of(labels, None);
    let mut calls = 0;
    for model in 0..80 {
        for who in 0..80 {
            let agent = agent(&format!("a{who}"), Standing::Proven);
            for outcome in [Outcome::Error, Outcome::Complete] {
                tally.call("openai_chat", Some(&format!("m{model}").into()), Some(&agent), outcome);
                calls += 1;
            }
        }
    }
    let lines = tally.lines();
    assert!(lines.len() <= LINES + 2, "{}", lines.len());
    assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), calls);
    let errors: Vec<Arc<str>> = (0..90).map(|n| format!("e{n}").into()).collect();
    for model in 0..90 {
        let model = format!("m{model}").into();
        errors.iter().for_each(|error| tally.finished(&finished(&model, Some(error))));
        tally.finished(&finished(&model, None));
    }
    let genai = tally.genai();
    assert!(genai.len() <= TOLD_APART + 2, "{}", genai.len());
    assert_eq!(genai.iter().map(|(_, calls)| calls.duration.count()).sum::<u64>(), 90 * 91);
    let answered = genai.iter().filter(|(attributes, _)| attributes.error_type.is_none()).count();
    assert_eq!((answered, genai.len()), (90, 90 + TOLD_APART / 2 + 1), "and one line for all the others");
}

#[test]
fn however_many_agents_there_are_each_model_keeps_its_line() {
    let tally =
        Tally::new(config::Labels::default(), Arc::new(Prices::load(None).unwrap()), "api.example.com");
    let agents: Vec<_> = (0..100_u32).map(|n| agent(&format!("a{n}"), Standing::Proven)).collect();
    let models: Vec<Arc<str>> = (0..60_u32).map(|n| format!("m{n}").into()).collect();
    for model in &models {
        agents
            .iter()
            .for_each(|agent| tally.call("openai_chat", Some(model), Some(agent), Outcome::Complete));
    }
    for outcome in [Outcome::Complete, Outcome::Error] {
        tally.call("openai_chat", Some(&"gpt-5".into()), Some(&agents[7]), outcome);
    }
    let lines = tally.lines();
    let of = |model: &str| {
        let lines = lines.iter().filter(|line| line.model.as_deref() == Some(model));
        lines.map(|line| line.count).sum::<u64>()
    };
    assert!(models.iter().all(|model| of(model) == 100));
    assert_eq!((of("gpt-5"), of(OTHER)), (2, 0));
}

#[test]
fn a_model_in_other_letters_is_none_of_the_price_table() {
    let tally =
        Tally::new(config::Labels::default(), Arc::new(Prices::load(None).unwrap()), "api.example.com");
    let name = "claude-sonnet-4-5-20250929";
    for outcome in [Outcome::Complete, Outcome::Error] {
        for bits in 0..4096_u32 {
            let letter =
                |(at, c): (usize, char)| if bits >> at & 1 == 1 { c.to_ascii_uppercase() } else { c };
            let odd: Arc<str> = name.chars().enumerate().map(letter).collect::<String>().into();
            tally.call("anthropic_messages", Some(&odd), None, outcome);
        }
    }
    assert!(tally.lines().len() <= 2 * 101, "{}", tally.lines().len());
    tally.call("anthropic_messages", Some(&name.into()), None, Outcome::Complete);
    assert!(tally.lines().iter().any(|line| line.model.as_deref() == Some(name)));
}

#[test]
fn an_alias_of_the_price_table_has_a_line_of_its_own() {
    let prices = Arc::new(Prices::load(None).unwrap());
    let alias = prices.entries().iter().find_map(|entry| entry.aliases.first()).unwrap();
    let tally = Tally::new(
        config::Labels { model: 1, ..config::Labels::default() },
        Arc::clone(&prices),
        "api.example.com",
    );
    for model in ["first", &**alias] {
        tally.call("openai_chat", Some(&model.into()), None, Outcome::Complete);
    }
    assert!(tally.lines().iter().any(|line| line.model.as_deref() == Some(&**alias)));
}

#[test]
fn agents_by_their_prompts_leave_room_for_those_with_names() {
    let tally = Tally::default();
    for n in 0..100 {
        let agent = agent(&format!("agent-{n}"), Standing::Said);
        tally.call("openai_chat", None, Some(&agent), Outcome::Complete);
    }
    for n in 0..100 {
        let agent = agent(&format!("writer {n}"), Standing::Proven);
        tally.call("openai_chat", None, Some(&agent), Outcome::Complete);
    }
    tally.call("openai_chat", None, Some(&agent("Claude Code", Standing::Listed)), Outcome::Complete);
    let lines = tally.lines();
    let of = |kind: &str| lines.iter().filter(|line| line.agent.as_ref().unwrap().starts_with(kind)).count();
    assert_eq!((of("agent-"), of("writer "), of("Claude Code"), lines.len()), (25, 25, 1, 52));
}

#[test]
fn labels_that_are_left_out_join_what_they_told_apart() {
    let labels = config::Labels { model: 0, response_model: 0, agent: 0, dialect: 0, error_type: 0 };
    let tally = Tally::of(labels, None);
    for (model, dialect) in [("a", "openai_chat"), ("b", "anthropic_messages")] {
        let agent = agent(model, Standing::Proven);
        tally.call(dialect, Some(&model.into()), Some(&agent), Outcome::Complete);
        tally.finished(&finished(&model.into(), Some(&"timeout".into())));
        tally.finished(&finished(&model.into(), None));
    }
    tally.call("http", None, None, Outcome::Complete);
    let lines = tally.lines();
    let [Line { dialect: None, model: None, agent: None, count: 3, .. }] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    let genai = tally.genai();
    assert_eq!(genai.len(), 1, "{genai:?}");
    assert_eq!(genai[0].1.duration.count(), 4);
}

#[test]
fn calls_that_infer_nothing_are_not_among_those_of_the_conventions() {
    let tally = Tally::default();
    let model = "m".into();
    for operation in [Operation::Models, Operation::CountTokens, Operation::Files, Operation::Embeddings] {
        tally.finished(&Finished { operation, ..finished(&model, None) });
    }
    let genai = tally.genai();
    assert_eq!(genai.iter().map(|(attributes, _)| attributes.operation).collect::<Vec<_>>(), ["embeddings"]);
}

#[test]
fn providers_and_operations_have_the_names_of_the_conventions() {
    let tally = Tally::default();
    let model = "gemini-2.5-pro".into();
    for (vendor, dialect) in [("gemini", "gemini"), ("vertex", "gemini"), ("azure", "openai_chat")] {
        tally.finished(&Finished { vendor, dialect, ..finished(&model, None) });
    }
    let told: Vec<_> = tally.genai().iter().map(|(told, _)| (told.provider, told.operation)).collect();
    let names = [
        ("azure.ai.openai", "chat"),
        ("gcp.gemini", "generate_content"),
        ("gcp.vertex_ai", "generate_content"),
    ];
    let mut told = told;
    told.sort_unstable();
    assert_eq!(told, names);
}

#[test]
fn a_provider_that_speaks_anothers_api_goes_by_its_own_name() {
    let prices = Arc::new(Prices::load(None).unwrap());
    let tally = Tally::new(config::Labels::default(), prices, "api.deepseek.com");
    tally.finished(&finished(&"deepseek-chat".into(), None));
    let providers: Vec<_> = tally.genai().into_iter().map(|(attributes, _)| attributes.provider).collect();
    assert_eq!(providers, ["deepseek"]);
}

/// A page that tells this, and nothing of interceptors.
fn page(tally: &Arc<Tally>) -> String {
    let observation = Observation {
        memory: Arc::new(Memory::new(1)),
        journal: Arc::default(),
        journal_bytes: Arc::default(),
        tally: Arc::clone(tally),
        crew: Vec::new(),
        semconv: config::Metrics::default().semconv,
        server: ("api.example.com".to_owned(), 443),
    };
    metrics::render(&[], Some(&observation), 0)
}

#[test]
fn twenty_thousand_made_up_names_are_a_bounded_page() {
    let prices = Arc::new(Prices::load(None).unwrap());
    let tally = Arc::new(Tally::new(config::Labels::default(), prices, "api.example.com"));
    let mut stream = Stream::default();
    stream.first_chunk = Some(Duration::from_millis(3));
    (0..20).for_each(|n| stream.gaps.add(Duration::from_millis(1 << n)));
    let usage = Usage::new(10, 20);
    for n in 0..20_000_u32 {
        let model = format!("{}{n}", "m".repeat(100)).into();
        let agent = agent(&format!("{}{n}", "a".repeat(100)), Standing::Proven);
        let error: Arc<str> = format!("{}{n}", "e".repeat(100)).into();
        let (error, outcome) =
            if n % 2 == 0 { (Some(&error), Outcome::Error) } else { (None, Outcome::Complete) };
        tally.call("openai_chat", Some(&model), Some(&agent), outcome);
        tally.finished(&Finished {
            stream: Some(&stream),
            used: Some(Some(&usage)),
            ..finished(&model, error)
        });
    }
    let page = page(&tally);
    assert!(page.len() < 64 << 20, "{} bytes", page.len());
    let lines = tally.lines();
    assert!(lines.len() <= LINES && tally.streams().len() <= 101 && tally.genai().len() <= TOLD_APART);
    assert_eq!(lines.iter().map(|line| line.count).sum::<u64>(), 20_000);
    let books = tally.books();
    let held = [&books.models, &books.agents, &books.response_models, &books.errors].map(Roll::held);
    assert_eq!(held, [100, 50, 100, 50]);
}
