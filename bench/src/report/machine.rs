//! What ran the measurement, since figures without it say little.

use std::fmt;
use std::fs;

use serde::Serialize;

/// The machine in a line.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        // Some architectures name no model; what is unknown must not stop a measurement.
        Self { cpu: model(&cpus).unwrap_or("unknown CPU").to_owned(), cores: cores(&cpus), kernel: kernel() }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {} cores, Linux {}", self.cpu, self.cores, self.kernel)
    }
}

fn model(cpus: &str) -> Option<&str> {
    cpus.lines().find(|line| line.starts_with("model name"))?.split_once(": ").map(|(_, model)| model.trim())
}

/// All cores of the machine, although we may be pinned to one.
fn cores(cpus: &str) -> usize {
    cpus.lines().filter(|line| line.starts_with("processor")).count()
}

fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_cores_are_read() {
        let cpus = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!((model(cpus), cores(cpus)), (Some("AMD EPYC"), 2));
        assert_eq!(model("processor : 0\n"), None);
    }
}
