//! What interceptors were told: the files of `watching::witness`, read back.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::SockRef;
use tempfile::TempDir;

use super::provider::Provider;
use super::proxy::{Proxy, Setup};
use super::wire::PATIENCE;

/// Between two looks at a file.
const BREATH: Duration = Duration::from_millis(5);

/// Who watches a proxy, and where each of them writes.
pub(crate) struct Watch {
    folder: TempDir,
    yaml: String,
    /// Up to where the first one's file has been read for good.
    done: Cell<usize>,
}

impl Watch {
    /// Each by its kind and more of its settings, in YAML.
    pub(crate) fn of(watchers: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut yaml = "interceptors:\n".to_owned();
        for (number, (kind, settings)) in watchers.iter().enumerate() {
            let file = folder.path().join(number.to_string());
            yaml.push_str(&format!("- {{type: {kind}, config: {{file: {}, {settings}}}}}\n", file.display()));
        }
        Self { folder, yaml, done: Cell::new(0) }
    }

    /// A proxy that they watch.
    pub(crate) fn setup(&self, provider: &Provider) -> Setup {
        self.setup_to(provider.url())
    }

    /// A proxy that they watch, in front of whatever is at that base URL.
    pub(crate) fn setup_to(&self, url: String) -> Setup {
        Proxy::to_url(url).watched().yaml(&self.yaml)
    }

    /// The file of the one with that number.
    pub(crate) fn file(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    /// What the one with that number has written so far.
    pub(crate) fn told(&self, number: usize) -> Told {
        self.read(number, if number == 0 { self.done.get() } else { 0 })
    }

    /// What the first one has written so far is of no interest until the proxy has stopped.
    pub(crate) fn go_on(&self) {
        let written = std::fs::read(self.file(0)).unwrap();
        self.done.set(whole_lines(&written).len());
    }

    fn read(&self, number: usize, from: usize) -> Told {
        let mut file = File::open(self.file(number)).unwrap();
        file.seek(SeekFrom::Start(from as u64)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let lines = whole_lines(&bytes).split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Told { lines: lines.map(|line| serde_json::from_slice(line).unwrap()).collect() }
    }

    /// Waits until what the one with that number has written is enough.
    #[track_caller]
    pub(crate) fn wait(&self, number: usize, enough: impl Fn(&Told) -> bool) -> Told {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.told(number);
            if enough(&told) {
                return told;
            }
            assert!(Instant::now() < deadline, "that is not enough: {:#?}", told.lines);
            std::thread::sleep(BREATH);
        }
    }

    /// Stops the proxy, and reads what the first was told, which must be legal and whole.
    #[track_caller]
    pub(crate) fn stop(&self, proxy: Proxy) -> Told {
        proxy.stop();
        self.after(0)
    }

    /// What the one with that number was told by a proxy that is gone, which must be legal and whole.
    #[track_caller]
    pub(crate) fn after(&self, number: usize) -> Told {
        let mut told = self.read(number, 0);
        let last = told.lines.pop().expect("nothing was told");
        assert_eq!(last["callback"], "on_shutdown", "it was not let go in order: {:#?}", told.lines);
        assert_eq!(last["breaches"], serde_json::json!([]), "{:#?}", told.lines);
        told
    }
}

/// A line that is being written is not there yet.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &bytes[..end]
}

/// A provider, and a proxy in front of it that one watches.
pub(crate) fn watched() -> (Provider, Proxy, Watch) {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).start();
    (provider, proxy, watch)
}

/// What an interceptor was told, a line a callback.
pub(crate) struct Told {
    pub(crate) lines: Vec<Value>,
}

/// What it was told of one exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) lines: Vec<Value>,
}

impl Told {
    /// In the order of their beginnings.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        let mut exchanges: Vec<(&Value, Exchange)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for line in self.lines.iter().filter(|line| line.get("exchange").is_some()) {
            let id = &line["exchange"];
            let place = *places.entry(id.as_str().unwrap()).or_insert_with(|| {
                exchanges.push((id, Exchange { lines: Vec::new() }));
                exchanges.len() - 1
            });
            exchanges[place].1.lines.push(line.clone());
        }
        exchanges.into_iter().map(|(_, exchange)| exchange).collect()
    }

    /// The only exchange.
    #[track_caller]
    pub(crate) fn only(&self) -> Exchange {
        let mut exchanges = self.exchanges();
        assert_eq!(exchanges.len(), 1, "{:#?}", self.lines);
        exchanges.remove(0)
    }

    /// How many exchanges have ended.
    pub(crate) fn ends(&self) -> usize {
        self.of("on_end").len()
    }

    /// The lines of that callback.
    pub(crate) fn of(&self, callback: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["callback"] == callback).collect()
    }
}

impl Exchange {
    /// What it was told in order; a run of the same counts once.
    pub(crate) fn course(&self) -> Vec<&str> {
        let mut course: Vec<&str> =
            self.lines.iter().map(|line| line["callback"].as_str().unwrap()).collect();
        course.dedup();
        course
    }

    /// The first line of that callback.
    #[track_caller]
    pub(crate) fn line(&self, callback: &str) -> &Value {
        let line = self.lines.iter().find(|line| line["callback"] == callback);
        line.unwrap_or_else(|| panic!("no {callback}: {self:#?}"))
    }

    /// All text of that callback's chunks.
    pub(crate) fn text(&self, callback: &str) -> String {
        self.chunks(callback).map(|line| line["text"].as_str().unwrap()).collect()
    }

    /// All text of what that side said after an upgrade.
    pub(crate) fn upgraded(&self, from: &str) -> String {
        let said = self.chunks("on_upgraded_chunk").filter(|line| line["from"] == from);
        said.map(|line| line["text"].as_str().unwrap()).collect()
    }

    /// How many bytes the chunks of that callback had.
    pub(crate) fn bytes(&self, callback: &str) -> u64 {
        self.chunks(callback).map(|line| line["bytes"].as_u64().unwrap()).sum()
    }

    /// How both sides ended.
    #[track_caller]
    pub(crate) fn ended(&self) -> (&Value, &Value) {
        let end = self.line("on_end");
        (&end["request"], &end["response"])
    }

    /// How many bytes of each side were not told.
    #[track_caller]
    pub(crate) fn unseen(&self) -> (u64, u64) {
        let unseen = &self.line("on_end")["unseen"];
        (unseen[0].as_u64().unwrap(), unseen[1].as_u64().unwrap())
    }

    fn chunks(&self, callback: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["callback"] == callback)
    }
}

/// Where a blocked interceptor waits until the test lets it go.
pub(crate) struct Gate(TcpListener);

impl Gate {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self(listener)
    }

    /// The settings that make an interceptor wait here, once.
    pub(crate) fn settings(&self) -> String {
        format!("waits_for: \"{}\"", self.0.local_addr().unwrap())
    }

    /// Waits until one waits here. It does so for as long as what this gives is kept.
    #[track_caller]
    pub(crate) fn blocked(&self) -> TcpStream {
        self.0.accept().expect("nobody came to wait").0
    }
}
