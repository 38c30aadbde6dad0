use perimeter_interceptor::Part;
use proptest::prelude::*;

use super::volatile::masked;
use super::*;

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn stable(prompt: &str) -> String {
    agent_of(Some(prompt)).stable.to_string()
}

#[track_caller]
fn same(one: &str, other: &str) {
    assert_eq!(masked(one), masked(other));
    assert_eq!(stable(one), stable(other));
}

#[track_caller]
fn different(one: &str, other: &str) {
    assert_ne!(stable(one), stable(other), "{:?}", masked(one));
}

/// With `#` for what is masked.
fn shown(prompt: &str) -> String {
    masked(prompt).replace('\u{1a}', "#")
}

#[test]
fn agents_are_named_as_the_predecessor_named_them() {
    assert_eq!(agent_of(None), Agent::default());
    assert_eq!(agent_of(Some("")), Agent::default());
    assert_eq!(&*agent_of(Some("default-system")).prompt, "prompt-7077bd40d00f");
    assert_eq!(&*agent_of(Some("You are helpful")).prompt, "prompt-ba70435eab5e");
    assert_eq!(&*agent_of(Some("You are helpful")).stable, "agent-ba70435eab5e");
    assert_eq!(agent_of(Some("Be brief.")).name, None);
}

#[test]
fn a_prompt_in_blocks_is_the_same_agent_as_in_one_string() {
    let whole = Turn::new(Role::System, vec![text("You are helpful")]);
    let blocks = Turn::new(Role::System, vec![text("You are "), text("helpful")]);
    let user = Turn::new(Role::User, vec![text("Hello")]);
    let prompt = prompt_text(&[blocks, user.clone()]);
    assert_eq!(prompt.as_deref(), Some("You are helpful"));
    assert_eq!(prompt, prompt_text(&[whole.clone(), whole.clone()]));
    let empty = Turn::new(Role::System, Vec::new());
    assert_eq!(prompt_text(&[empty, whole.clone()]), None);
    assert_eq!(prompt_text(&[user, whole]), None);
    assert_eq!(prompt_text(&[]), None);
}

#[test]
fn times_numbers_and_ids_are_masked() {
    for (prompt, expected) in [
        ("Today is Saturday, November 21st, 2026.", "Today is #."),
        ("Today is Sunday.", "Today is #."),
        ("It is Sat Nov 21 2026, 3:45 PM (UTC)", "It is #)"),
        ("Now: 2026-11-21T12:03:04.123+01:00!", "Now: #!"),
        ("Now: 20261121T120304Z", "Now: #"),
        ("The cutoff is January 2025", "The cutoff is #"),
        ("Version v2.1.329 of 3, gpt-4o", "Version v# of #, gpt-#o"),
        ("Commit 3f2a9bc on 2001:db8::1 or 10.0.0.7:4000", "Commit # on # or #"),
        ("Session 6f1e0c1a-abcd-4bcd-8def-0123456789ab.", "Session #."),
        ("Run toolu_01AbCdEf2Gh3IjKl4Mn", "Run toolu_#"),
        ("Write to ada.l@example.co.uk.", "Write to #."),
        ("Go to https://a.io:8080/v1/x?token=abc&n=b c", "Go to https://a.io:#/v#/x c"),
        ("Read \"/home/ada/a b\" and ~/notes.md.", "Read \"# b\" and #."),
        ("In C:\\Users\\Ada\\x, or file:///tmp/x", "In #, or #"),
        ("a \t b\r\n \n\n  c  ", "a b\n\nc"),
    ] {
        assert_eq!(shown(prompt), expected);
    }
}

#[test]
fn words_stay() {
    for prompt in [
        "Use /help or /review, and answer yes/no.",
        "You may defend the facade. Only on Monday.",
        "Call POST /orders/refund, not dead::beef.",
        "Status: done\nPlatform: Twitter\nShell: of an egg",
        "<env>is never closed, <b>bold</b>",
        "Sunny, Marching, Decent: a_Mon",
    ] {
        assert_eq!(shown(prompt), prompt);
    }
    different("You are agent 1: the writer", "You are agent 2: the reviewer");
    different("Current date: 2026-11-21. You are a pirate.", "Current date: 2026-11-21. You are a nun.");
    different("Translate to French.", "Translate to German.");
    different("Use /run.", "Use /build.");
    // Numbers alone tell nobody apart.
    same("You are worker 1.", "You are worker 17.");
}

/// As Claude Code writes it: the blocks of its prompt, one behind another.
fn claude_code(attribution: &str, directory: &str, date: &str, branch: &str, status: &str) -> String {
    format!(
        "{attribution}You are Claude Code, Anthropic's official CLI for Claude.\nYou help with software. Use /help.\n\n\
         Here is useful information about the environment you are running in:\n<env>\nWorking directory: {directory}\n\
         Is directory a git repo: Yes\nPlatform: linux\nToday's date: {date}\n</env>\nYou are powered by the model \
         named {branch}. The exact model ID is m-{branch}.\n\nAssistant knowledge cutoff is January 2025.\n\n\
         gitStatus: This is the git status at the start of the conversation.\nCurrent branch: {branch}\n\n\
         Main branch (you will usually use this for PRs): {branch}\n\nStatus:\n{status}\n\nRecent commits:\n\
         3f2a9bc Fix {branch}\n\nAnswer in English."
    )
}

#[test]
fn claude_code_is_one_agent_wherever_and_whenever_it_runs() {
    let today = claude_code("", "/home/ada/shop", "2026-11-21", "main", "(clean)");
    let header = "x-anthropic-billing-header: cc_version=2.1.329.136; cc_entrypoint=sdk-cli; cch=00000;";
    let tomorrow =
        claude_code(header, "/Users/bob/My Code", "2026-11-22", "fix/tax", "M a.rs\n?? b.rs\n D c");
    same(&today, &tomorrow);
    assert!(masked(&tomorrow).ends_with("Answer in English."), "{}", shown(&tomorrow));
    different(&today, &today.replace("software", "law"));
    different(&today, &today.replace("English", "French"));
    let of_agent = |version: &str| {
        format!(
            "x-anthropic-billing-header: cc_version={version}; cc_entrypoint=cli;You are a Claude agent.\n# Environment\n \
             - Primary working directory: /work/{version}\n - Is a git repository: true\n - Platform: darwin\n - \
             Shell: zsh\n - OS Version: Darwin {version}\n - You are powered by the model named {version}.\n"
        )
    };
    same(&of_agent("2.1.329.cf7"), &of_agent("2.1.50.b97"));
    assert!(shown(&of_agent("2.1.50.b97")).starts_with("You are a Claude agent.\n# Environment\n- Primary"));
}

#[test]
fn other_agents_are_each_one() {
    let opencode = |directory: &str, date: &str, files: &str| {
        format!(
            "You are opencode, an agent that helps.\n<env>\n  Working directory: {directory}\n  Is directory a git \
             repo: yes\n  Platform: linux\n  Today's date: {date}\n</env>\n<files>\n  {files}\n</files>\nInstructions \
             from: {directory}/AGENTS.md\nUse tabs."
        )
    };
    let one = opencode("/home/ada/shop", "Sat Nov 21 2026", "src/\n    main.ts");
    same(&one, &opencode("/srv/build/x", "Sun Nov 22 2026", "lib/"));
    different(&one, &one.replace("tabs", "blanks"));

    let codex = |directory: &str, shell: &str| {
        format!(
            "You are a coding agent running in the Codex CLI.\n\n<environment_context>\n  <cwd>{directory}</cwd>\n  \
             <approval_policy>on-request</approval_policy>\n  <shell>{shell}</shell>\n</environment_context>"
        )
    };
    same(&codex("/home/ada/shop", "bash"), &codex("C:\\shop", "powershell"));

    let gemini = |date: &str, os: &str, directory: &str| {
        format!(
            "This is the Gemini CLI. We are setting up the context for our chat.\nToday's date is {date} (formatted \
             according to the user's locale).\nMy operating system is: {os}\nThe project's temporary directory is: \
             {directory}\nI'm currently working in the directory: {directory}/x-1"
        )
    };
    let one = gemini("Saturday, November 21, 2026", "linux", "/home/ada/.gemini/tmp/3f2a9bc1d");
    same(&one, &gemini("Monday, December 7, 2026", "linux", "/tmp/8d"));

    let cline = |time: &str, directory: &str| {
        format!(
            "You are Cline.\n\nSYSTEM INFORMATION\n\nOperating System: Linux 6.8\nDefault Shell: /bin/bash\nHome \
             Directory: {directory}\nCurrent Working Directory: {directory}/My Shop\n\n# Current Time\n{time} (Europe, \
             UTC+1:00)"
        )
    };
    same(&cline("11/21/2026, 1:02:03 PM", "/home/ada"), &cline("1/2/2027, 11:59:09 AM", "/home/bob"));
}

#[test]
fn very_long_prompts_are_looked_at_as_far_as_their_beginning() {
    let long = "a".repeat(256 * 1024);
    same(&long, &format!("{long} and more"));
    let (one, other) = (agent_of(Some(&long)), agent_of(Some(&format!("{long} and more"))));
    assert_ne!(one.prompt, other.prompt);
}

/// What a masker could stumble over. (Only what is masked holds its own mask.)
fn odd() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<env>",
        "</env>",
        "<files>",
        "Current branch:",
        "Status:",
        "Recent commits:",
        "Working directory:",
        "Platform: ",
        "linux",
        "You are powered by the model",
        "x-anthropic-billing-header:",
        " cc_version=1;",
        "\n",
        "\n\n",
        " ",
        "\t",
        ". ",
        ".",
        ",",
        ":",
        "/",
        "-",
        "+",
        "_",
        "?",
        "#",
        "@",
        "\\",
        "~/",
        "(",
        ")",
        "\"",
        "*",
        "://",
        "/home/a",
        "/tmp",
        "C:\\",
        "file",
        "http",
        "Nov",
        "May",
        "Sat",
        "PM",
        "UTC",
        "Today is ",
        "T",
        "Z",
        "th",
        "st",
        "1",
        "23",
        "2026",
        "abcdef0",
        "deadbeef",
        "6f1e0c1a-abcd-4bcd-8def-0123456789ab",
        "fe80::1",
        "a:b",
        "ab1",
        "a@b.co",
        "é",
        "日",
        "’",
        "x",
        "Abc",
        "aa:bb:cc:dd:e1:ff",
    ]);
    prop::collection::vec(prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => "\\PC{0,3}"], 0..24)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_masked_stays_as_it_is(prompt in odd()) {
        let once = masked(&prompt);
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn any_text_has_an_agent(prompt in "[^\u{1a}]{0,64}") {
        let agent = agent_of(Some(&prompt));
        prop_assert_eq!((agent.prompt.len(), agent.stable.len()), (19, 18));
        prop_assert_eq!(masked(&masked(&prompt)), masked(&prompt));
    }

    #[test]
    fn white_space_counts_once(words in prop::collection::vec("[a-z]{1,8}", 1..8)) {
        prop_assert_eq!(masked(&words.join("  \t")), words.join(" "));
    }
}
