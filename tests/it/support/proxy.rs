//! The proxy as a process: the built binary, its addresses as its start line tells them, its log, its end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::provider::Provider;
use super::wire::{PATIENCE, Wire};
use super::{Head, latin1};
use crate::watching::program;

/// Where its stdout goes, in its folder.
const STDOUT: &str = "stdout";

/// Between two looks at something that no signal tells.
const BREATH: Duration = Duration::from_millis(5);

/// A proxy at work. Dropping it kills it.
pub(crate) struct Proxy {
    child: Child,
    log: Arc<Log>,
    address: SocketAddr,
    admin: SocketAddr,
    folder: TempDir,
}

/// How a proxy is to be started.
pub(crate) struct Setup {
    args: Vec<OsString>,
    kind: &'static str,
    yaml: String,
    env: Vec<(String, OsString)>,
    descriptors: Option<u32>,
    program: Program,
    stdout: Option<Stdio>,
}

/// Which program it is.
enum Program {
    /// The one that users run, or another that is a proxy too.
    At(OsString),
    /// This test itself, with its own interceptors besides those of perimeter.
    Watched,
}

/// How a proxy ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// A whole answer of the admin listener.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: String,
}

impl Proxy {
    /// In front of that provider.
    pub(crate) fn to(provider: &Provider) -> Setup {
        Self::to_url(provider.url())
    }

    /// In front of whatever is at that base URL.
    pub(crate) fn to_url(url: impl Into<OsString>) -> Setup {
        let args = vec!["run".into(), "--base-url".into(), url.into()];
        Setup {
            args,
            kind: "openai",
            yaml: String::new(),
            env: Vec::new(),
            descriptors: None,
            program: Program::At(env!("CARGO_BIN_EXE_perimeter").into()),
            stdout: None,
        }
    }

    /// As a bridge of this `--type`, whose backend is where its own default says, or the file.
    pub(crate) fn bridge(kind: &'static str) -> Setup {
        let setup = Self::to_url("").kind(kind);
        Setup { args: vec!["run".into()], ..setup }
    }

    /// Where it listens; 127.0.0.1 where that is everywhere.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// A client connected to it.
    pub(crate) fn connect(&self) -> Wire {
        Wire::to(self.address)
    }

    /// Asks the admin listener.
    pub(crate) fn admin(&self, path: &str) -> Answer {
        ask(self.admin, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin))
    }

    /// The value of a metric, by its whole name with labels; absent is 0.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.admin("/metrics").body;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Waits until a metric, asked again and again, has that value.
    #[track_caller]
    pub(crate) fn wait_for_metric(&self, series: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.metric(series);
            if (found - value).abs() < f64::EPSILON {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{series} is {found}, not {value}:\n{}",
                self.admin("/metrics").body
            );
            std::thread::sleep(BREATH);
        }
    }

    /// Waits for a log line of which `wanted` is true.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.log.wait_for(wanted)
    }

    /// All it has said on stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.log.text()
    }

    /// All it has said on stdout so far.
    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(STDOUT)).unwrap()
    }

    /// Its folder, which is also its home.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        self.of_each_thread("comm").into_iter().map(|(name, _)| name).collect()
    }

    /// What `/proc` says of each of its threads in `file`, by the thread's name.
    pub(crate) fn of_each_thread(&self, file: &str) -> Vec<(String, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of = |task: &Path, file| std::fs::read_to_string(task.join(file));
        // A thread may end while it is looked at.
        let told = tasks.filter_map(|task| {
            let task = task.unwrap().path();
            Some((of(&task, "comm").ok()?.trim_end().to_owned(), of(&task, file).ok()?))
        });
        told.collect()
    }

    /// Closes the reading end of its stderr, from its next line on.
    pub(crate) fn close_stderr(&self) {
        self.log.tell(|said| said.hung_up = true);
    }

    /// The most memory it has ever had, in bytes, without the pages of the program's own files: those are read as they
    /// are needed, and held by nobody.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is in /proc");
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        of("VmHWM:").saturating_sub(of("RssFile:"))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until a new connection is refused, after a signal that stops it.
    #[track_caller]
    pub(crate) fn wait_until_it_stops_accepting(&self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < deadline, "it still takes connections");
            std::thread::sleep(BREATH);
        }
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> Exit {
        let stderr = self.log.wait_for_end();
        let code = self.child.wait().unwrap().code();
        Exit { code, stderr }
    }

    /// Stops it as a service manager does, and waits until it is gone.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Exit {
        self.signal(Signal::TERM);
        let exit = self.exit();
        assert_eq!(exit.code, Some(0), "how it stopped");
        exit
    }

    /// As [`Proxy::stop`]: all that it had said on stdout by then.
    #[track_caller]
    pub(crate) fn stop_and_tell(mut self) -> String {
        self.signal(Signal::TERM);
        assert_eq!(self.exit().code, Some(0), "how it stopped");
        self.stdout()
    }
}

impl Drop for Proxy {
    #[expect(clippy::print_stderr, reason = "a test that fails shows what the proxy had to say")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.log.wait_for_end();
            eprintln!("--- the proxy said:\n{}---", self.log.text());
        }
    }
}

impl Setup {
    /// `--type anthropic` rather than `openai`.
    pub(crate) fn anthropic(self) -> Self {
        self.kind("anthropic")
    }

    /// This `--type` rather than `openai`.
    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Another program that is a proxy too.
    pub(crate) fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = Program::At(program.into());
        self
    }

    /// More of a command line.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(OsString::from));
        self
    }

    /// A configuration file, or more of it.
    pub(crate) fn yaml(mut self, yaml: &str) -> Self {
        self.yaml.push_str(yaml);
        self.yaml.push('\n');
        self
    }

    /// A variable of its environment, which is empty otherwise.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// The most descriptors it may have open.
    pub(crate) fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// With the interceptors of `watching::program` to choose from.
    pub(crate) fn watched(mut self) -> Self {
        self.program = Program::Watched;
        self
    }

    /// Where its stdout goes; a file in its folder otherwise.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Starts it on free ports and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Proxy {
        self.start_on(0)
    }

    /// Starts it on that port and waits until it listens.
    #[track_caller]
    pub(crate) fn start_on(self, port: u16) -> Proxy {
        let (child, log, folder) = self.args(&["--port", &port.to_string()]).spawn();
        let line = log.wait_for(|line| line.contains(" listening on http://"));
        let address = address_after(&line, "listening on http://");
        let admin = address_after(&line, "admin on http://");
        Proxy { child, log, address, admin, folder }
    }

    /// Starts it, which must end by itself; ports are not chosen.
    #[track_caller]
    pub(crate) fn fails(self) -> Exit {
        let (mut child, log, _folder) = self.spawn();
        let stderr = log.wait_for_end_of(&mut child);
        Exit { code: child.wait().unwrap().code(), stderr }
    }

    fn spawn(mut self) -> (Child, Arc<Log>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        if !self.yaml.is_empty() {
            let file = folder.path().join("perimeter.yaml");
            std::fs::write(&file, &self.yaml).unwrap();
            self.args.extend(["--config".into(), file.into()]);
        }
        self.args.extend(["--type".into(), self.kind.into()]);
        let stdout = self.stdout.take();
        let mut child = self
            .command()
            .args(&self.args)
            .env_clear()
            .env("HOME", folder.path())
            .envs(self.env)
            .stdin(Stdio::null())
            .stdout(stdout.unwrap_or_else(|| File::create(folder.path().join(STDOUT)).unwrap().into()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        (child, log, folder)
    }

    fn command(&self) -> Command {
        let program = match &self.program {
            Program::At(program) => program.clone(),
            Program::Watched => std::env::current_exe().unwrap().into(),
        };
        let mut command = match self.descriptors {
            None => Command::new(program),
            Some(limit) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]).arg(program);
                shell
            }
        };
        if matches!(self.program, Program::Watched) {
            command.args(program::CALL);
        }
        command
    }
}

/// Sends one request that asks for the connection to be closed, and reads the whole answer.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut client = Wire::to(address);
    client.send(request);
    let head = client.head();
    let body = latin1(client.body(&head));
    Answer { head, body }
}

fn address_after(line: &str, marker: &str) -> SocketAddr {
    let rest =
        line.split_once(marker).unwrap_or_else(|| panic!("no {marker:?} in the start line {line:?}")).1;
    let end = rest.find([' ', ',', ';']).unwrap_or(rest.len());
    let mut address: SocketAddr = rest[..end].parse().unwrap_or_else(|_| panic!("no address in {rest:?}"));
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    address
}

/// Lines of stderr as they come, for whoever waits for one of them.
struct Log {
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
    /// Nobody wants to hear more.
    hung_up: bool,
}

impl Log {
    fn follow(stderr: ChildStderr) -> Arc<Self> {
        let log = Arc::new(Self { said: Mutex::default(), more: Condvar::new() });
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let line =
                    line.map_or_else(|error| error.to_string(), |line| String::from_utf8_lossy(&line).into());
                writer.tell(|said| said.lines.push(line));
                if writer.said.lock().unwrap().hung_up {
                    break;
                }
            }
            writer.tell(|said| said.ended = true);
        });
        log
    }

    fn tell(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap());
        self.more.notify_all();
    }

    #[track_caller]
    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said.lock().unwrap();
        loop {
            if let Some(line) = said.lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !said.ended && !left.is_zero(),
                "the line never came; it said:\n{}",
                said.lines.join("\n")
            );
            said = self.more.wait_timeout(said, left).unwrap().0;
        }
    }

    #[track_caller]
    fn wait_for_end(&self) -> String {
        let said = self.said.lock().unwrap();
        let (said, waited) = self.more.wait_timeout_while(said, PATIENCE, |said| !said.ended).unwrap();
        assert!(!waited.timed_out(), "it did not end in {PATIENCE:?}; it said:\n{}", said.lines.join("\n"));
        said.lines.join("\n")
    }

    fn wait_for_end_of(&self, child: &mut Child) -> String {
        let said = self.said.lock().unwrap();
        let (said, waited) = self.more.wait_timeout_while(said, PATIENCE, |said| !said.ended).unwrap();
        if waited.timed_out() {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end in {PATIENCE:?}; it said:\n{}", said.lines.join("\n"));
        }
        said.lines.join("\n")
    }

    fn text(&self) -> String {
        self.said.lock().unwrap().lines.join("\n")
    }
}
