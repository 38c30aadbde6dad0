//! The keys are made up, and put together here, so that no scanner takes this file for a leak.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Letters and digits as keys have them.
fn letters(length: usize) -> String {
    "T3BlbkFJ9xQ2mWv7RzKp4LsY8dNcHg5uEa6toJiB1fXw0".chars().cycle().take(length).collect()
}

fn capitals(length: usize) -> String {
    letters(length).to_ascii_uppercase()
}

fn pem(label: &str, line_end: &str) -> String {
    let dashes = "-".repeat(5);
    let lines = [letters(64), letters(64), format!("{}/+4=", letters(20))].join(line_end);
    format!("{dashes}BEGIN {label}{dashes}{line_end}{lines}{line_end}{dashes}END {label}{dashes}")
}

fn keys() -> Vec<String> {
    let jwt = |parts: &[usize]| {
        let parts: Vec<_> = parts.iter().map(|length| letters(*length)).collect();
        format!("ey{}{}", "J", parts.join(".").replacen(".T3", ".eyJ", 1))
    };
    vec![
        format!("sk-{}", letters(48)),
        format!("sk-{}", "abcdefghijklmnopqrstuvwxyz123"),
        format!("sk-{}", "0123456789abcdef".repeat(2)),
        format!("sk-proj-{}-{}_{}", letters(20), letters(61), letters(9)),
        format!("sk-svcacct-{}", letters(60)),
        format!("sk-admin-{}", letters(60)),
        format!("sk-ant-api03-{}-{}AA", letters(50), letters(40)),
        format!("sk-ant-oat01-{}", letters(80)),
        format!("sk-or-v1-{}", "0123456789abcdef".repeat(4)),
        format!("gh{}_{}", "p", letters(36)),
        format!("gh{}_{}", "o", letters(36)),
        format!("gh{}_{}", "s", letters(36)),
        format!("gh{}_{}", "u", letters(36)),
        format!("github_{}_{}_{}", "pat", letters(22), letters(59)),
        format!("AK{}{}", "IA", capitals(16)),
        format!("AS{}{}", "IA", capitals(16)),
        format!("AI{}{}", "za", letters(35)),
        format!("ya{}.a0{}", "29", letters(60)),
        format!("xox{}-123456789012-1234567890123-{}", "b", letters(24)),
        format!("xox{}-123456789012-{}", "p", letters(24)),
        format!("GOC{}-{}", "SPX", letters(28)),
        format!("np{}_{}", "m", letters(36)),
        format!("py{}-AgEIcHlwaS5vcmc{}", "pi", letters(120)),
        format!("S{}.{}.{}", "G", letters(22), letters(43)),
        format!("do{}_v1_{}", "p", "0123456789abcdef".repeat(4)),
        format!("pp{}-{}", "lx", letters(48)),
        format!("h{}_{}", "f", letters(34)),
        format!("gs{}_{}", "k", letters(52)),
        format!("xa{}-{}", "i", letters(80)),
        format!("hooks.slack.com/{}/T00000000/B00000000/{}", "services", letters(24)),
        format!("Basic {}", "dXNlcjpwYXNzd29yZA=="),
        format!("Basic {}==", letters(46)),
        jwt(&[30, 60, 43]),
        jwt(&[30, 60]),
        format!("Bearer {}", letters(40)),
        format!("bearer {}.{}", letters(10), letters(30)),
        pem("RSA PRIVATE KEY", "\n"),
        pem("PRIVATE KEY", "\n"),
        pem("OPENSSH PRIVATE KEY", "\r\n"),
        pem("EC PRIVATE KEY", " "),
    ]
}

/// That nothing of the key but its kind is left.
#[track_caller]
fn assert_gone(key: &str, json: &str) {
    let redacted = redact(json);
    assert!(redacted.contains(REDACTED), "{json} became {redacted}");
    serde_json::from_str::<Value>(&redacted).unwrap_or_else(|error| panic!("{error}: {redacted}"));
    let longest =
        key.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|run| run.len()).unwrap_or_default();
    assert!(!redacted.contains(longest), "{json} became {redacted}");
    assert!(!redacted.contains(&longest[longest.len() / 2..]), "{json} became {redacted}");
}

#[track_caller]
fn assert_kept(json: &str) {
    assert_eq!(redact(json), json);
}

/// Text around a key, as users, tools and models write it.
const AROUND: [(&str, &str); 16] = [
    ("", ""),
    ("my key is ", ", please keep it"),
    ("a line\n", "\nanother line"),
    ("a\ttab\t", "\t"),
    ("export KEY=", "; run"),
    ("KEY=\"", "\""),
    ("curl -H 'x-api-key: ", "'"),
    ("https://api.example.com/v1?key=", "&alt=sse"),
    ("https%3A%2F%2Fexample.com%3Fkey%3D", "%26"),
    ("(", ")."),
    ("`", "`"),
    ("-", ""),
    ("/x/", "/y"),
    ("X_", ""),
    ("über", "…"),
    ("\u{2028}", "\u{1f511}"),
];

#[test]
fn a_key_is_found_wherever_it_stands() {
    for key in keys() {
        for (before, after) in AROUND {
            let inside = if before == "über" {
                format!("{before} {key}{after}")
            } else {
                format!("{before}{key}{after}")
            };
            let text = json!({"messages": [{"role": "user", "content": inside}]}).to_string();
            assert_gone(&key, &text);
            let nested = json!({"arguments": text}).to_string();
            assert_gone(&key, &nested);
            assert_gone(&key, &json!([nested]).to_string());
        }
    }
}

#[test]
fn no_start_of_a_text_shows_any_of_a_key_that_goes_on() {
    for key in keys() {
        let text = format!("first, {key} and then more");
        let all = redact_start(&text, text.len()).into_owned();
        let kept = all.find(REDACTED).unwrap();
        for most in kept + 1..text.find(" and").unwrap() {
            let start = redact_start(&text, most);
            assert!(start.ends_with(REDACTED) || start.len() > kept + REDACTED.len(), "{start} of {text}");
            assert_eq!(start[..kept + REDACTED.len()], all[..kept + REDACTED.len()]);
        }
        assert_eq!(redact_start(&text, 5), "first");
    }
}

#[test]
fn quotes_in_text_are_no_end_of_it() {
    let key = letters(32);
    for (text, expected) in [
        (format!("export API_KEY=\"{key}\"; run"), format!("export API_KEY=\"{REDACTED}\"; run")),
        (r#"{"password": "hunter2", "n": 1}"#.to_owned(), format!(r#"{{"password": "{REDACTED}", "n": 1}}"#)),
        (r#"{"password": "hunt"#.to_owned(), format!(r#"{{"password": "{REDACTED}"#)),
        ("say \"hello\",\nplease: \\ and ü".to_owned(), "say \"hello\",\nplease: \\ and ü".to_owned()),
    ] {
        assert_eq!(redact_start(&text, text.len()), expected);
    }
    assert_eq!(redact_start("ü: ü", 1), "");
}

#[test]
fn what_is_around_a_key_stays() {
    let key = format!("sk-ant-api03-{}", letters(80));
    let text = json!({"content": format!("use {key}, or\nask"), "max_tokens": 100}).to_string();
    assert_eq!(redact(&text), r#"{"content":"use sk-ant-[REDACTED], or\nask","max_tokens":100}"#);
    let text = json!({"key": format!("{}\nand then", pem("RSA PRIVATE KEY", "\n"))}).to_string();
    assert_eq!(
        redact(&text),
        r#"{"key":"-----BEGIN RSA PRIVATE KEY-----[REDACTED]\n-----END RSA PRIVATE KEY-----\nand then"}"#
    );
}

#[test]
fn a_private_key_that_was_cut_is_gone_as_far_as_it_goes() {
    for line_end in ["\n", "\r\n", "\\n", "\\\\n"] {
        let whole = pem("RSA PRIVATE KEY", line_end);
        for length in [60, 100, 150, 170] {
            assert_gone(&letters(28), &json!({"content": &whole[..length]}).to_string());
        }
    }
    let encrypted = pem("RSA PRIVATE KEY", "\n").replacen(
        "-----\n",
        "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,3F17F5316E2BAC89\n\n",
        1,
    );
    assert_gone(&letters(64), &json!({"content": encrypted}).to_string());
    let slashes = json!({"content": pem("PRIVATE KEY", "\n")}).to_string().replace('/', "\\/");
    assert_gone(&letters(64), &slashes);
}

#[test]
fn a_member_that_is_named_as_a_secret_has_no_value() {
    for name in [
        "password",
        "PASSWORD",
        "db_password",
        "user.password",
        "passwd",
        "api_key",
        "apiKey",
        "api-key",
        "x-api-key",
        "secret",
        "client_secret",
        "clientSecret",
        "access_token",
        "accessToken",
        "refresh_token",
        "authorization",
        "Authorization",
        "private_key",
        "aws_secret_access_key",
        "SecretAccessKey",
        "secret_key",
    ] {
        for value in ["hunter2", "correct horse", "with \"quotes\" and \\", "\\", "\"", "a\nb", "ü", "}{,:"]
        {
            let member = json!({"before": 1, name: value, "url": "http://x/"});
            let expected = json!({"before": 1, name: REDACTED, "url": "http://x/"});
            let mut text = member.to_string();
            let mut wanted = expected.to_string();
            for depth in 0..4 {
                assert_eq!(redact(&text), wanted, "depth {depth}");
                text = json!({"arguments": text, "n": 1}).to_string();
                wanted = json!({"arguments": wanted, "n": 1}).to_string();
            }
        }
    }
}

#[test]
fn quotes_may_be_written_as_code_points() {
    let text = r#"{"arguments":"{\u0022password\u0022: \u0022hunter2\u0022,\u0022n\u0022:1}"}"#;
    let expected = r#"{"arguments":"{\u0022password\u0022: \u0022[REDACTED]\u0022,\u0022n\u0022:1}"}"#;
    assert_eq!(redact(text), expected);
}

#[test]
fn json_in_a_string_may_break_off() {
    let text = r#"{"delta":"{\"user\": \"me\", \"password\": \"hunt","index":0}"#;
    assert_eq!(redact(text), r#"{"delta":"{\"user\": \"me\", \"password\": \"[REDACTED]","index":0}"#);
    let text = r#"{"delta":"{\"password\": \"hunter\\","index":0}"#;
    assert_eq!(redact(text), r#"{"delta":"{\"password\": \"[REDACTED]","index":0}"#);
}

#[test]
fn a_secret_that_is_assigned_in_text_is_gone() {
    let aws = format!("wJalrXUtnFEMI/K7{}/bPxR{}", "MDENG", "fiCYEXAMPLEKEY");
    for (before, key, after) in [
        ("export OPENAI_API_KEY=", letters(32), "\n"),
        ("aws_secret_access_key = ", aws.clone(), "\n[next]"),
        ("AWS_SECRET_ACCESS_KEY=\"", aws.clone(), "\""),
        ("'SecretAccessKey': '", aws, "'"),
        ("aws_secret_access_key = ", format!("wJalrXUtnFEMI/K7{}/bPxR{}", "MDENG", "fiCYzEXAMPLEKEY"), ""),
        ("aws_secret_access_key : ", format!("wJalrXUtnFEMI/K7{}/bPxR{}", "MDENG", "fiCYzEXAMPLEKEY"), "\n"),
        ("export DB_PASSWORD=\"", letters(16), "\""),
        ("export DB_PASSWORD='", letters(16), "'"),
        ("DB_PASSWORD=", letters(16), "\n"),
        ("?client_secret=", letters(16), "&a=b"),
        ("password: ", format!("Tr0ub4dor{}", "&3xyz"), ", thanks"),
        ("password: ", format!("Tr0ub4dor{}", "&3xyz"), "."),
        ("(password=", format!("Tr0ub4dor{}", "!"), ")"),
        ("X_password: \"", format!("Tr0ub4dor{}", "&3xyz"), "\""),
        ("Server=db;Password=", format!("Tr0ub4dor{}", "&3xyz"), ";Encrypt=yes"),
        ("AccountName=a;AccountKey=", format!("{}/+{}==", letters(40), letters(44)), ";"),
        ("SharedAccessKey=", format!("{}=", letters(43)), ""),
        ("postgres://bob:", letters(20), "@db/x"),
        ("postgres://bob:", "hunter2".to_owned(), "@db.example.com:5432/x"),
        ("redis://:", "p@ss".to_owned(), "@localhost"),
        ("https://", format!("ghp_{}:x-oauth-basic", letters(36)), "@github.com/a/b"),
        ("https://hooks.slack.com/services/", format!("T00000000/B00000000/{}", letters(24)), " is it"),
        ("api_key: ", "0123456789abcdef".repeat(2), " # mine"),
        ("{'token': '", letters(40), "'}"),
    ] {
        let text = json!({"content": format!("{before}{key}{after}")}).to_string();
        let expected = json!({"content": format!("{before}{REDACTED}{after}")}).to_string();
        assert_eq!(redact(&text), expected);
    }
}

#[test]
fn slashes_may_be_escaped() {
    let hook = format!("T00000000\\/B00000000\\/{}", letters(24));
    let text =
        format!(r#"{{"a":"db:\/\/bob:hunter2@db\/x","b":"https:\/\/hooks.slack.com\/services\/{hook}"}}"#);
    assert_eq!(
        redact(&text),
        r#"{"a":"db:\/\/bob:[REDACTED]@db\/x","b":"https:\/\/hooks.slack.com\/services\/[REDACTED]"}"#
    );
}

#[test]
fn a_key_may_be_written_as_code_points() {
    let key = format!("sk-proj-{}", letters(60));
    let all: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let first = key.replacen('s', "\\u0073", 1);
    for written in [all, first, key.replace('-', "\\u002d"), key.replace('-', "\\u002D")] {
        let text = format!(r#"{{"content":"\u003cuse\n{written}, \u0022or\\"}}"#);
        assert_eq!(redact(&text), r#"{"content":"<use\nsk-proj-[REDACTED], \u0022or\\"}"#);
    }
    let password = r#"{"p\u0061ssword":"hunter2","n":"\u00e4\u0007"}"#;
    assert_eq!(redact(password), r#"{"password":"[REDACTED]","n":"\u00e4\u0007"}"#);
}

#[test]
fn code_points_stay_where_there_is_no_secret() {
    assert_kept(r#"{"content":"\u0061 \u002d \u0022 \u005c \u00","n":1}"#);
    assert_kept(&format!(r#"{{"content":"\\u0073k-proj and \u0041sk-{}"}}"#, letters(48)));
}

#[test]
fn prose_stays() {
    for text in [
        "let raw_private_key: Curve25519SeedBin<'_> = private_key;",
        "password: please",
        "password: reset",
        "Password: 8-20 characters, 1 capital",
        "password: getPassword(User1.id)!",
        "password: process.env.DB_PASSWORD_V2!",
        "if (password==User1.Password&&ok) return",
        "password: User1.secret!==x",
        "password: string;",
        "password: ${DB_PASSWORD1}",
        "password := Config2->Value",
        "passwd: x:1000:1000:root:/root:/bin/bash",
        "password: /etc/Secrets/db-2.txt",
        "the password is in https://Example.com/A1?b=c",
        "Basic internationalization, the Basic Authentication scheme, Basic AuthenticationScheme",
        "Authorization: Basic <base64(user:password)>",
        "Authorization: Basic YOUR_BASE64_CREDENTIALS",
        "postgres://user:${DB_PASSWORD}@db/x",
        "postgres://user:$DB_PASSWORD@db/x",
        "postgres://{user}:{password}@db/x",
        "postgres://<user>:<password>@db/x",
        "https://example.com:8080/@user and http://localhost:3000 me@example.com",
        "see https://example.com/a:b@c, http://[::1]:80/",
        "https://hooks.slack.com/services/ is where T/B/ go",
        "npm_config_registry npm_package_dependencies_internationalization",
        "pypi-package-index-for-internationalization-2",
        "pplx-sonar-reasoning-large-online-70b",
        "SG.something.else and SG.internationalization.configuration",
        "task_sk-learn",
        "task_sk-learn-contrib-imbalanced-estimators",
        "risk-assessment",
        "my_hf_model_for_token_classification_v2",
        "load_gsk_internal_state_of_the_group",
        "X_AKIA_IS_THE_PREFIX",
        "user_eyJust.a.word",
        "a_123e4567-e89b-12d3-a456-426614174000",
        "AccountKey=<your account key>; AccountKey=required",
        "the token economy-of-scale",
        "secret: the recipe",
        "secret: internationalization",
        "password reset flow",
        "Your password must have at least 12 characters, a digit and 1 capital.",
        "password: required; token: optional; api_key = os.environ[\"OPENAI_API_KEY_FOR_TESTS_2\"]",
        "let api_key = std::env::var(\"ANTHROPIC_API_KEY\")?;",
        "password=request.form[\"password\"]",
        "export OPENAI_API_KEY=$(cat ~/.keys/openai)",
        "Authorization: Bearer $OPENAI_API_KEY",
        "Authorization: Bearer YOUR_ACCESS_TOKEN_GOES_HERE_PLEASE",
        "Authorization: Bearer <token>",
        "the bearer of bad news, a bearer internationalization",
        "Bearer authentication-and-authorization-header",
        "sk-learn",
        "sk-learn-contrib-imbalanced-estimators",
        "sk-learn-RandomForestClassifier-v2",
        "skill-based-routing-for-contact-centers",
        "risk-assessment-of-the-third-kind",
        "task-1234567890abcdefghijklmnop",
        "desk-0123456789abcdef0123456789abcdef",
        "sk-proj-management-dashboard",
        "sk-ant-colony-optimization-basics",
        "ghp_token_variable_name_in_the_script",
        "AKIAbcdefghijklmnop",
        "MAKIANOTAKEYATALL12345",
        "eyJust a word. And. More.",
        "xoxb-is-the-prefix-of-bot-tokens",
        "AIza starts a Google key",
        "ya29.example",
        "-----BEGIN RSA PRIVATE KEY----- is the first line of such a file",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa\n-----END CERTIFICATE-----",
        "123e4567-e89b-12d3-a456-426614174000",
        "call_abc123DEF456ghi789JKL012mno",
        "chatcmpl-9xQ2mWv7RzKp4LsY8dNcHg5uEa6to",
        "toolu_01T3BlbkFJ9xQ2mWv7RzKp4L",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ] {
        assert_kept(&json!({"content": text}).to_string());
        assert_kept(&json!({"arguments": json!({"text": text}).to_string()}).to_string());
    }
}

#[test]
fn members_that_only_sound_secret_stay() {
    for text in [
        json!({"max_tokens": 100, "token_count": 12345, "prompt_tokens": 12345678901234567890_u64, "token": "Hello"}),
        json!({"secret": 12345678901234567890_u64, "password": null, "api_key": true, "token": ["a"]}),
        json!({"secret": {"type": "string"}, "required": ["password", "api_key"], "password": ""}),
        json!({"properties": {"password": {"type": "string", "description": "The password: at least 8 characters"}}}),
        json!({"how do I reset my password": "Go to the settings", "passwords": "three", "secretary": "Ms Moneypenny"}),
        json!({"logprobs": {"content": [{"token": " internationalization", "logprob": -0.1, "bytes": [32]}]}}),
        json!({"credentials": "see the vault", "cookie": "chocolate"}),
        json!({"arguments": "{\"token\": 12345678901234567890, \"secret\": 12345678901234567890123}"}),
    ] {
        assert_kept(&text.to_string());
    }
}

#[test]
fn an_image_stays() {
    // All of base64's characters, in an order that repeats late.
    let alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"+/").collect();
    let mut state = 7_u64;
    let image: String = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(alphabet[(state >> 58) as usize])
        })
        .collect();
    assert_kept(&json!({"image_url": {"url": format!("data:image/png;base64,{image}==")}}).to_string());
}

#[test]
fn text_made_to_be_slow_is_not() {
    for piece in [
        "sk-",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "\\\"password\\\":\\\"",
        "-----BEGIN PRIVATE KEY-----",
        "a: -----BEGIN PRIVATE KEY-----\\n",
        "Bearer ",
        "Bearer",
        "-_-_",
        "\\\\",
        "\\\\password\\\\",
        "secret=",
        "\\\"token\\\" ",
        "AKIA",
        "passwordpassword",
        "_sk-",
        "_eyJ",
        "_eyJ.a",
        "_AIza",
        "/AIza",
        "_Bearer ",
        "://",
        "://a:b@",
        "password=Aa1!",
        "hooks.slack.com/services/T/B/",
        "SG.a",
        "\\u0073",
        "\\\\u0073",
    ] {
        // In quadratic time this would take hours.
        redact(&format!("\"{}\"", piece.repeat((1 << 19) / piece.len())));
    }
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(keys()),
        proptest::sample::select(vec![
            "password",
            "\"password\": \"",
            "'token': '",
            "api_key=",
            "\"",
            "\\",
            "\n",
            " ",
            "-",
            "_",
            "]",
            "[REDACTED]",
            ".",
            "u0022",
            "\\u0022",
            "eyJ",
            "sk-",
            "-----BEGIN ",
            "secret_access_key=",
            ": ",
            "12345678901234567890",
            "://me:",
            "@host",
            "password: Aa1!",
            "X_",
            "Basic ",
            "AccountKey=",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
        (0_usize..60).prop_map(letters),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn json_with_keys() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        pieces().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![
            pieces(),
            proptest::sample::select(vec!["password", "token", "apiKey"]).prop_map(str::to_owned)
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name, inner.clone()), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

/// The same with every string empty.
fn skeleton(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let outside = |c: &char| {
        let quote = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        let was_inside = inside;
        inside ^= quote;
        quote || !was_inside
    };
    json.chars().filter(outside).collect()
}

proptest! {
    #[test]
    fn a_quick_look_misses_no_name_and_no_secret(texts in proptest::collection::vec(pieces(), 0..4), floor in 0_usize..40) {
        let text = texts.join("\": \"");
        let (text, floor) = (text.as_bytes(), floor.min(text.len()));
        let mut from = floor;
        loop {
            let found = named::find(text, floor, from);
            let plain = (from..text.len())
                .filter(|at| matches!(text[*at], b':' | b'='))
                .find_map(|sign| named::name_before(text, floor, sign));
            let place = |clue: &Clue<Name>| (clue.at.clone(), clue.next, std::ptr::from_ref(clue.kind));
            prop_assert_eq!(found.as_ref().map(place), plain.as_ref().map(place));
            let Some(found) = found else { break };
            from = found.next;
        }
    }

    #[test]
    fn every_byte_that_is_looked_for_is_found_in_its_order(text in proptest::collection::vec(0_u8..20, 0..300), from in 0_usize..100) {
        let mut found = Vec::new();
        let from = from.min(text.len());
        let last = marks::find_map(&text, from, [0, 1], |at| {
            found.push(at);
            (text[at] == 1).then_some(at)
        });
        let plain: Vec<_> = (from..text.len()).filter(|at| text[*at] < 2).collect();
        prop_assert_eq!(last, plain.iter().copied().find(|at| text[*at] == 1));
        prop_assert!(plain.starts_with(&found));
    }

    #[test]
    fn json_stays_json_of_its_shape_and_once_is_enough(value in json_with_keys(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let redacted = redact(&text);
        prop_assert!(serde_json::from_str::<Value>(&redacted).is_ok(), "{text} became {redacted}");
        prop_assert_eq!(skeleton(&redacted), skeleton(&text));
        prop_assert_eq!(redact(&redacted), redacted.as_ref());
    }

    #[test]
    fn code_points_hide_nothing(value in json_with_keys()) {
        let text = value.to_string();
        let written = text.replace('s', "\\u0073").replace('-', "\\u002d");
        if let Ok(same) = serde_json::from_str::<Value>(&written) && same == value {
            let redacted = redact(&written);
            let plain: Value = serde_json::from_str(&redact(&text)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&redacted).unwrap(), plain);
        }
    }

    #[test]
    fn text_is_redacted_as_it_would_be_in_json(text in pieces()) {
        let json = json!(text).to_string();
        let expected: String = serde_json::from_str(&redact(&json)).unwrap();
        prop_assert_eq!(redact_start(&text, text.len()), expected.as_str());
        prop_assert_eq!(redact_start(&text, usize::MAX), expected);
    }

    #[test]
    fn the_start_of_a_text_is_the_start_of_it_redacted(text in pieces(), most in 0_usize..600) {
        let all = redact_start(&text, text.len());
        let start = redact_start(&text, most);
        let start = start.strip_suffix(REDACTED).unwrap_or(&start);
        prop_assert!(all.starts_with(start), "{text:?}: {start:?} of {all:?}");
    }
}
