//! What can be measured, by name, and which workloads each is meant for.

use clap::ValueEnum as _;

use crate::workload::{Way, Workload};

/// What can stand between load generator and upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Nothing: what load generator and upstream cost by themselves.
    Direct,
    /// The limit: a forwarder of bytes that knows no HTTP, one connection to the upstream for each client.
    Tcp,
    /// A plain pass-through made of hyper and hyper-util's client.
    Floor,
    /// The same again: what differs between it and the floor is noise.
    Floor2,
    /// The floor, free to run on both cores.
    FloorW1,
    /// The floor on tokio's multi-thread runtime with two threads, free to run on both cores.
    FloorMt,
    /// perimeter without interceptors and without access lines.
    #[value(alias = "none")]
    Perimeter,
    /// perimeter as it comes: the printer, which prints to /dev/null, and one access line a request, into a file.
    #[value(alias = "default")]
    PerimeterDefault,
    /// The same with printer, message_logger, event_recorder and session_detector, whose files are emptied after each
    /// workload.
    #[value(alias = "all")]
    PerimeterAll,
    /// The same again, its threads that do not forward on the core of the load.
    #[value(alias = "apart")]
    PerimeterApart,
    /// perimeter with the printer, without access lines.
    #[value(alias = "printer")]
    PerimeterPrinter,
    /// The same again: what differs between it and the printer is noise.
    #[value(alias = "printer2")]
    PerimeterPrinter2,
    /// perimeter with printer and message_logger, without access lines.
    #[value(alias = "both")]
    PerimeterBoth,
    /// perimeter with printer and trace exporter, which sends to a collector, without access lines.
    #[value(alias = "otel")]
    PerimeterOtel,
    /// perimeter without interceptors, with access lines.
    PerimeterLog,
    /// perimeter with an interceptor that hears everything and does nothing, in the bench's own binary.
    PerimeterIdle,
    /// The same; the interceptor sleeps 10 ms over each thing it hears.
    PerimeterSlow,
    /// perimeter without interceptors and with one worker, free to run on both cores.
    PerimeterW1,
    /// The same with two workers.
    PerimeterW2,
    /// nginx with a keep-alive upstream, no response buffering and room for request bodies; left out, as all that
    /// follow, where it is not installed.
    Nginx,
    /// The same with its own buffers for request bodies.
    NginxDefault,
    /// haproxy with a keep-alive upstream, one thread.
    Haproxy,
    /// cylestio-perimeter, the predecessor in Python, without interceptors: PERIMETER_BENCH_PYTHON names its command.
    Cylestio,
    /// mitmproxy (mitmdump) as a reverse proxy: PERIMETER_BENCH_MITMDUMP names its command, else it is looked for in
    /// PATH.
    Mitmproxy,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Tcp => "tcp",
            Self::Floor => "floor",
            Self::Floor2 => "floor2",
            Self::FloorW1 => "floor-w1",
            Self::FloorMt => "floor-mt",
            Self::Perimeter => "perimeter",
            Self::PerimeterDefault => "perimeter-default",
            Self::PerimeterAll => "perimeter-all",
            Self::PerimeterApart => "perimeter-apart",
            Self::PerimeterPrinter => "perimeter-printer",
            Self::PerimeterPrinter2 => "perimeter-printer2",
            Self::PerimeterBoth => "perimeter-both",
            Self::PerimeterOtel => "perimeter-otel",
            Self::PerimeterLog => "perimeter-log",
            Self::PerimeterIdle => "perimeter-idle",
            Self::PerimeterSlow => "perimeter-slow",
            Self::PerimeterW1 => "perimeter-w1",
            Self::PerimeterW2 => "perimeter-w2",
            Self::Nginx => "nginx",
            Self::NginxDefault => "nginx-default",
            Self::Haproxy => "haproxy",
            Self::Cylestio => "cylestio",
            Self::Mitmproxy => "mitmproxy",
        }
    }

    /// Whether it may run on every core. All others share one.
    pub(super) fn is_free(self) -> bool {
        matches!(self, Self::FloorW1 | Self::FloorMt | Self::PerimeterW1 | Self::PerimeterW2)
    }

    /// Whether it takes milliseconds for what takes the others microseconds: it gets fewer requests.
    pub(crate) fn is_slow(self) -> bool {
        matches!(self, Self::Cylestio | Self::Mitmproxy)
    }

    /// Whether it has something to do for a long time after the last answer, by intent.
    pub(crate) fn never_rests(self) -> bool {
        self == Self::PerimeterSlow
    }

    /// Whether it can run this workload at all: bytes forwarded as they are make no TLS, the predecessor trusts no
    /// authority of ours, and who needs milliseconds for an event needs a minute for a thousand streams.
    pub(crate) fn can_run(self, workload: &Workload) -> bool {
        match self {
            Self::Direct | Self::Tcp => !workload.tls,
            Self::Cylestio => !workload.tls && !matches!(workload.way, Way::Held(_)),
            Self::Mitmproxy => !matches!(workload.way, Way::Held(_)),
            _ => true,
        }
    }

    /// Whether it is measured with this workload where nobody said which targets: only what a workload can tell of it.
    pub(crate) fn is_meant_for(self, workload: &Workload) -> bool {
        let one_of = |names: &[&str]| names.contains(&workload.name);
        match self {
            Self::Floor | Self::Floor2 | Self::Perimeter | Self::PerimeterAll => true,
            Self::PerimeterApart if matches!(workload.way, Way::Paced(_)) => true,
            _ if matches!(workload.way, Way::Paced(_)) => false,
            Self::FloorW1 | Self::FloorMt | Self::PerimeterW1 | Self::PerimeterW2 => one_of(&["w1-c64"]),
            Self::PerimeterApart => {
                one_of(&["w1-c64", "w2-256k", "w2-2m", "w3-1ms", "w3-flood", "w3-flood-busy"])
            }
            Self::PerimeterIdle | Self::PerimeterSlow => one_of(&["w1-c64", "w3-1ms"]),
            Self::NginxDefault => one_of(&["w2-256k", "w2-2m"]),
            _ => true,
        }
    }
}

/// What `--targets` takes: a name, or one for several.
#[derive(Clone, Debug)]
pub(crate) struct Wanted(pub(crate) Vec<Kind>);

/// The names that stand for several.
const GROUPS: &[(&str, &[Kind])] = &[
    ("perimeters", &[Kind::Perimeter, Kind::PerimeterDefault, Kind::PerimeterAll]),
    ("workers", &[Kind::FloorW1, Kind::FloorMt, Kind::PerimeterW1, Kind::PerimeterW2]),
    ("slow", &[Kind::PerimeterIdle, Kind::PerimeterSlow]),
    ("servers", &[Kind::Nginx, Kind::NginxDefault, Kind::Haproxy]),
    ("peers", &[Kind::Cylestio, Kind::Mitmproxy]),
];

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if let Some((_, kinds)) = GROUPS.iter().find(|(group, _)| *group == name) {
            return Ok(Self(kinds.to_vec()));
        }
        Kind::from_str(name, false).map(|kind| Self(vec![kind])).map_err(|_| {
            let names = Kind::value_variants().iter().map(|kind| kind.name());
            let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).chain(names).collect();
            format!("the targets are {}", names.join(", "))
        })
    }
}

/// What is measured where nobody says what.
pub(crate) const USUAL: &[Kind] = &[
    Kind::Direct,
    Kind::Tcp,
    Kind::Floor,
    Kind::Floor2,
    Kind::Perimeter,
    Kind::PerimeterDefault,
    Kind::PerimeterAll,
    Kind::PerimeterApart,
    Kind::PerimeterIdle,
    Kind::PerimeterSlow,
    Kind::FloorW1,
    Kind::FloorMt,
    Kind::PerimeterW1,
    Kind::PerimeterW2,
    Kind::Nginx,
    Kind::NginxDefault,
    Kind::Haproxy,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_called_by_its_name() {
        for kind in Kind::value_variants() {
            let wanted: Wanted = kind.name().parse().unwrap();
            assert_eq!(wanted.0, [*kind]);
        }
    }

    #[test]
    fn a_name_may_stand_for_several_and_what_is_unknown_is_said() {
        let peers: Wanted = "peers".parse().unwrap();
        assert_eq!(peers.0, [Kind::Cylestio, Kind::Mitmproxy]);
        assert!("squid".parse::<Wanted>().unwrap_err().contains("perimeters"));
    }
}
