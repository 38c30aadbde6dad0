//! A proxy with an interceptor of one's own: it keeps a table of the tokens that each model used.
//!
//! ```console
//! $ cargo run --example own_interceptor -- run --base-url https://api.openai.com --type openai \
//!       --interceptors printer,token_table
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::{fs, io};

use perimeter::interceptor::{Cx, Interceptor, Interest, LlmEvent, RequestHead, Result};
use perimeter::registry::Registry;
use serde::Deserialize;

/// What stands under `config` in the file. What is wrong there is refused with its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    file: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { file: "tokens.tsv".into() }
    }
}

/// Tokens in and out by model, and where they are written.
struct TokenTable {
    file: PathBuf,
    models: BTreeMap<Arc<str>, (u64, u64)>,
}

impl TokenTable {
    /// Begins a new table. Where that fails the proxy does not start.
    fn new(Settings { file }: Settings) -> io::Result<Self> {
        fs::write(&file, "")?;
        Ok(Self { file, models: BTreeMap::new() })
    }

    fn rows(&self) -> String {
        self.models.iter().map(|(model, (input, output))| format!("{model}\t{input}\t{output}\n")).collect()
    }
}

impl Interceptor for TokenTable {
    type State = ();

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn on_llm(&mut self, _: Cx<'_>, (): &mut (), event: &LlmEvent) -> Result {
        if let LlmEvent::Completion(answer) | LlmEvent::Cut(answer) = event
            && let (Some(model), Some(usage)) = (&answer.model, answer.usage)
        {
            let (input, output) = self.models.entry(model.clone()).or_default();
            *input = input.saturating_add(usage.input);
            *output = output.saturating_add(usage.output);
            // It may take its time: this thread is its own.
            fs::write(&self.file, self.rows())?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut registry = Registry::built_in();
    registry.register("token_table", TokenTable::new);
    perimeter::cli::main(&registry, None)
}

#[cfg(test)]
mod tests {
    use perimeter::interceptor::Usage;
    use perimeter::interceptor::testing::{Scene, Script, comply, play};

    use super::*;

    fn call(model: &str) -> Scene {
        let call = Scene::post("/v1/chat/completions").asks(model, "Hello");
        call.response(200).says("Hi ").answers("Hi there", Usage::new(9, 2))
    }

    #[test]
    fn it_holds_what_every_interceptor_must() {
        let folder = tempfile::tempdir().unwrap();
        comply(|| TokenTable::new(Settings { file: folder.path().join("table") }).unwrap());
    }

    #[test]
    fn each_model_has_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table");
        let table = TokenTable::new(Settings { file: file.clone() }).unwrap();
        let script = Script::new().scene(call("b")).scene(call("a")).scene(call("b"));
        play(table, script).assert_faultless();
        assert_eq!(fs::read_to_string(file).unwrap(), "a\t9\t2\nb\t18\t4\n");
    }
}
