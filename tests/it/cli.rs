//! The command line: what it takes, what it says, and how it ends.

use std::ffi::OsStr;
use std::fs;
use std::io::pipe;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::{Provider, Proxy};

const EXAMPLE: &str = include_str!("../../config.example.yaml");

/// A folder to call the command in, with nothing in its environment.
struct Desk(TempDir);

/// How a call ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(name: &str, content: &str) -> Self {
        let desk = Self::new();
        fs::write(desk.path(name), content).unwrap();
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perimeter"));
        command.args(args).current_dir(self.0.path()).env_clear().env("HOME", self.0.path());
        command.stdin(Stdio::null());
        command
    }

    /// Calls it with the words of `line`.
    fn call(&self, line: &str) -> Ended {
        ended(self.command(line.split_whitespace()).output().unwrap())
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn call(line: &str) -> Ended {
    Desk::new().call(line)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

// Usage.

#[test]
fn the_version_is_told_by_any_of_its_flags() {
    for flag in ["--version", "-V", "-v"] {
        let ended = call(flag);
        assert_eq!(ended.stdout, format!("perimeter {}\n", env!("CARGO_PKG_VERSION")), "{flag}");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn help_goes_to_stdout_and_has_examples() {
    for line in ["--help", "run --help", "validate-config --help", "generate-config --help"] {
        let ended = call(line);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{line}");
    }
    assert!(call("--help").stdout.contains("perimeter run --base-url https://api.openai.com --type openai"));
}

#[test]
fn the_help_of_run_tells_its_environment_and_its_exit_codes() {
    let help = call("run --help").stdout;
    for word in
        ["LLM_BASE_URL", "LLM_TYPE", "LLM_API_KEY", "LOG_LEVEL", "PERIMETER_LOG", "SSL_CERT_FILE", "NO_COLOR"]
    {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
    assert!(
        help.contains("Exit codes:\n  0 ") && help.contains("\n  1 ") && help.contains("\n  2 "),
        "{help}"
    );
}

#[test]
fn wrong_usage_is_told_and_exits_2() {
    for line in
        ["", "walk", "run --prot 1", "run --port", "validate-config", "generate-config", "run surplus"]
    {
        let ended = call(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(
            ended.stderr.contains("--help") || ended.stderr.contains("Usage:"),
            "{line}: {}",
            ended.stderr
        );
    }
    assert!(call("run --prot 1").stderr.contains("--port"), "a misspelt flag gets its nearest real one");
}

// run

#[test]
fn running_without_a_provider_says_what_to_give() {
    let ended = call("run");
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "perimeter: no provider to forward to: give --base-url URL and --type openai|anthropic|gemini|auto, or LLM_BASE_URL and \
         LLM_TYPE in the environment, or llm.base_url and llm.type in a file with --config\n"
    );
    assert!(call("run --type openai").stderr.contains("give --base-url URL, or LLM_BASE_URL"));
    assert!(
        call("run --base-url http://x")
            .stderr
            .contains("give --type openai|anthropic|gemini|auto|stackspot|claude_code, or LLM_TYPE")
    );
}

#[test]
fn a_bad_value_is_told_with_the_flag_that_brought_it() {
    for (line, told) in [
        ("--base-url nowhere --type openai", "--base-url: found \"nowhere\"; a base URL begins with"),
        ("--base-url http://x --type opnai", "--type: found \"opnai\"; did you mean `openai`?"),
        (
            "--base-url http://x --type openai --port 65536",
            "--port: found \"65536\"; expected a whole number",
        ),
        ("--base-url http://x --type openai --host here", "--host: found \"here\"; expected localhost or"),
        (
            "--base-url http://x --type openai --log-level loud",
            "--log-level: found \"loud\"; expected one of",
        ),
        (
            "--base-url http://x --type openai --interceptors printer,record",
            "--interceptors: found \"record\"; no such",
        ),
        (
            "--base-url http://x --type openai --interceptors printer,none",
            "--interceptors: found \"none\"; no such",
        ),
        ("--config absent.yaml", "absent.yaml: cannot be read: No such file or directory"),
    ] {
        let ended = call(&format!("run {line}"));
        assert_eq!(ended.code, Some(2), "{line}");
        assert!(ended.stderr.starts_with(&format!("perimeter: {told}")), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_bad_value_is_told_with_the_variable_that_brought_it() {
    for (variable, told) in [
        ("LLM_BASE_URL", "LLM_BASE_URL: a base URL begins with http:// or https://\n"),
        ("LLM_TYPE", "LLM_TYPE: expected one of openai, anthropic, gemini, auto, stackspot, claude_code\n"),
        ("LOG_LEVEL", "LOG_LEVEL: expected one of trace, debug, info, warn, error\n"),
    ] {
        let desk = Desk::with("c.yaml", "llm: {type: openai, base_url: http://x}\n");
        let output = desk.command(["run", "--config", "c.yaml"]).env(variable, "bogus").output().unwrap();
        let ended = ended(output);
        assert_eq!((ended.code, ended.stderr), (Some(2), format!("perimeter: {told}")), "{variable}");
    }
}

#[test]
fn a_key_on_the_command_line_is_never_repeated() {
    for line in [
        "run --api-key sk-SECRET",
        "run --base-url http://x --type openai --api-key sk-SECRET\u{e9} --port 0",
    ] {
        let ended = call(line);
        assert_eq!(ended.code, Some(2));
        assert!(!ended.stderr.contains("SECRET"), "{}", ended.stderr);
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_a_clear_line_and_exit_1() {
    let desk =
        Desk::with("c.yaml", "llm: {type: openai, base_url: http://x}\nlogging: {file: c.yaml/p.log}\n");
    let ended = desk.call("run --config c.yaml");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with("perimeter: logging.file: c.yaml/p.log: cannot be opened: "),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let desk = Desk::new();
    let mut command = desk.command(["run", "--base-url", "http://x", "--type", "openai"]);
    let ended = ended(command.env("PERIMETER_LOG", "access=loud").output().unwrap());
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.starts_with("perimeter: PERIMETER_LOG: expected a filter such as"),
        "{}",
        ended.stderr
    );
}

#[test]
fn it_runs_from_the_environment_alone() {
    let provider = Provider::start();
    let desk = Desk::new();
    let mut command = desk.command(["validate-config", "c.yaml"]);
    fs::write(desk.path("c.yaml"), "server: {port: 0}\n").unwrap();
    let output = command.env("LLM_BASE_URL", provider.url()).env("LLM_TYPE", "anthropic").output().unwrap();
    let ended = ended(output);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains(&format!("LLM: anthropic at {}", provider.url())));
}

#[test]
fn a_key_given_by_a_flag_is_warned_about_once() {
    let provider = Provider::start();
    let stderr = Proxy::to(&provider).args(&["--api-key", "sk-SECRET"]).start().stop().stderr;
    assert_eq!(stderr.matches("--api-key can be read in the list of processes").count(), 1, "{stderr}");
    assert!(!stderr.contains("SECRET"), "{stderr}");
    let stderr = Proxy::to(&provider).env("LLM_API_KEY", "sk-SECRET").start().stop().stderr;
    assert!(!stderr.contains("WARN") && !stderr.contains("SECRET"), "{stderr}");
}

#[test]
fn what_has_no_effect_is_named_in_one_warning() {
    let provider = Provider::start();
    let yaml = "llm: {max_retries: 3}\nlive_trace: {a: 1}\ninterceptors: [{type: http_recorder}, {type: live_trace}]\n";
    let stderr = Proxy::to(&provider).yaml(yaml).start().stop().stderr;
    let warnings: Vec<_> = stderr.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    for name in ["llm.max_retries", "live_trace", "interceptor http_recorder", "interceptor live_trace"] {
        assert!(warnings[0].contains(name), "{stderr}");
    }
}

#[test]
fn no_interceptors_at_all_is_no_warning() {
    let provider = Provider::start();
    for args in [&["--interceptors", "none"][..], &[]] {
        let stderr = Proxy::to(&provider).args(args).start().stop().stderr;
        assert!(!stderr.contains("WARN"), "{stderr}");
    }
}

// validate-config

#[test]
fn a_valid_file_is_summed_up() {
    let desk = Desk::with(
        "c.yaml",
        "llm: {type: OpenAI, base_url: 'https://user:SECRET@api.openai.com/v1/', api_key: SECRET}\n\
         server: {host: '::1', port: 4100}\n",
    );
    let ended = desk.call("validate-config c.yaml");
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.stdout,
        "✓ Configuration is valid: c.yaml\n  Server: http://[::1]:4100\n  LLM: openai at \
         https://***@api.openai.com/v1\n  Interceptors: printer\n"
    );
    assert_eq!(ended.stderr, "");
}

#[test]
fn an_invalid_file_is_told_where_and_why() {
    let desk = Desk::with("c.yaml", "llm: {type: openai, base_url: http://x}\nserver:\n  prot: 1\n");
    let ended = desk.call("validate-config c.yaml");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert_eq!(
        ended.stderr,
        "✗ Configuration is invalid: c.yaml\n\
         perimeter: c.yaml:3:3: server.prot: unknown key; did you mean `port`?\n  |\n3 |   prot: …\n  |   ^^^^\n"
    );
}

#[test]
fn validating_tells_what_has_no_effect() {
    let desk = Desk::with("c.yaml", "llm: {type: openai, base_url: http://x, max_retries: 1}\n");
    let ended = desk.call("validate-config c.yaml");
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        ended.stderr,
        "perimeter: warning: c.yaml: accepted, but without effect in this version: llm.max_retries\n"
    );
}

#[test]
fn validating_checks_the_file_also_where_the_environment_would_stand_above_it() {
    let desk = Desk::with("c.yaml", "llm: {type: opnai, base_url: http://x}\n");
    let output = desk.command(["validate-config", "c.yaml"]).env("LLM_TYPE", "openai").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let desk = Desk::new();
    for (name, why) in [("absent.yaml", "No such file or directory"), (".", "Is a directory")] {
        let ended = desk.call(&format!("validate-config {name}"));
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.stderr.contains(&format!("perimeter: {name}: cannot be read: {why}")),
            "{}",
            ended.stderr
        );
    }
}

// generate-config

#[test]
fn a_generated_file_is_the_example_and_valid_and_its_owners_alone() {
    let desk = Desk::new();
    let ended = desk.call("generate-config new.yaml");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.starts_with("✓ Wrote new.yaml\n"), "{}", ended.stdout);
    assert_eq!(fs::read_to_string(desk.path("new.yaml")).unwrap(), EXAMPLE);
    assert_eq!(mode(&desk.path("new.yaml")), 0o600);
    let ended = desk.call("validate-config new.yaml");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_file_that_exists_is_overwritten_only_by_force() {
    let desk = Desk::with("mine.yaml", "mine");
    fs::set_permissions(desk.path("mine.yaml"), fs::Permissions::from_mode(0o644)).unwrap();
    let ended = desk.call("generate-config mine.yaml");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert_eq!(ended.stderr, "perimeter: mine.yaml: exists already; --force overwrites it\n");
    assert_eq!(fs::read_to_string(desk.path("mine.yaml")).unwrap(), "mine");

    assert_eq!(desk.call("generate-config mine.yaml --force").code, Some(0));
    assert_eq!(fs::read_to_string(desk.path("mine.yaml")).unwrap(), EXAMPLE);
    assert_eq!(mode(&desk.path("mine.yaml")), 0o600);
}

#[test]
fn a_file_that_cannot_be_written_is_exit_1() {
    let ended = call("generate-config no/such/folder/new.yaml");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        ended.stderr,
        "perimeter: no/such/folder/new.yaml: cannot be written: No such file or directory (os error 2)\n"
    );
}

// Closed pipes.

#[test]
fn a_closed_stdout_harms_nothing() {
    let desk = Desk::with("c.yaml", "llm: {type: openai, base_url: http://x}\n");
    for line in ["--help", "--version", "validate-config c.yaml", "generate-config new.yaml"] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = desk.command(line.split(' ')).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{line}");
    }
}

#[test]
fn a_closed_stderr_harms_nothing() {
    let desk = Desk::new();
    for line in ["", "run", "validate-config absent.yaml", "run --base-url x --type openai"] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let status =
            desk.command(line.split_whitespace()).stdout(Stdio::null()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(2), "{line}");
    }
}
