//! perimeter as a target: whom it hires, and how it is told.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::process::Program;
use super::upstream::Side;
use super::watch::Files;
use super::{Kind, process};
use crate::slow;

/// The interceptors of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hired {
    /// Nothing is said about them: the printer.
    Default,
    Nobody,
    Printer,
    /// The printer and the message logger.
    Both,
    /// Printer, message logger, event recorder and session detector.
    All,
    /// The printer and the trace exporter.
    Exporter,
    /// One that sleeps so many milliseconds over each thing it hears.
    Sleeper(u64),
}

impl Hired {
    /// The `interceptors` of a configuration whose files are in `dir`, and whose traces go to `collector`.
    fn configuration(self, dir: &Path, collector: SocketAddr) -> Option<Value> {
        let files = self.files(dir);
        let printer = json!({"type": "printer"});
        let logger = json!({"type": "message_logger", "config": {"directory": files.messages}});
        let recorder = json!({"type": "event_recorder", "config": {"output_dir": files.events}});
        let detector = json!({"type": "session_detector", "config": {"directory": files.sessions}});
        let endpoint = format!("http://{collector}");
        let exporter = json!({"type": "trace_exporter", "config": {"endpoint": endpoint}});
        match self {
            Self::Default => None,
            Self::Nobody => Some(json!([])),
            Self::Printer => Some(json!([printer])),
            Self::Both => Some(json!([printer, logger])),
            Self::All => Some(json!([printer, logger, recorder, detector])),
            Self::Exporter => Some(json!([printer, exporter])),
            Self::Sleeper(pause) => Some(json!([{"type": slow::KIND, "config": {"pause_ms": pause}}])),
        }
    }

    fn files(self, dir: &Path) -> Files {
        let logs = matches!(self, Self::Both | Self::All);
        let records = self == Self::All;
        Files {
            messages: logs.then(|| dir.join("messages")),
            events: records.then(|| dir.join("events")),
            sessions: records.then(|| dir.join("sessions")),
        }
    }
}

/// What distinguishes one perimeter from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    hired: Hired,
    /// Whether it logs as it does when nobody says how: one access line a request.
    logs: bool,
    /// As many as the floor has threads, unless two are what is measured: the ratio is of the work, not of the cores.
    workers: usize,
}

impl Variant {
    /// None of what is no perimeter.
    pub(super) fn of(kind: Kind) -> Option<Self> {
        let quiet = |hired| Some(Self { hired, logs: false, workers: 1 });
        let logging = |hired| Some(Self { hired, logs: true, workers: 1 });
        match kind {
            Kind::Perimeter | Kind::PerimeterW1 => quiet(Hired::Nobody),
            Kind::PerimeterW2 => Some(Self { hired: Hired::Nobody, logs: false, workers: 2 }),
            Kind::PerimeterPrinter | Kind::PerimeterPrinter2 => quiet(Hired::Printer),
            Kind::PerimeterBoth => quiet(Hired::Both),
            Kind::PerimeterOtel => quiet(Hired::Exporter),
            Kind::PerimeterIdle => quiet(Hired::Sleeper(0)),
            Kind::PerimeterSlow => quiet(Hired::Sleeper(10)),
            Kind::PerimeterLog => logging(Hired::Nobody),
            Kind::PerimeterDefault => logging(Hired::Default),
            Kind::PerimeterAll | Kind::PerimeterApart => logging(Hired::All),
            _ => None,
        }
    }

    /// Whether it is perimeter's binary, not ours with its library.
    pub(super) fn is_perimeters_own(&self) -> bool {
        !matches!(self.hired, Hired::Sleeper(_))
    }

    /// Whether someone watches, who may miss something.
    pub(super) fn watches(&self) -> bool {
        self.hired != Hired::Nobody
    }

    pub(super) fn files(&self, dir: &Path) -> Files {
        self.hired.files(dir)
    }

    /// The program with its configuration in `dir`: `bench` for an interceptor of ours, else `perimeter`.
    pub(super) fn program(
        &self,
        dir: &Path,
        upstream: Side<'_>,
        (bench, perimeter): (&Path, &Path),
        collector: SocketAddr,
    ) -> io::Result<Program> {
        // Its state is of this run, not of whoever measures.
        let mut config = json!({"server": {"workers": self.workers}, "state_dir": dir.join("state")});
        if let (Some(object), Some(hired)) =
            (config.as_object_mut(), self.hired.configuration(dir, collector))
        {
            object.insert("interceptors".to_owned(), hired);
        }
        let file = dir.join("perimeter.yaml");
        // JSON is YAML too.
        fs::write(&file, config.to_string())?;
        let Files { messages, events, sessions } = self.files(dir);
        for dir in [messages, events, sessions].into_iter().flatten() {
            fs::create_dir_all(dir)?;
        }
        let mut command = if self.is_perimeters_own() {
            vec![OsString::from(perimeter)]
        } else {
            vec![OsString::from(bench), "slow-proxy".into(), "--".into()]
        };
        command.extend(["run", "--port", "0", "--type", "openai", "--base-url"].map(OsString::from));
        command.extend([upstream.url().into(), "--config".into(), file.into()]);
        if !self.logs {
            command.extend(["--log-level", "warn"].map(OsString::from));
        }
        Ok(Program { trusts: upstream.authority.map(OsString::from), ..Program::new(command) })
    }
}

/// Where a perimeter that said this on stderr is asked about its interceptors.
pub(super) fn admin(said: &str) -> Option<SocketAddr> {
    process::address_after("admin on http://", said)
}

/// perimeter's binary: the one that was named, or the one beside our own executable.
pub(super) fn binary(named: Option<PathBuf>, bench: &Path) -> PathBuf {
    named.unwrap_or_else(|| bench.with_file_name(OsStr::new("perimeter")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_configuration_names_whom_it_hires() {
        const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);
        let kinds = |hired: Hired| {
            let config = hired.configuration(Path::new("/logs"), NOBODY)?;
            let hired = config.as_array().unwrap().clone();
            Some(
                hired
                    .iter()
                    .map(|one| one["type"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(kinds(Hired::Default), None);
        assert_eq!(kinds(Hired::Nobody).as_deref(), Some(""));
        assert_eq!(kinds(Hired::Printer).as_deref(), Some("printer"));
        assert_eq!(kinds(Hired::Both).as_deref(), Some("printer message_logger"));
        assert_eq!(
            kinds(Hired::All).as_deref(),
            Some("printer message_logger event_recorder session_detector")
        );
        assert_eq!(kinds(Hired::Exporter).as_deref(), Some("printer trace_exporter"));
        assert_eq!(kinds(Hired::Sleeper(10)).as_deref(), Some("sleeper"));
    }
}
