//! The processes that are measured: started on free ports, pinned, and gone when the bench is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tempfile::TempDir;

use crate::collector;
use crate::cpu::{self, Cores};
use crate::error::{Doing as _, Error};
use crate::load::INTERRUPTED;

mod nginx;
mod perimeter;

use perimeter::Hired;
pub(crate) use perimeter::{Logged, Watch};

/// What can stand between load generator and upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Nothing: what load generator and upstream cost by themselves.
    Direct,
    /// A plain pass-through made of hyper and hyper-util's client.
    Floor,
    /// The same again: what differs between it and the floor is noise.
    Floor2,
    /// perimeter without interceptors and without access lines.
    #[value(alias = "none")]
    Perimeter,
    /// The same with the printer, which prints to /dev/null.
    #[value(alias = "printer")]
    PerimeterPrinter,
    /// The same again: what differs between it and the printer is noise.
    #[value(alias = "printer2")]
    PerimeterPrinter2,
    /// The same with the printer and the message logger, which writes files that are emptied after each workload.
    #[value(alias = "both")]
    PerimeterBoth,
    /// The same with the printer and the trace exporter, which sends traces, logs and metrics to a collector.
    #[value(alias = "otel")]
    PerimeterOtel,
    /// perimeter as it logs by default, into a file.
    PerimeterLog,
    /// nginx with a keep-alive upstream, no response buffering and room for request bodies; left out where it is
    /// not installed.
    Nginx,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Floor2 => "floor2",
            Self::Perimeter => "perimeter",
            Self::PerimeterPrinter => "perimeter-printer",
            Self::PerimeterPrinter2 => "perimeter-printer2",
            Self::PerimeterBoth => "perimeter-both",
            Self::PerimeterOtel => "perimeter-otel",
            Self::PerimeterLog => "perimeter-log",
            Self::Nginx => "nginx",
        }
    }
}

/// Something that answers, and the process whose CPU time it takes.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Option<Process>,
    /// Of a perimeter with interceptors.
    pub(crate) watch: Option<Watch>,
    log: PathBuf,
}

impl Target {
    /// The end of what it has written to stderr, to explain an answer that was wrong.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("\n")
    }

    /// The first few warnings that it has written to stderr: what it says of a lost interceptor or a full disk.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let grave = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
        log.lines().filter(grave).take(5).map(str::to_owned).collect()
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }
}

/// A child that does not outlive its owner.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts targets beside one upstream.
pub(crate) struct Launcher {
    bench: PathBuf,
    perimeter: PathBuf,
    cores: Option<Cores>,
    /// Configuration and logs; removed at the end.
    dir: TempDir,
    upstream: SocketAddr,
    _upstream: Process,
    collector: SocketAddr,
}

impl Launcher {
    /// Starts the upstream. Without a path, perimeter is looked for beside our own executable.
    pub(crate) fn new(perimeter: Option<PathBuf>, cores: Option<Cores>) -> Result<Self, Error> {
        let bench = std::env::current_exe().doing("finding our own executable")?;
        let perimeter = perimeter.unwrap_or_else(|| bench.with_file_name("perimeter"));
        let dir =
            tempfile::Builder::new().prefix("perimeter-bench-").tempdir().doing("making a directory")?;
        // The direct way has no process of its own between: what it says is what the upstream says.
        let log = dir.path().join(Kind::Direct.name());
        let command = [bench.as_os_str(), "upstream".as_ref()];
        let (child, address) =
            start_listening(&bench, "upstream", &log, cores.map(|cores| cores.load), &command)?;
        let collector = collector::start().doing("starting a collector")?;
        Ok(Self { bench, perimeter, cores, dir, upstream: address, _upstream: child, collector })
    }

    /// Starts a target; none when its program is one that need not be there and is not.
    pub(crate) fn start(&self, kind: Kind) -> Result<Option<Target>, Error> {
        let log = self.log(kind);
        let (process, address) = match kind {
            Kind::Direct => {
                return Ok(Some(Target { kind, address: self.upstream, process: None, watch: None, log }));
            }
            Kind::Floor | Kind::Floor2 => self.floor(kind)?,
            Kind::Perimeter => self.perimeter(kind, Hired::Nobody, Some("warn"))?,
            Kind::PerimeterPrinter | Kind::PerimeterPrinter2 => {
                self.perimeter(kind, Hired::Printer, Some("warn"))?
            }
            Kind::PerimeterBoth => self.perimeter(kind, Hired::Both, Some("warn"))?,
            Kind::PerimeterOtel => self.perimeter(kind, Hired::Exporter, Some("warn"))?,
            Kind::PerimeterLog => self.perimeter(kind, Hired::Nobody, None)?,
            Kind::Nginx if nginx::version().is_none() => return Ok(None),
            Kind::Nginx => self.nginx()?,
        };
        let watch = self.watch(kind)?;
        Ok(Some(Target { kind, address, process: Some(process), watch, log }))
    }

    fn watch(&self, kind: Kind) -> Result<Option<Watch>, Error> {
        let messages = match kind {
            Kind::PerimeterPrinter | Kind::PerimeterPrinter2 | Kind::PerimeterOtel => None,
            Kind::PerimeterBoth => Some(self.messages(kind)),
            _ => return Ok(None),
        };
        let log = self.log(kind);
        let said = fs::read_to_string(&log).doing("reading a log file")?;
        let admin = address_after("admin on http://", &said)
            .ok_or_else(|| Error::NotStarted { name: kind.name().to_owned(), said })?;
        Ok(Some(Watch { admin, messages }))
    }

    /// Where the message logger of a target writes.
    fn messages(&self, kind: Kind) -> PathBuf {
        self.dir.path().join(format!("{}-messages", kind.name()))
    }

    fn floor(&self, kind: Kind) -> Result<(Process, SocketAddr), Error> {
        let upstream = self.upstream.to_string();
        self.listening(
            kind,
            &[self.bench.as_os_str(), "floor".as_ref(), "--upstream".as_ref(), upstream.as_ref()],
        )
    }

    fn perimeter(
        &self,
        kind: Kind,
        hired: Hired,
        log_level: Option<&str>,
    ) -> Result<(Process, SocketAddr), Error> {
        if !self.perimeter.is_file() {
            return Err(Error::NoPerimeter(self.perimeter.clone()));
        }
        let messages = self.messages(kind);
        fs::create_dir_all(&messages).doing("making a directory for messages")?;
        let config = self.dir.path().join(format!("{}.yaml", kind.name()));
        fs::write(&config, hired.configuration(&messages, self.collector))
            .doing("writing perimeter's configuration")?;
        let base_url = format!("http://{}", self.upstream);
        let mut command: Vec<&OsStr> = vec![self.perimeter.as_os_str()];
        command.extend(["run", "--port", "0", "--type", "openai"].map(OsStr::new));
        command.extend(["--base-url".as_ref(), base_url.as_ref(), "--config".as_ref(), config.as_os_str()]);
        if hired == Hired::Nobody {
            command.extend(["--interceptors", "none"].map(OsStr::new));
        }
        if let Some(level) = log_level {
            command.extend(["--log-level".as_ref(), OsStr::new(level)]);
        }
        self.listening(kind, &command)
    }

    fn nginx(&self) -> Result<(Process, SocketAddr), Error> {
        let address = free_port().doing("finding a port for nginx")?;
        let config = nginx::configure(self.dir.path(), address, self.upstream).doing("configuring nginx")?;
        let command = ["nginx".as_ref(), "-c".as_ref(), config.as_os_str(), "-e".as_ref(), "stderr".as_ref()];
        let (name, log) = (Kind::Nginx.name(), self.log(Kind::Nginx));
        let mut process = spawn(&self.bench, name, &log, self.proxy_core(), &command)?;
        until_started(name, &mut process, &log, |_| TcpStream::connect(address).ok())?;
        Ok((process, address))
    }

    fn listening(&self, kind: Kind, command: &[&OsStr]) -> Result<(Process, SocketAddr), Error> {
        start_listening(&self.bench, kind.name(), &self.log(kind), self.proxy_core(), command)
    }

    fn log(&self, kind: Kind) -> PathBuf {
        self.dir.path().join(kind.name())
    }

    fn proxy_core(&self) -> Option<usize> {
        self.cores.map(|cores| cores.proxy)
    }
}

/// Starts a program that says on stderr where it listens.
fn start_listening(
    bench: &Path,
    name: &str,
    log: &Path,
    core: Option<usize>,
    command: &[&OsStr],
) -> Result<(Process, SocketAddr), Error> {
    let mut process = spawn(bench, name, log, core, command)?;
    let address = until_started(name, &mut process, log, listening_address)?;
    Ok((process, address))
}

fn spawn(
    bench: &Path,
    name: &str,
    log: &Path,
    core: Option<usize>,
    command: &[&OsStr],
) -> Result<Process, Error> {
    let log = File::create(log).doing("making a log file")?;
    let mut launch = Command::new(bench);
    launch.arg("launch");
    if let Some(core) = core {
        launch.arg("--core").arg(core.to_string());
    }
    launch.arg("--").args(command);
    // What decides about a proxy in someone's shell must not decide here.
    for variable in ["LLM_BASE_URL", "LLM_TYPE", "LLM_API_KEY", "LOG_LEVEL", "RUST_LOG"] {
        launch.env_remove(variable);
    }
    // Ctrl-C goes to the whole group of a terminal's job; what it means for these processes is ours to say.
    launch.process_group(0);
    let child = launch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    child.map(Process).doing(format!("starting {name}"))
}

/// What the `launch` subcommand does: becomes the program, on one core, to die when the bench dies however it dies.
pub(crate) fn launch(core: Option<usize>, command: &[OsString]) -> Result<(), Error> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).doing("tying a process to its parent")?;
    if let Some(core) = core {
        cpu::pin(core).doing("pinning a process to its core")?;
    }
    let (program, arguments) =
        command.split_first().ok_or_else(|| Error::Usage("launch needs a program".into()))?;
    Err(Command::new(program).args(arguments).exec()).doing(format!("executing {}", program.display()))
}

fn until_started<T>(
    name: &str,
    process: &mut Process,
    log: &Path,
    started: impl Fn(&str) -> Option<T>,
) -> Result<T, Error> {
    let mut said = String::new();
    for _ in 0..1000 {
        said = fs::read_to_string(log).doing("reading a log file")?;
        if let Some(found) = started(&said) {
            return Ok(found);
        }
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if process.0.try_wait().doing("waiting for a process")?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Error::NotStarted { name: name.to_owned(), said })
}

fn listening_address(said: &str) -> Option<SocketAddr> {
    address_after("listening on http://", said)
}

fn address_after(words: &str, said: &str) -> Option<SocketAddr> {
    let (_, after) = said.split_once(words)?;
    // The line may be half written: only what something follows is whole.
    let (address, _) = after.split_once([' ', ',', ';', '\n'])?;
    address.parse().ok()
}

fn free_port() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_line_says_where() {
        let line = "perimeter 3 listening on http://127.0.0.1:4000 and http://[::1]:4000, forwarding to x";
        assert_eq!(listening_address(line), "127.0.0.1:4000".parse().ok());
        assert_eq!(
            listening_address("floor listening on http://127.0.0.1:40\n"),
            "127.0.0.1:40".parse().ok()
        );
        assert_eq!(listening_address("floor listening on http://127.0.0.1:4"), None);
        let line = "forwarding to http://x, admin on http://127.0.0.1:4001; set OPENAI_BASE_URL=y\n";
        assert_eq!(address_after("admin on http://", line), "127.0.0.1:4001".parse().ok());
    }
}
