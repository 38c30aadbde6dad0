//! Children on cores of their own: started, waited for until they listen, and gone when the bench is (cold starts, if
//! that was not killed).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock;
use crate::cores;
use crate::error::{Doing as _, Error};
use crate::load::INTERRUPTED;

/// A child that does not outlive its owner.
pub(crate) struct Process {
    child: Child,
    started: u64,
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it was started, by our clock.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// SIGTERM, and a minute for it.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        use rustix::process::{Pid, Signal, kill_process};
        kill_process(Pid::from_child(&self.child), Signal::TERM).doing("stopping a process")?;
        for _ in 0..6000 {
            if self.child.try_wait().doing("waiting for a process")?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(Error::Wrong("a process that does not stop".to_owned()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What is started.
pub(super) struct Program {
    pub(super) command: Vec<OsString>,
    /// Where it will listen; one that picks its port says so on stderr.
    pub(super) listens: Option<SocketAddr>,
    /// A certificate (PEM) that it is told to trust by the environment.
    pub(super) trusts: Option<OsString>,
}

impl Program {
    /// One that says on stderr where it listens.
    pub(super) fn new<S: AsRef<OsStr>>(command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(|word| word.as_ref().to_owned()).collect();
        Self { command, listens: None, trusts: None }
    }

    pub(super) fn at(self, address: SocketAddr) -> Self {
        Self { listens: Some(address), ..self }
    }
}

/// How children are started: by this executable, which pins itself and becomes them.
pub(super) struct Starter<'a> {
    pub(super) bench: &'a Path,
    pub(super) name: &'a str,
    /// What the child writes to stderr.
    pub(super) log: &'a Path,
    /// Where it may run; none: everywhere.
    pub(super) cores: Vec<usize>,
    /// Whether nothing may be before the program or between it and its first answer: it is no child of a `launch`, and
    /// looked at without a pause.
    pub(super) cold: bool,
}

impl Starter<'_> {
    /// Starts a program, and waits until it listens.
    pub(super) fn start(&self, program: &Program) -> Result<(Process, SocketAddr), Error> {
        let mut process = self.spawn(program)?;
        let address = self.until_started(&mut process, program, |said| match program.listens {
            Some(address) => TcpStream::connect(address).ok().map(|_| address),
            None => listening_address(said),
        })?;
        Ok((process, address))
    }

    fn spawn(&self, program: &Program) -> Result<Process, Error> {
        let log = File::create(self.log).doing("making a log file")?;
        let mut launch = if self.cold { direct(program) } else { self.launcher(program) };
        // What decides about a proxy in someone's shell must not decide here.
        for variable in ["LLM_BASE_URL", "LLM_TYPE", "LLM_API_KEY", "LOG_LEVEL", "RUST_LOG", "SSL_CERT_DIR"] {
            launch.env_remove(variable);
        }
        if let Some(file) = &program.trusts {
            launch.env("SSL_CERT_FILE", file);
        }
        // Ctrl-C goes to the whole group of a terminal's job; what it means for these processes is ours to say.
        launch.process_group(0);
        launch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = clock::now();
        let child = match self.cold {
            // A child begins where its parent is.
            true => cores::at(&self.cores, || launch.spawn()).doing("pinning a start")?,
            false => launch.spawn(),
        };
        child.map(|child| Process { child, started }).doing(format!("starting {}", self.name))
    }

    fn launcher(&self, program: &Program) -> Command {
        let mut launch = Command::new(self.bench);
        launch.arg("launch");
        for core in &self.cores {
            launch.arg("--core").arg(core.to_string());
        }
        launch.arg("--").args(&program.command);
        launch
    }

    fn until_started<T>(
        &self,
        process: &mut Process,
        program: &Program,
        started: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Error> {
        let (mut said, mut why) =
            (String::new(), format!("it did not listen within {} s", LOOK_AT_MOST / 1_000_000_000));
        let looking = clock::now();
        while clock::now().saturating_sub(looking) < LOOK_AT_MOST {
            said = fs::read_to_string(self.log).doing("reading a log file")?;
            if let Some(found) = started(&said) {
                return Ok(found);
            }
            if INTERRUPTED.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if let Some(status) = process.child.try_wait().doing("waiting for a process")? {
                why = status.to_string();
                break;
            }
            if !self.cold {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let path = program.command.first().map_or(Path::new(""), Path::new);
        Err(Error::NotStarted { name: format!("{} ({})", self.name, path.display()), why, said })
    }
}

/// Why nobody can speak with a process that listens.
pub(super) const NO_ADDRESS: &str = "it does not say where it listens with all that it has";

/// Nanoseconds. Python may have much to import, and valgrind makes everyone slow.
const LOOK_AT_MOST: u64 = 60_000_000_000;

fn direct(program: &Program) -> Command {
    let mut words = program.command.iter();
    let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
    command.args(words);
    command
}

/// What the `launch` subcommand does: becomes the program, on these cores, to die when the bench dies however it dies.
pub(crate) fn launch(on: &[usize], command: &[OsString]) -> Result<(), Error> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).doing("tying a process to its parent")?;
    if !on.is_empty() {
        cores::pin(on).doing("pinning a process to its cores")?;
    }
    let (program, arguments) =
        command.split_first().ok_or_else(|| Error::Usage("launch needs a program".into()))?;
    Err(Command::new(program).args(arguments).exec()).doing(format!("executing {}", program.display()))
}

fn listening_address(said: &str) -> Option<SocketAddr> {
    address_after("listening on http://", said)
}

/// The address that follows these words, once something follows it: before, the line may be half written.
pub(super) fn address_after(words: &str, said: &str) -> Option<SocketAddr> {
    let (_, after) = said.split_once(words)?;
    let (address, _) = after.split_once([' ', ',', ';', '\n'])?;
    address.parse().ok()
}

/// A server's program: in `PATH`, or where Debian has it, which is not in everybody's.
pub(super) fn server(name: &str) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
    let mut files = places.map(|place| place.join(name));
    files.find(|file| file.is_file()).map_or_else(|| name.into(), PathBuf::into_os_string)
}

pub(super) fn free_port() -> std::io::Result<SocketAddr> {
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
