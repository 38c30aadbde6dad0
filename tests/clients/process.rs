//! Client processes: where they are, what they are told, how they end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::provider::Provider;

/// The keys of the clients: made up, and of the shape of real ones.
pub(crate) const KEYS: [&str; 2] = [OPENAI_KEY, ANTHROPIC_KEY];
/// The key that clients of OpenAI bring.
pub(crate) const OPENAI_KEY: &str = "sk-proj-0madeUp1madeUp2madeUp3madeUp4madeUp5";
/// The key that clients of Anthropic bring.
pub(crate) const ANTHROPIC_KEY: &str = "sk-ant-api03-0madeUp1madeUp2madeUp3madeUp4madeUp5";

/// Something that a user should not have written into a prompt.
pub(crate) const SECRET: &str = "ghp_0madeUp1madeUp2madeUp3madeUp4madeUp";
/// What is left of it in a log.
pub(crate) const SECRET_REDACTED: &str = "ghp_[REDACTED]";

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `./test.sh` has installed.
pub(crate) fn installed(program: &str) -> PathBuf {
    let clients = root().join(".clients");
    assert!(
        clients.join("installed").exists(),
        "the clients of these tests are not installed: run ./test.sh, or tests/clients/install.sh alone"
    );
    clients.join(program)
}

/// `program` with a clean environment, a home of its own, and ten minutes at most.
pub(crate) fn client(program: impl AsRef<Path>, home: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["--signal=KILL", "600"])
        .arg(program.as_ref())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// Runs one of the scripts beside this file with the interpreter that it is written for, and returns
/// its transcript. The script must come to its end: what it expects to fail, it catches, and two runs
/// that break off at the same place would be equal too.
pub(crate) fn script(script: &str, provider: &Provider, base_url: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let interpreter = match Path::new(script).extension().and_then(|end| end.to_str()) {
        Some("py") => installed("venv/bin/python"),
        _ => installed("node"),
    };
    let output = client(interpreter, home.path())
        .arg(root().join("tests/clients").join(script))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CLIENTS", root().join(".clients"))
        .env("BASE_URL", base_url)
        .env("OPENAI_API_KEY", OPENAI_KEY)
        .env("ANTHROPIC_API_KEY", ANTHROPIC_KEY)
        .env("SECRET", SECRET)
        .env("CONTROL_URL", format!("http://{}", provider.control))
        .output()
        .unwrap();
    let told = transcript(script, &output);
    assert_eq!(told.lines().last(), Some("complete"), "{script}: {told}");
    told
}

/// What a client printed, where it went well.
pub(crate) fn transcript(client: &str, output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client}: {}\n{printed}\n{complaint}", output.status);
    printed.into_owned()
}
