//! Plays scenarios: it is the clients and the providers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Condvar, Mutex};

use socket2::{Domain, Socket, Type};

use crate::corpus::Dice;
use crate::corpus::scenario::{Ending, Exchange, Scenario, Step};
use crate::corpus::score::Found;
use crate::support::told::Told;
use crate::support::wire::PATIENCE;
use crate::support::{Provider, Proxy, Wire};

/// The header that says which exchange of which scenario it is.
const PLACE: &str = "x-corpus";

/// Whose keys they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// Each scenario has its own.
    Own,
    /// The same name is the same key in all of them.
    Shared,
}

/// A proxy, and what has reached the provider behind it.
pub(super) struct Stage<'p> {
    proxy: &'p Proxy,
    /// The provider's ends of exchanges whose requests have arrived, by their places.
    arrived: Mutex<HashMap<String, Wire>>,
    arrives: Condvar,
}

impl<'p> Stage<'p> {
    /// Lets so many calls be played.
    pub(super) fn with(provider: &Provider, proxy: &'p Proxy, calls: usize, play: impl FnOnce(&Self)) {
        let stage = Self { proxy, arrived: Mutex::default(), arrives: Condvar::new() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..calls {
                    let mut upstream = provider.accept();
                    let head = upstream.head();
                    upstream.body(&head);
                    let place = head.value(PLACE).unwrap().to_owned();
                    stage.arrived.lock().unwrap().insert(place, upstream);
                    stage.arrives.notify_all();
                }
            });
            play(&stage);
        });
    }

    /// The provider's end of that exchange, whose request has arrived whole.
    fn upstream(&self, place: &str) -> Wire {
        let arrived = self.arrived.lock().unwrap();
        let wait = |arrived: &mut HashMap<_, _>| !arrived.contains_key(place);
        let (mut arrived, _) = self.arrives.wait_timeout_while(arrived, PATIENCE, wait).unwrap();
        arrived.remove(place).unwrap_or_else(|| panic!("{place} did not reach the provider"))
    }

    /// A client of that address.
    fn connect(&self, ip: u8) -> Wire {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, ip)), 0);
        socket.bind(&from.into()).unwrap();
        socket.connect(&self.proxy.address().into()).unwrap();
        Wire::new("the client", TcpStream::from(socket))
    }
}

/// A scenario that is being played.
pub(super) struct Play<'p> {
    stage: &'p Stage<'p>,
    scenario: &'p Scenario,
    keys: Keys,
    dice: Dice,
    next: usize,
    /// Exchanges that have begun, both their ends.
    open: HashMap<usize, (Wire, Wire)>,
}

impl<'p> Play<'p> {
    pub(super) fn new(stage: &'p Stage<'p>, scenario: &'p Scenario, keys: Keys, seed: u64) -> Self {
        Self { stage, scenario, keys, dice: Dice(seed), next: 0, open: HashMap::new() }
    }

    /// Plays the next step.
    pub(super) fn step(&mut self) {
        let step = self.scenario.steps[self.next];
        self.next += 1;
        match step {
            Step::Begins(at) => self.begin(at),
            Step::Ends(at) => self.end(at),
        }
    }

    fn begin(&mut self, at: usize) {
        let exchange = &self.scenario.exchanges[at];
        let place = place(self.scenario, exchange);
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: app\r\n{PLACE}: {place}\r\n", exchange.method, exchange.path);
        for (name, value) in &exchange.headers {
            let value = match self.keys {
                Keys::Own => exchange.with_key_of(self.scenario, value),
                Keys::Shared => value.clone(),
            };
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "content-length: {}\r\n\r\n", exchange.body.len()).unwrap();
        let mut client = self.stage.connect(exchange.client.ip());
        client.send([head.as_bytes(), &exchange.body].concat());
        self.open.insert(at, (client, self.stage.upstream(&place)));
    }

    fn end(&mut self, at: usize) {
        let exchange = &self.scenario.exchanges[at];
        let (mut client, mut upstream) = self.open.remove(&at).unwrap();
        if exchange.ending == Ending::None {
            client.close();
            upstream.expect_end();
            return;
        }
        upstream.send(format!(
            "HTTP/1.1 {} It\r\nconnection: close\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
            exchange.status, exchange.content_type
        ));
        assert_eq!(client.head().status(), exchange.status);
        let mut rest = &*exchange.answer;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + self.dice.below(400)));
            upstream.send_chunk(piece);
            client.expect_in_chunks(piece);
            rest = behind;
        }
        match exchange.ending {
            Ending::Whole => {
                upstream.send("0\r\n\r\n");
                assert_eq!(client.chunked().0, b"");
                upstream.close();
            }
            Ending::Cut => {
                client.close();
                upstream.expect_end();
            }
            Ending::Broken | Ending::None => {
                upstream.close();
                client.rest();
            }
        }
    }
}

fn place(scenario: &Scenario, exchange: &Exchange) -> String {
    format!("{}:{}", scenario.name, exchange.id)
}

/// What a witness was told of each exchange.
pub(super) fn found(told: &Told, scenarios: &[&Scenario]) -> Vec<Vec<Option<Found>>> {
    let mut places: HashMap<&str, &str> = HashMap::new();
    let mut calls: HashMap<&str, Found> = HashMap::new();
    for line in &told.lines {
        let exchange = line["exchange"].as_str().unwrap_or_default();
        let headers = line["headers"].as_array().into_iter().flatten();
        if let Some(place) = headers.filter(|field| field[0] == PLACE).find_map(|field| field[1].as_str()) {
            places.insert(exchange, place);
        }
        if let Some(call) = line["call"].get("found") {
            let place = places[exchange];
            let before = calls.insert(place, serde_json::from_value(call.clone()).unwrap());
            assert!(before.is_none(), "{place} was told twice");
        }
    }
    let mut of = |scenario: &Scenario| {
        scenario.exchanges.iter().map(|exchange| calls.remove(&*place(scenario, exchange))).collect()
    };
    scenarios.iter().map(|scenario| of(scenario)).collect()
}
