//! What is refused, and in which words: place, path, what was found, what would be right.

use insta::assert_snapshot;

use super::read;

#[track_caller]
fn refused(yaml: &str) -> String {
    read(yaml).expect_err("the file should be refused").to_string()
}

#[test]
fn a_misspelt_key_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: http://x\nserver:\n  prot: 8080\n"), @r"
    config.yaml:5:3: server.prot: unknown key; did you mean `port`?
      |
    5 |   prot: …
      |   ^^^^
    ");
}

#[test]
fn a_misspelt_section_is_refused() {
    assert_snapshot!(refused("lm:\n  type: openai\n  base_url: http://x\n"), @r"
    config.yaml:1:1: lm: unknown key; did you mean `llm`?
      |
    1 | lm: …
      | ^^
    ");
}

#[test]
fn a_key_in_the_wrong_section_is_refused() {
    assert_snapshot!(refused("{LLM}drain: 10s\n"), @r"
    config.yaml:2:1: drain: unknown key here; `drain` stands in `server`
      |
    2 | drain: …
      | ^^^^^
    ");
}

#[test]
fn a_key_that_nobody_knows_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  colour: red\n"), @r"
    config.yaml:3:3: server.colour: unknown key; known here: host, port, workers, drain, flush, admin, header_timeout, max_connections, client_keys, allow_open, admin_on_proxy_port
      |
    3 |   colour: …
      |   ^^^^^^
    ");
}

#[test]
fn a_key_with_dashes_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  max-connections: 10\n"), @r"
    config.yaml:3:3: server.max-connections: unknown key; did you mean `max_connections`?
      |
    3 |   max-connections: …
      |   ^^^^^^^^^^^^^^^
    ");
}

#[test]
fn a_word_for_a_number_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port: eighty\n"), @r#"
    config.yaml:3:9: server.port: found "eighty"; expected a whole number from 0 to 65535
      |
    3 |   port: eighty
      |         ^^^^^^
    "#);
}

#[test]
fn a_port_out_of_range_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port: 70000\n"), @r"
    config.yaml:3:9: server.port: found 70000; expected a whole number from 0 to 65535
      |
    3 |   port: 70000
      |         ^^^^^
    ");
}

#[test]
fn too_many_workers_are_refused() {
    assert_snapshot!(refused("{LLM}server:\n  workers: 65\n"), @r"
    config.yaml:3:12: server.workers: found 65; expected 1 to 64 forwarding threads
      |
    3 |   workers: 65
      |            ^^
    ");
}

#[test]
fn no_worker_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  workers: 0\n"), @r"
    config.yaml:3:12: server.workers: found 0; expected 1 to 64 forwarding threads
      |
    3 |   workers: 0
      |            ^
    ");
}

#[test]
fn a_host_name_to_listen_on_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  host: example.com\n"), @r#"
    config.yaml:3:9: server.host: found "example.com"; expected localhost or an IP address, such as 127.0.0.1, 0.0.0.0 or ::1
      |
    3 |   host: example.com
      |         ^^^^^^^^^^^
    "#);
}

#[test]
fn a_duration_without_sense_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  drain: a while\n"), @r#"
    config.yaml:3:10: server.drain: found "a while"; expected a duration of at most a year, such as 30s, 5m, 500ms, or a number of seconds
      |
    3 |   drain: a while
      |          ^^^^^^^
    "#);
}

#[test]
fn a_duration_of_nothing_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  header_timeout: 0\n"), @r"
    config.yaml:3:19: server.header_timeout: found 0; expected a duration longer than nothing
      |
    3 |   header_timeout: 0
      |                   ^
    ");
}

#[test]
fn a_size_without_sense_is_refused() {
    assert_snapshot!(refused("{LLM}observe:\n  memory: 10 apples\n"), @r#"
    config.yaml:3:11: observe.memory: found "10 apples"; expected a size such as 64MiB, 10MB, or a number of bytes
      |
    3 |   memory: 10 apples
      |           ^^^^^^^^^
    "#);
}

#[test]
fn yes_for_true_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  allow_open: yes\n"), @r#"
    config.yaml:3:15: server.allow_open: found "yes"; expected true or false
      |
    3 |   allow_open: yes
      |               ^^^
    "#);
}

#[test]
fn a_number_for_a_section_is_refused() {
    assert_snapshot!(refused("{LLM}server: 4000\n"), @"config.yaml:2:9: server: found a single value; expected a mapping of these keys: host, port, workers, drain, flush, admin, header_timeout, max_connections, client_keys, allow_open, admin_on_proxy_port");
}

#[test]
fn a_list_for_a_section_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  - port: 4000\n"), @"config.yaml:3:3: server: found a list; expected a mapping of these keys: host, port, workers, drain, flush, admin, header_timeout, max_connections, client_keys, allow_open, admin_on_proxy_port");
}

#[test]
fn a_word_for_a_list_is_refused() {
    assert_snapshot!(refused("{LLM}observe:\n  mask:\n    headers: x-my-key\n"), @"config.yaml:4:14: observe.mask.headers: found a single value; expected a list");
}

#[test]
fn a_header_name_that_is_none_is_refused() {
    assert_snapshot!(refused("{LLM}observe:\n  mask:\n    headers: [x my key]\n"), @"config.yaml:4:15: observe.mask.headers[0]: expected the name of a header, such as x-my-key");
}

#[test]
fn a_header_that_cannot_name_a_session_is_refused() {
    let headers =
        |list: &str| refused(&format!("{{LLM}}session:\n  headers:\n    - x-my-session\n    - {list}\n"));
    assert_snapshot!(headers("x session"), @r#"
    config.yaml:5:7: session.headers[1]: found "x session"; expected the name of a header, such as x-my-session
      |
    5 |     - x session
      |       ^^^^^^^^^
    "#);
    assert_snapshot!(headers("Authorization"), @r#"
    config.yaml:5:7: session.headers[1]: found "Authorization"; expected a header that names the session; this one holds a credential, which would be kept as a name
      |
    5 |     - Authorization
      |       ^^^^^^^^^^^^^
    "#);
    assert_snapshot!(headers("x-my-api-key"), @r#"
    config.yaml:5:7: session.headers[1]: found "x-my-api-key"; expected a header that names the session; this one holds a credential, which would be kept as a name
      |
    5 |     - x-my-api-key
      |       ^^^^^^^^^^^^
    "#);
    assert_snapshot!(headers("X-Perimeter-Session-Id"), @r#"
    config.yaml:5:7: session.headers[1]: found "X-Perimeter-Session-Id"; expected a header of your own; what this one means is fixed
      |
    5 |     - X-Perimeter-Session-Id
      |       ^^^^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(headers("User-Agent"), @r#"
    config.yaml:5:7: session.headers[1]: found "User-Agent"; expected a header that is the same in each request of a session, and another in other sessions
      |
    5 |     - User-Agent
      |       ^^^^^^^^^^
    "#);
    assert_snapshot!(refused("{LLM}session:\n  headers: x-my-session\n"), @"config.yaml:3:12: session.headers: found a single value; expected a list");
    let many = (0..17).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(", ");
    assert_snapshot!(refused(&format!("{{LLM}}session:\n  headers: [{many}]\n")), @"config.yaml:3:12: session.headers: found a list; expected at most 16 names of headers");
    let masked = "{LLM}session:\n  headers: [x-ours, x-other]\nobserve:\n  mask:\n    headers: [X-Other]\n";
    assert_snapshot!(refused(masked), @"config.yaml:3:12: session.headers: found a list; x-other is a secret in observe.mask.headers, and would be kept as a session's name");
}

#[test]
fn no_credential_can_name_a_session() {
    for header in [
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "x-amz-security-token",
        "cookie",
        "set-cookie",
        "x-perimeter-key",
        "helicone-auth",
        "x-session-token",
        "x_my_secret",
    ] {
        let error = refused(&format!("{{LLM}}session: {{headers: [{header}]}}\n"));
        assert!(error.contains("this one holds a credential"), "{header}: {error}");
    }
}

#[test]
fn a_key_given_twice_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port: 1\n  host: localhost\n  port: 2\n"), @r"
    config.yaml:5:3: server.port: this key stands here a second time; first in line 3
      |
    5 |   port: …
      |   ^^^^
    ");
}

#[test]
fn a_section_given_twice_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port: 1\nserver:\n  host: localhost\n"), @r"
    config.yaml:4:1: server: this key stands here a second time; first in line 2
      |
    4 | server: …
      | ^^^^^^
    ");
}

#[test]
fn an_unknown_provider_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openia\n  base_url: http://x\n"), @r#"
    config.yaml:2:9: llm.type: found "openia"; did you mean `openai`?
      |
    2 |   type: openia
      |         ^^^^^^
    "#);
}

#[test]
fn a_provider_unlike_any_is_refused() {
    assert_snapshot!(refused("llm:\n  type: bedrock\n  base_url: http://x\n"), @r#"
    config.yaml:2:9: llm.type: found "bedrock"; expected one of openai, anthropic, gemini, auto, stackspot, claude_code
      |
    2 |   type: bedrock
      |         ^^^^^^^
    "#);
}

#[test]
fn a_url_without_scheme_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: api.openai.com\n"), @r#"
    config.yaml:3:13: llm.base_url: found "api.openai.com"; a base URL begins with http:// or https://
      |
    3 |   base_url: api.openai.com
      |             ^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_url_with_another_scheme_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: ftp://api.openai.com\n"), @r#"
    config.yaml:3:13: llm.base_url: found "ftp://api.openai.com"; a base URL begins with http:// or https://
      |
    3 |   base_url: ftp://api.openai.com
      |             ^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_url_with_a_port_that_is_none_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: https://api.openai.com:99999\n"), @r#"
    config.yaml:3:13: llm.base_url: found "https://api.openai.com:99999"; the URL's port is not a number from 1 to 65535
      |
    3 |   base_url: https://api.openai.com:99999
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_level_that_is_none_is_refused() {
    assert_snapshot!(refused("{LLM}logging:\n  level: loud\n"), @r#"
    config.yaml:3:10: logging.level: found "loud"; expected one of trace, debug, info, warn, error
      |
    3 |   level: loud
      |          ^^^^
    "#);
}

#[test]
fn a_format_that_is_none_is_refused() {
    assert_snapshot!(refused("{LLM}logging:\n  format: detailed\n"), @r#"
    config.yaml:3:11: logging.format: found "detailed"; expected one of text, json
      |
    3 |   format: detailed
      |           ^^^^^^^^
    "#);
}

#[test]
fn too_many_log_files_are_refused() {
    assert_snapshot!(refused("{LLM}logging:\n  backup_count: 100000\n"), @r"
    config.yaml:3:17: logging.backup_count: found 100000; expected at most 1000 files
      |
    3 |   backup_count: 100000
      |                 ^^^^^^
    ");
}

#[test]
fn an_unknown_interceptor_is_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - type: printer\n  - type: http_recoder\n"), @r#"
    config.yaml:4:11: interceptors[1].type: found "http_recoder"; no such interceptor; did you mean `http_recorder`?
      |
    4 |   - type: http_recoder
      |           ^^^^^^^^^^^^
    "#);
}

#[test]
fn an_interceptor_unlike_any_is_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - type: blockchain\n"), @r#"
    config.yaml:3:11: interceptors[0].type: found "blockchain"; no such interceptor; expected one of printer, message_logger, event_recorder, session_detector, trace_exporter, otel, cylestio_trace, test_recorder, http_recorder, live_trace
      |
    3 |   - type: blockchain
      |           ^^^^^^^^^^
    "#);
}

#[test]
fn an_address_of_the_cylestio_platform_that_is_none_is_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - type: cylestio_trace\n    config:\n      api_url: api.cylestio.com\n"), @r#"
    config.yaml:5:16: interceptors[0].config.api_url: found "api.cylestio.com"; expected an address such as https://api.cylestio.com: http or https, a host, no user, no query and no fragment
      |
    5 |       api_url: api.cylestio.com
      |                ^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn an_access_key_that_cannot_be_is_refused_and_not_told() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - type: cylestio_trace\n    config:\n      access_key: K2 two words\n"), @"config.yaml:5:19: interceptors[0].config.access_key: an access key holds visible ASCII characters only: no blanks, no line ends, and not nothing");
}

#[test]
fn an_interceptor_without_type_is_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - enabled: true\n"), @"config.yaml:3:5: interceptors[0]: `type` is missing");
}

#[test]
fn a_misspelt_key_of_an_interceptor_is_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - type: printer\n    enable: false\n"), @r"
    config.yaml:4:5: interceptors[0].enable: unknown key; did you mean `enabled`?
      |
    4 |     enable: …
      |     ^^^^^^
    ");
}

#[test]
fn settings_that_are_no_mapping_are_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - type: printer\n    config: loud\n"), @"config.yaml:4:13: interceptors[0].config: found a single value; expected a mapping of these keys: format, log_requests, log_responses, log_body, show_sessions, show_llm_calls, show_tools, redact_credentials");
}

#[test]
fn interceptors_that_are_no_list_are_refused() {
    assert_snapshot!(refused("{LLM}interceptors: printer\n"), @"config.yaml:2:15: interceptors: found a single value; expected a list");
}

#[test]
fn an_interceptor_that_is_a_word_is_refused() {
    assert_snapshot!(refused("{LLM}interceptors:\n  - printer\n"), @"config.yaml:3:5: interceptors[0]: found a single value; expected a mapping of these keys: type, enabled, config");
}

#[test]
fn an_unset_variable_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: https://${NO_SUCH_HOST}/v1\n"), @"config.yaml:3:13: llm.base_url: environment variable `NO_SUCH_HOST` is not set; set it, or write `${NO_SUCH_HOST:-default}`");
}

#[test]
fn a_variable_left_open_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: https://${SET/v1\n"), @"config.yaml:3:13: llm.base_url: `${` without its `}`; write `$${` for a literal `${`");
}

#[test]
fn a_variable_with_a_shell_operator_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n  base_url: ${SET:?gone}\n"), @"config.yaml:3:13: llm.base_url: `${…}` holds a variable's name, or `NAME:-default`; write `$${` for a literal `${`");
}

#[test]
fn a_variable_that_stands_for_no_port_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port: ${SET}\n"), @r"
    config.yaml:3:9: server.port: found what ${SET} stands for; expected a whole number from 0 to 65535
      |
    3 |   port: ${SET}
      |         ^^^^^^
    ");
}

#[test]
fn an_admin_listener_for_everyone_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  admin:\n    host: 0.0.0.0\n"), @r#"
    config.yaml:4:11: server.admin.host: found "0.0.0.0"; an admin listener beyond loopback needs server.admin.token: it shows the configuration
      |
    4 |     host: 0.0.0.0
      |           ^^^^^^^
    "#);
}

#[test]
fn an_admin_port_that_is_the_proxys_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port: 4000\n  admin:\n    port: 4000\n"), @r"
    config.yaml:5:11: server.admin.port: found 4000; this is server.port; the admin listener needs its own
      |
    5 |     port: 4000
      |           ^^^^
    ");
}

#[test]
fn an_empty_client_key_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  client_keys: ['']\n"), @"config.yaml:3:17: server.client_keys[0]: a key or token cannot be empty");
}

#[test]
fn a_session_limit_of_nothing_is_refused() {
    assert_snapshot!(refused("{LLM}session:\n  max_sessions: 0\n"), @r"
    config.yaml:3:17: session.max_sessions: found 0; expected at least 1
      |
    3 |   max_sessions: 0
      |                 ^
    ");
}

#[test]
fn no_provider_at_all_is_refused() {
    assert_snapshot!(refused("server:\n  port: 4000\n"), @"config.yaml: no provider to forward to: give --base-url URL and --type openai|anthropic|gemini|auto, or LLM_BASE_URL and LLM_TYPE in the environment, or llm.base_url and llm.type in a file with --config");
}

#[test]
fn no_base_url_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n"), @"config.yaml: no base URL to forward to: give --base-url URL, or LLM_BASE_URL in the environment, or llm.base_url in the file");
}

#[test]
fn no_type_is_refused() {
    assert_snapshot!(refused("llm:\n  base_url: http://x\n"), @"config.yaml: no type of provider: give --type openai|anthropic|gemini|auto|stackspot|claude_code, or LLM_TYPE in the environment, or llm.type in the file");
}

#[test]
fn an_empty_file_is_refused() {
    assert_snapshot!(refused(""), @"config.yaml: no provider to forward to: give --base-url URL and --type openai|anthropic|gemini|auto, or LLM_BASE_URL and LLM_TYPE in the environment, or llm.base_url and llm.type in a file with --config");
}

#[test]
fn a_file_of_comments_is_refused() {
    assert_snapshot!(refused("# nothing yet\n"), @"config.yaml: no provider to forward to: give --base-url URL and --type openai|anthropic|gemini|auto, or LLM_BASE_URL and LLM_TYPE in the environment, or llm.base_url and llm.type in a file with --config");
}

#[test]
fn a_second_document_is_refused() {
    assert_snapshot!(refused("{LLM}---\nserver: {}\n"), @"config.yaml:3:1: a second document; a configuration is one");
}

#[test]
fn a_list_for_a_file_is_refused() {
    assert_snapshot!(refused("- llm\n"), @"config.yaml:1:1: found a list; expected a mapping of these keys: server, llm, interceptors, observe, logging, session, pricing, metrics, state_dir");
}

#[test]
fn prose_for_a_file_is_refused() {
    assert_snapshot!(refused("dear proxy, please listen\n"), @"config.yaml:1:1: found a single value; expected a mapping of these keys: server, llm, interceptors, observe, logging, session, pricing, metrics, state_dir");
}

#[test]
fn a_bracket_left_open_is_refused() {
    assert_snapshot!(refused("llm: [\n"), @"config.yaml:1:6: not YAML: unclosed bracket '['");
}

#[test]
fn a_quote_left_open_is_refused() {
    assert_snapshot!(refused("llm:\n  type: \"openai\n"), @"config.yaml:3:1: not YAML: invalid indentation in multiline quoted scalar");
}

#[test]
fn a_tab_for_an_indent_is_refused() {
    assert_snapshot!(refused("llm:\n\ttype: openai\n"), @"config.yaml:2:2: not YAML: tabs disallowed within this context (block indentation)");
}

#[test]
fn two_colons_in_a_line_are_refused() {
    assert_snapshot!(refused("llm: type: openai\n"), @"config.yaml:1:10: not YAML: mapping values are not allowed in this context; is a colon missing before this, or does this value need quotes?");
}

#[test]
fn an_alias_of_nothing_is_refused() {
    assert_snapshot!(refused("llm: *provider\n"), @"config.yaml:1:6: not YAML: alias references unknown anchor; put quotes around a value that begins with * or &");
}

#[test]
fn a_mapping_for_a_key_is_refused() {
    assert_snapshot!(refused("? {a: b}\n: c\n"), @"config.yaml:1:3: a key must be a plain word");
}

#[test]
fn a_variable_between_braces_without_quotes_is_refused() {
    assert_snapshot!(refused("llm: {type: ${T}, base_url: http://x}\n"), @"config.yaml:1:14: not YAML: while parsing a flow mapping, did not find expected ',' or '}'; between braces, put quotes around a value that holds braces, such as ${NAME}");
}

#[test]
fn a_value_that_begins_with_a_sign_of_yamls_is_refused() {
    assert_snapshot!(refused("llm:\n  type: @openai\n"), @"config.yaml:2:9: not YAML: unexpected character: `@'; put quotes around a value that begins like this");
}

#[test]
fn a_line_out_of_its_column_is_refused() {
    assert_snapshot!(refused("llm:\n  type: openai\n base_url: http://x\n"), @"config.yaml:3:2: not YAML: while parsing a block mapping, did not find expected key; do the lines of this section begin in the same column?");
}

#[test]
fn a_colon_without_a_blank_is_refused() {
    assert_snapshot!(refused("{LLM}server:\n  port:4000\n"), @"config.yaml:3:3: server: found a single value, maybe for want of a blank after a colon; expected a mapping of these keys: host, port, workers, drain, flush, admin, header_timeout, max_connections, client_keys, allow_open, admin_on_proxy_port");
}

#[test]
fn a_key_without_a_colon_is_refused() {
    assert_snapshot!(refused("llm:\n  base_url http://x\n  type: openai\n"), @"config.yaml:3:7: not YAML: mapping values are not allowed in this context; is a colon missing before this, or does this value need quotes?");
}

#[test]
fn a_state_of_the_conventions_that_there_is_not_is_refused() {
    assert_snapshot!(refused("{LLM}metrics:\n  semconv: [latest, v1_36]\n"), @r#"config.yaml:3:21: metrics.semconv[1]: found "v1_36"; expected one of latest, v1_41"#);
}

#[test]
fn a_label_that_there_is_not_is_refused() {
    assert_snapshot!(refused("{LLM}metrics:\n  labels: {session: 10}\n"), @"config.yaml:3:12: metrics.labels.session: unknown key; known here: model, response_model, agent, dialect, error_type");
}

#[test]
fn a_label_of_more_values_than_anyone_reads_is_refused() {
    assert_snapshot!(refused("{LLM}metrics:\n  labels: {model: 5000}\n"), @"config.yaml:3:19: metrics.labels.model: found 5000; expected how many values are shown, 0 to 1000, or false for no such label");
    assert_snapshot!(refused("{LLM}metrics:\n  labels: {agent: yes}\n"), @r#"config.yaml:3:19: metrics.labels.agent: found "yes"; expected how many values are shown, 0 to 1000, or false for no such label"#);
}

#[test]
fn a_label_outside_of_the_labels_is_refused() {
    assert_snapshot!(refused("{LLM}metrics:\n  error_type: 10\n"), @r"
    config.yaml:3:3: metrics.error_type: unknown key here; `error_type` stands in `metrics.labels`
      |
    3 |   error_type: …
      |   ^^^^^^^^^^
    ");
}
