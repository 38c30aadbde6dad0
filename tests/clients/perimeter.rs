//! The built binary, as a user would start it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::watched::Watched;

/// Nothing that the proxy does on starting or stopping takes longer than this, drain included.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running proxy, with the interceptors on that print and keep conversations.
pub(crate) struct Perimeter {
    /// `http://address`
    pub(crate) url: String,
    process: Child,
    log: Arc<Mutex<Vec<String>>>,
    log_ended: Receiver<()>,
    /// Its configuration, what it prints, and the message log.
    folder: TempDir,
}

impl Perimeter {
    /// Starts it before `base_url`, on free ports.
    pub(crate) fn start(dialect: &str, base_url: &str) -> Self {
        Self::start_with(dialect, base_url, "")
    }

    /// The same, with one more interceptor, as a line of YAML.
    pub(crate) fn start_with(dialect: &str, base_url: &str, interceptor: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(dialect, base_url, folder.path()) + interceptor;
        fs::write(folder.path().join("perimeter.yaml"), config).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_perimeter"))
            .args(["run", "--config"])
            .arg(folder.path().join("perimeter.yaml"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("printed")).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (started, start) = mpsc::channel();
        let (ended, log_ended) = mpsc::channel();
        let written = Arc::clone(&log);
        thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                if let Some(url) = address(&line) {
                    let _ = started.send(url);
                }
                written.lock().unwrap().push(line);
            }
            let _ = ended.send(());
        });
        let Ok(url) = start.recv_timeout(PATIENCE) else {
            let _ = process.kill();
            panic!("perimeter did not start: {:#?}", log.lock().unwrap());
        };
        Self { url, process, log, log_ended, folder }
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Asks it to stop, as a service manager does; it must do so in good order. Tells what
    /// the interceptors made of its work.
    pub(crate) fn stop(mut self) -> Watched {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let stopped = self.log_ended.recv_timeout(PATIENCE);
        assert!(stopped.is_ok(), "perimeter did not stop:\n{}", self.log());
        let status = self.process.wait().unwrap();
        assert!(status.success(), "perimeter stopped with {status}:\n{}", self.log());
        let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap();
        Watched { log: read("message_log.jsonl"), printed: read("printed") }
    }
}

impl Drop for Perimeter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(dialect: &str, base_url: &str, folder: &Path) -> String {
    format!(
        "llm: {{type: {dialect}, base_url: '{base_url}'}}\n\
         server: {{port: 0}}\n\
         state_dir: '{0}'\n\
         interceptors:\n\
         - type: printer\n\
         - type: message_logger\n\
        \x20 config: {{directory: '{0}'}}\n",
        folder.display()
    )
}

/// `perimeter 3.0.0 listening on http://127.0.0.1:4000 and …`
fn address(line: &str) -> Option<String> {
    let rest = line.split_once("listening on http://")?.1;
    let address = rest.split([' ', ',']).next()?;
    Some(format!("http://{address}"))
}
