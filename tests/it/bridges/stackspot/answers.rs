use super::*;

#[test]
fn an_agent_answers_as_a_model() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let mut question = question("Olá?");
    question["messages"].as_array_mut().unwrap().insert(0, json!({"role": "system", "content": "Be brief."}));
    let answer = chat(&proxy, &question);
    assert_eq!(answer.text(), "Hello there.");
    let body = answer.json(200);
    assert_eq!(body["model"], "stackspot-chat");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (&body["usage"]["prompt_tokens"], &body["usage"]["completion_tokens"]),
        (&json!(42), &json!(5))
    );
    assert_eq!(answer.header("x-bridge"), Some("stackspot"));

    let asked = &spot.chats()[0];
    assert_eq!(asked.path, format!("/v1/agent/{AGENT}/chat"));
    assert_eq!(asked.header("authorization"), Some("Bearer token-1"));
    assert_eq!(asked.header("accept"), Some("text/event-stream"));
    let mut sent = asked.json();
    let prompt = sent["user_prompt"].take();
    let prompt = prompt.as_str().unwrap();
    assert!(prompt.find("Be brief.") < prompt.find("Olá?") && prompt.contains("Olá?"), "{prompt}");
    let rest = json!({"streaming": true, "user_prompt": null, "stackspot_knowledge": false,
        "return_ks_in_response": true, "use_conversation": false});
    assert_eq!(sent, rest);
}

#[test]
fn every_form_of_an_answer_is_the_same_to_a_client() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let words = ["Olá, ", "mün", "do: 1", "2", "."];
    let whole = words.concat();
    let crlf = "data: {\"message\":\"Olá, \"}\r\n\r\n: beat\r\n\r\ndata: {\"message\":\"mündo: 12.\"}\r\n\r\n\
        data: {\"stop_reason\":\"stop\",\"tokens\":{\"user\":\"40\",\"enrichment\":\"2\",\"output\":\"5\"}}\r\n\r\n";
    let forms = [
        Reply::deltas(&words),
        Reply::cumulative(&words),
        Reply::document(&whole),
        Reply::chunks(&words),
        Reply::raw("text/event-stream", crlf),
    ];
    for (form, reply) in forms.into_iter().enumerate() {
        spot.reply(reply.clone());
        let answer = chat(&proxy, &question("hi"));
        assert_eq!(answer.text(), whole, "form {form}");
        assert_eq!(answer.json(200)["usage"]["prompt_tokens"], 42, "form {form}");
        spot.reply(reply);
        let answer = chat(&proxy, &with(question("hi"), json!({"stream": true})));
        assert_eq!(streamed_text(&answer.body), whole, "form {form}");
        assert!(answer.body.trim_end().ends_with("data: [DONE]"), "form {form}");
    }
}

#[test]
fn a_stream_comes_as_the_agent_speaks() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    spot.reply(Reply::deltas(&["first", "second"]).gate(1, "first heard"));
    let mut client = send(&proxy, "/v1/chat/completions", "", &with(question("hi"), json!({"stream": true})));
    let head = client.head();
    assert_eq!(head.status(), 200);
    let mut heard = String::new();
    while !heard.contains("first") {
        heard.push_str(&String::from_utf8(client.chunk()).unwrap());
    }
    assert!(!heard.contains("second"));
    spot.open("first heard");
    heard.push_str(&String::from_utf8(client.body(&head)).unwrap());
    assert_eq!(streamed_text(&heard), "firstsecond");
}

#[test]
fn the_same_agent_answers_through_every_door() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let message =
        json!({"model": "chat", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    let answer = post(&proxy, "/v1/messages", "anthropic-version: 2023-06-01\r\n", &message);
    assert_eq!(answer.json(200)["content"][0]["text"], "Hello there.");
    let answer = post(&proxy, "/v1/completions", "", &json!({"model": "chat", "prompt": "hi"}));
    assert_eq!(answer.json(200)["choices"][0]["text"], "Hello there.");
    let answer = post(&proxy, "/v1/responses", "", &json!({"model": "chat", "input": "hi"}));
    assert_eq!(answer.json(200)["output"][0]["content"][0]["text"], "Hello there.");
    let count = post(&proxy, "/v1/messages/count_tokens", "anthropic-version: 2023-06-01\r\n", &message);
    assert!(count.json(200)["input_tokens"].as_u64().unwrap() > 0);
    assert_eq!(spot.chats().len(), 3, "counting asks nobody");
}

#[test]
fn an_agents_settings_are_sent_with_each_request() {
    let spot = Stackspot::start();
    let agents = "agents:\n  one:\n    agent_id: 01A\n    version: 3\n    use_knowledge: true\n    \
        return_knowledge: false\n    knowledge_sources: [ks-1, ks-2]\n    deep_search: true\n    \
        tool_style: xml\n    extra_body: {model_choice: big}\n  two: {agent_id: 01B, aliases: [second]}";
    let proxy = Proxy::bridge("stackspot").yaml(&spot.account(agents)).start();
    let ask = |model: &str| with(question("hi"), json!({"model": model}));
    chat(&proxy, &ask("one")).text();
    chat(&proxy, &ask("second")).text();
    let error = chat(&proxy, &ask("on")).error();
    assert_eq!((error.0, error.1.as_str()), (404, "model_not_found"));
    assert!(error.2.contains("one"), "{}", error.2);
    let chats = spot.chats();
    assert_eq!(
        chats.iter().map(|chat| chat.path.as_str()).collect::<Vec<_>>(),
        ["/v1/agent/01A/chat", "/v1/agent/01B/chat"]
    );
    let sent = chats[0].json();
    for (key, value) in [
        ("agent_version_number", json!(3)),
        ("stackspot_knowledge", json!(true)),
        ("return_ks_in_response", json!(false)),
        ("knowledge_source_ids", json!(["ks-1", "ks-2"])),
        ("deep_search_ks", json!(true)),
        ("model_choice", json!("big")),
    ] {
        assert_eq!(sent[key], value, "{key}");
    }
}

#[test]
fn knowledge_sources_are_annotations_and_a_footer_where_that_is_wanted() {
    let spot = Stackspot::start();
    let reply = || {
        Reply::events([
            json!({"message": "See the guide."}),
            json!({"stop_reason": "stop", "knowledge_source_id": ["ks-1"],
                "source": [{"id": "ks-1", "name": "Guide", "url": "https://k.example/1"}]}),
        ])
    };
    for (more, text) in [
        ("", "See the guide."),
        ("sources_footer: true", "See the guide.\n\nSources:\n- Guide: https://k.example/1"),
    ] {
        let proxy = setup(&spot, more).start();
        spot.reply(reply());
        let answer = chat(&proxy, &question("hi"));
        assert_eq!(answer.text(), text);
        let annotations = answer.json(200)["choices"][0]["message"]["annotations"].to_string();
        assert!(
            annotations.contains("https://k.example/1") && annotations.contains("Guide"),
            "{annotations}"
        );
        assert_eq!(answer.json(200)["usage"]["estimated"], true, "it said nothing of tokens");
        spot.reply(Reply::events([
            json!({"message": "See the guide."}),
            json!({"stop_reason": "stop", "tokens": {"input": 7, "output": 0}}),
        ]));
        let usage = chat(&proxy, &question("hi")).json(200)["usage"].clone();
        assert_eq!((&usage["completion_tokens"], &usage["estimated"]), (&json!(4), &json!(true)));
        // They are of the answer, not of the list below it.
        spot.reply(reply());
        let message = json!({"model": "chat", "max_tokens": 100, "messages": question("hi")["messages"]});
        let message = post(&proxy, "/v1/messages", "", &message).json(200);
        assert_eq!(message["content"][0]["text"], "See the guide.");
        assert_eq!(message["content"][0]["citations"][0]["source"], "https://k.example/1");
        spot.reply(reply());
        let response = post(&proxy, "/v1/responses", "", &json!({"model": "chat", "input": "hi"})).json(200);
        let annotations = &response["output"][0]["content"][0]["annotations"];
        assert_eq!(annotations[0]["url"], "https://k.example/1", "{response}");
    }
}

#[test]
fn an_answer_ends_where_the_client_wants_and_the_agent_with_it() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let reply = || Reply::deltas(&["one two ", "STO", "P three", " four"]).without_end().never_ends();
    spot.reply(reply());
    let answer = chat(&proxy, &with(question("hi"), json!({"stop": ["STOP"]})));
    assert_eq!(answer.text(), "one two ");
    assert_eq!(answer.json(200)["choices"][0]["finish_reason"], "stop");
    spot.wait_until_left(1);
    spot.reply(reply());
    let answer = chat(&proxy, &with(question("hi"), json!({"max_tokens": 2})));
    assert_eq!(answer.text(), "one two ");
    assert_eq!(answer.json(200)["choices"][0]["finish_reason"], "length");
    spot.wait_until_left(2);
}

#[test]
fn a_client_that_leaves_ends_the_agents_work() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    for (number, stream) in [true, false].into_iter().enumerate() {
        spot.reply(Reply::deltas(&["a"]).without_end().never_ends());
        let mut client =
            send(&proxy, "/v1/chat/completions", "", &with(question("hi"), json!({"stream": stream})));
        spot.wait_for_chats(number + 1);
        if stream {
            client.head();
        }
        client.close();
        spot.wait_until_left(number + 1);
    }
}

#[test]
fn tools_are_told_with_their_whole_schema_and_their_calls_read() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string", "enum": ["Recife", "Natal"]}},
        "required": ["city"], "additionalProperties": false});
    let tools = json!([{"type": "function", "function":
        {"name": "weather", "description": "Looks out.", "parameters": schema}}]);
    let call = [
        "I look.\n",
        "FUNCTION_CALL_ST",
        "ART\nweather\nargu",
        "ments: {\"city\": ",
        "\"Recife\"}\nFUNCTION_CALL_END\n",
    ];
    for stream in [false, true] {
        spot.reply(Reply::deltas(&call));
        let answer = chat(&proxy, &with(question("rain?"), json!({"tools": tools, "stream": stream})));
        assert!(!answer.body.contains("FUNCTION_CALL"), "{}", answer.body);
        if stream {
            let chunks = streamed(&answer.body);
            let deltas = || {
                chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].as_object())
            };
            let arguments: String =
                deltas().filter_map(|call| call["function"]["arguments"].as_str()).collect();
            assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), json!({"city": "Recife"}));
            assert_eq!(streamed_text(&answer.body).trim(), "I look.");
        } else {
            let body = answer.json(200);
            let choice = &body["choices"][0];
            assert_eq!(choice["finish_reason"], "tool_calls");
            let call = &choice["message"]["tool_calls"][0]["function"];
            assert_eq!(call["name"], "weather");
            assert_eq!(
                serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).unwrap(),
                json!({"city": "Recife"})
            );
        }
    }
    let prompt = spot.chats()[0].prompt();
    assert!(
        prompt.contains("Looks out.")
            && prompt.contains("\"enum\"")
            && prompt.contains("additionalProperties"),
        "{prompt}"
    );
}

#[test]
fn a_tools_result_leads_to_the_next_answer() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    spot.answer_by(|asked| match asked.prompt().contains("<tool_result") {
        true => Reply::deltas(&["It rains in Natal."]),
        false => Reply::deltas(&["FUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_END"]),
    });
    let tools =
        json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let mut request = with(question("rain?"), json!({"tools": tools}));
    let message = chat(&proxy, &request).json(200)["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].clone();
    let messages = request["messages"].as_array_mut().unwrap();
    messages.extend([message, json!({"role": "tool", "tool_call_id": id, "content": "heavy rain"})]);
    assert_eq!(chat(&proxy, &request).text(), "It rains in Natal.");
    let prompt = spot.chats()[1].prompt();
    assert!(prompt.contains(id.as_str().unwrap()) && prompt.contains("heavy rain"), "{prompt}");
}

#[test]
fn why_an_answer_ended_is_told() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    for (said, told) in [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
    ] {
        spot.reply(Reply::events([json!({"message": "so far"}), json!({"stop_reason": said})]));
        let answer = chat(&proxy, &question("hi"));
        let choice = &answer.json(200)["choices"][0];
        assert_eq!(choice["finish_reason"], told);
        assert_eq!(choice["message"]["refusal"].is_string(), told == "content_filter");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let answer = chat(
        &proxy,
        &with(question("hi"), json!({"temperature": 0.1, "seed": 7, "reasoning_effort": "high"})),
    );
    let warnings = answer.header("x-bridge-warnings").unwrap();
    assert!(
        ["temperature", "seed", "reasoning_effort"].iter().all(|name| warnings.contains(name)),
        "{warnings}"
    );
    let error = chat(&proxy, &with(question("hi"), json!({"n": 2}))).error();
    assert_eq!(error.0, 400);
    assert_eq!(spot.chats().len(), 1);
}

#[test]
fn a_quick_command_is_a_model_that_answers_when_it_has_run() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "quick_commands: [explain-code]").start();
    let ask = |text: &str| with(question(text), json!({"model": "qc/explain-code"}));
    let answer = chat(&proxy, &ask("fn main() {}"));
    assert_eq!(answer.text(), "ran: fn main() {}");
    let answer = chat(&proxy, &with(ask("x"), json!({"stream": true})));
    assert_eq!(streamed_text(&answer.body), "ran: x");
    assert_eq!(chat(&proxy, &ask("fail")).error().1, "upstream_error");
    // The run is paid for: an outage, or a token that ends meanwhile, does not lose it.
    for text in ["flaky", "long"] {
        assert_eq!(chat(&proxy, &ask(text)).text(), format!("ran: {text}"));
    }
    let paths: Vec<_> = spot.asked().into_iter().map(|asked| asked.path).collect();
    assert!(paths.contains(&"/v1/quick-commands/create-execution/explain-code".to_owned()), "{paths:?}");
}
