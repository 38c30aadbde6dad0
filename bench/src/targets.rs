//! The processes that are measured: started on free ports, each on its core, and gone when the bench is.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::collector;
use crate::cores::Cores;
use crate::cpu;
use crate::error::{Doing as _, Error};

mod haproxy;
mod kind;
mod nginx;
mod perimeter;
mod process;
mod python;
mod upstream;
mod watch;

pub(crate) use kind::{Kind, USUAL, Wanted};
use nginx::Bodies;
use perimeter::Variant;
use process::{NO_ADDRESS, Program, Starter};
pub(crate) use process::{Process, launch};
use upstream::Side;
pub(crate) use upstream::Upstream;
pub(crate) use watch::{Logged, Watch};

/// Something that answers, and the process whose CPU time it takes.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Option<Process>,
    /// Of a perimeter with interceptors.
    pub(crate) watch: Option<Watch>,
    log: PathBuf,
    /// Where its threads that do not forward are to run, if not where it runs.
    observers: Option<usize>,
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
        self.process.as_ref().map(Process::pid)
    }

    /// When its process was started, by our clock.
    pub(crate) fn started(&self) -> Option<u64> {
        self.process.as_ref().map(Process::started)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.process.as_mut().map_or(Ok(()), Process::end)
    }

    /// Moves the threads that do not forward, where they are to be apart: also those that were started since.
    pub(crate) fn place_observers(&self) -> Result<(), Error> {
        let Some((pid, core)) = self.pid().zip(self.observers) else { return Ok(()) };
        cpu::pin_observers(pid, core).doing("moving threads")
    }
}

/// Starts targets beside one upstream.
pub(crate) struct Launcher {
    bench: PathBuf,
    pub(crate) perimeter: PathBuf,
    cores: Option<Cores>,
    /// Configuration and logs; removed at the end.
    dir: TempDir,
    pub(crate) upstream: Upstream,
    collector: SocketAddr,
    pub(crate) how: How,
}

/// How targets are started, if not as always.
#[derive(Debug, Default)]
pub(crate) struct How {
    /// Under this command, such as a profiler with its options.
    pub(crate) under: Vec<OsString>,
    /// Themselves, with nothing before, and awaited without a pause: what a start takes is in their time.
    pub(crate) cold: bool,
}

impl Launcher {
    /// Starts the upstream. Files are written into a folder in `files`. Without a path, perimeter is looked for beside
    /// our own executable.
    pub(crate) fn new(perimeter: Option<PathBuf>, cores: Option<Cores>, files: &Path) -> Result<Self, Error> {
        let bench = std::env::current_exe().doing("finding our own executable")?;
        let perimeter = perimeter::binary(perimeter, &bench);
        let dir = tempfile::Builder::new()
            .prefix("perimeter-bench-")
            .tempdir_in(files)
            .doing("making a directory")?;
        // The direct way has no process of its own between: what it says is what the upstream says.
        let log = dir.path().join(Kind::Direct.name());
        let core = cores.map(|cores| cores.load);
        let upstream = Upstream::start(&bench, dir.path(), &log, core.into_iter().collect())?;
        let collector = collector::start().doing("starting a collector")?;
        Ok(Self { bench, perimeter, cores, dir, upstream, collector, how: How::default() })
    }

    /// Starts a target that is measured with many workloads; none when its program is one that need not be there and
    /// is not.
    pub(crate) fn start(&self, kind: Kind) -> Result<Option<Target>, Error> {
        self.start_in(kind, kind.name(), false)
    }

    /// Starts another process of this kind, for one workload.
    pub(crate) fn start_another(&self, kind: Kind, tls: bool) -> Result<Option<Target>, Error> {
        let name = format!("{}-own", kind.name());
        // What the one before wrote.
        _ = fs::remove_dir_all(self.dir.path().join(format!("{name}.d")));
        self.start_in(kind, &name, tls)
    }

    fn start_in(&self, kind: Kind, name: &str, tls: bool) -> Result<Option<Target>, Error> {
        let log = self.dir.path().join(name);
        let side = self.upstream.side(tls);
        if kind == Kind::Direct {
            let (address, log) = (side.address, self.dir.path().join(kind.name()));
            return Ok(Some(Target { kind, address, process: None, watch: None, log, observers: None }));
        }
        let dir = self.dir.path().join(format!("{name}.d"));
        fs::create_dir_all(&dir).doing("making a directory")?;
        let Some(mut program) = self.program(kind, &dir, side)? else { return Ok(None) };
        program.command.splice(..0, self.how.under.iter().cloned());
        let starter = Starter {
            bench: &self.bench,
            name: kind.name(),
            log: &log,
            cores: self.cores_of(kind),
            cold: self.how.cold,
        };
        let (process, address) = starter.start(&program)?;
        let watch = watch(kind, &dir, &log)?;
        let observers = self.cores.filter(|_| kind == Kind::PerimeterApart).map(|cores| cores.load);
        Ok(Some(Target { kind, address, process: Some(process), watch, log, observers }))
    }

    /// Where targets run, if not anywhere.
    pub(crate) fn core(&self) -> Option<usize> {
        self.cores.map(|cores| cores.proxy)
    }

    fn cores_of(&self, kind: Kind) -> Vec<usize> {
        match self.cores {
            None => Vec::new(),
            Some(cores) if kind.is_free() => vec![cores.proxy, cores.load],
            Some(cores) => vec![cores.proxy],
        }
    }

    /// None where it is not installed.
    fn program(&self, kind: Kind, dir: &Path, upstream: Side<'_>) -> Result<Option<Program>, Error> {
        if let Some(variant) = Variant::of(kind) {
            if variant.is_perimeters_own() && !self.perimeter.is_file() {
                return Err(Error::NoPerimeter(self.perimeter.clone()));
            }
            let binaries = (self.bench.as_path(), self.perimeter.as_path());
            let program = variant.program(dir, upstream, binaries, self.collector);
            return program.map(Some).doing("configuring perimeter");
        }
        let program = match kind {
            Kind::Tcp => Ok(self.ours(&["tcp"], upstream)),
            Kind::FloorMt => Ok(self.ours(&["floor", "--workers", "2"], upstream)),
            Kind::Nginx | Kind::NginxDefault => {
                if nginx::version().is_none() {
                    return Ok(None);
                }
                let bodies = if kind == Kind::Nginx { Bodies::Buffered } else { Bodies::Default };
                nginx::program(dir, upstream, bodies)
            }
            Kind::Haproxy if haproxy::version().is_none() => return Ok(None),
            Kind::Haproxy => haproxy::program(dir, upstream),
            Kind::Cylestio => match python::cylestio() {
                None => return Ok(None),
                Some(command) => python::run_cylestio(&command, dir, upstream),
            },
            Kind::Mitmproxy => match python::mitmdump() {
                None => return Ok(None),
                Some(command) => python::run_mitmdump(&command, dir, upstream),
            },
            _ => Ok(self.ours(&["floor"], upstream)),
        };
        program.map(Some).doing(format!("configuring {}", kind.name()))
    }

    /// A proxy that is a subcommand of the bench.
    fn ours(&self, words: &[&str], upstream: Side<'_>) -> Program {
        let mut command = vec![self.bench.clone().into_os_string()];
        command.extend(words.iter().map(Into::into));
        command.extend(["--upstream".into(), upstream.address.to_string().into()]);
        if let Some(authority) = upstream.authority {
            command.extend(["--authority".into(), authority.into()]);
        }
        Program::new(command)
    }
}

fn watch(kind: Kind, dir: &Path, log: &Path) -> Result<Option<Watch>, Error> {
    let Some(variant) = Variant::of(kind).filter(Variant::watches) else { return Ok(None) };
    let said = fs::read_to_string(log).doing("reading a log file")?;
    let admin = perimeter::admin(&said).ok_or_else(|| Error::NotStarted {
        name: kind.name().to_owned(),
        why: NO_ADDRESS.to_owned(),
        said,
    })?;
    Ok(Some(Watch { admin, files: variant.files(dir) }))
}

/// Which versions of others are measured: what is installed.
pub(crate) fn versions() -> String {
    let versions: Vec<String> = [nginx::version(), haproxy::version()].into_iter().flatten().collect();
    versions.join(", ")
}
