//! From a file, the environment and the command line to a [`Config`].

use std::env::VarError;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

use http::HeaderName;
use serde::Deserialize;

use super::problem::{ConfigError, Problem, What};
use super::reader::Reader;
use super::tree::{Node, Origin, Value};
use super::variables::Lookup;
use super::{Config, Host, Provider, Server, known, yaml};
use crate::prices::Prices;
use crate::registry::{Hire, Kind, Registry};

/// Who watches where the configuration does not say.
const DEFAULT: &str = "printer";

/// No configuration is larger; a path given by mistake may be.
const MAX_SIZE: u64 = 1024 * 1024;

/// A configuration, and what its user should know about it.
#[derive(Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The interceptors of it that are enabled, in their order, ready to be hired.
    pub hires: Vec<Hire>,
    /// What was accepted but may not be what was meant; a line each.
    pub warnings: Vec<String>,
}

/// What stands above the file: flags over the environment.
// Not `Debug`: it holds keys.
#[derive(Default)]
pub struct Overrides {
    values: Vec<(&'static str, Node)>,
    interceptors: Option<Vec<String>>,
    file_first: bool,
}

/// The environment variables that are read by themselves, and the keys they stand for.
const VARIABLES: [(&str, &str); 4] = [
    ("LLM_BASE_URL", "llm.base_url"),
    ("LLM_TYPE", "llm.type"),
    ("LLM_API_KEY", "llm.api_key"),
    ("LOG_LEVEL", "logging.level"),
];

impl Overrides {
    /// `flag` (`--port`) was given `value` for the key at `path` (`server.port`).
    #[must_use]
    pub fn flag(mut self, path: &'static str, flag: &'static str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.values.push((path, Node::literal(Origin::Flag(flag), value)));
        }
        self
    }

    /// `--interceptors` was given these names, in place of the file's list.
    #[must_use]
    pub fn interceptors(mut self, names: Option<Vec<String>>) -> Self {
        self.interceptors = names;
        self
    }

    /// The environment only fills in what the file lacks: whoever checks a file wants all of it checked.
    #[must_use]
    pub fn file_first(mut self) -> Self {
        self.file_first = true;
        self
    }
}

/// A file's name, as errors tell it, and what is in it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

impl Config {
    /// Reads the file at `path`, then lets the environment and `overrides` have their way with it.
    ///
    /// # Errors
    /// [`ConfigError`] names the place, the key's path, what was found and what would be right.
    pub fn load(
        path: Option<&Path>,
        overrides: Overrides,
        registry: &Registry,
    ) -> Result<Loaded, ConfigError> {
        let environment = |name: &str| std::env::var(name);
        let Some(path) = path else { return Self::read(None, overrides, registry, &environment) };
        let name = path.display().to_string();
        let bytes =
            read_bounded(path).map_err(|source| ConfigError::Unreadable { file: name.clone(), source })?;
        let source = Source { name: &name, bytes: &bytes };
        let loaded = Self::read(Some(source), overrides, registry, &environment)?;
        Prices::load(loaded.config.pricing.file.as_deref())?;
        Ok(loaded)
    }

    /// As [`Config::load`], of a file that was read already and an environment that may be any.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(
        source: Option<Source<'_>>,
        overrides: Overrides,
        registry: &Registry,
        lookup: Lookup<'_>,
    ) -> Result<Loaded, ConfigError> {
        let file = match source {
            Some(source) => Some((source.name, text(source)?)),
            None => None,
        };
        let name = file.map(|(name, _)| name);
        let fail = |problem: Problem| problem.into_error(file);

        let mut root = match file {
            Some((_, text)) => yaml::parse(text).map_err(fail)?,
            None => Node::empty_map(Origin::Nowhere),
        };
        root.remove_empty("llm.base_url");
        root.remove_empty("llm.type");
        let mut ignored = known::take_predecessors(&mut root);
        overlay(&mut root, overrides, lookup);
        place_bridge(&mut root, lookup);
        if root.get("interceptors").is_none() {
            root.put("interceptors", choose(&root, &[DEFAULT.to_owned()], Origin::Nowhere));
        }
        let (hires, unbuilt) = interceptors(&mut root, registry, lookup).map_err(fail)?;
        ignored.extend(unbuilt);
        let config = Self::deserialize(Reader::new(&root, lookup)).map_err(|problem| {
            // Unknown keys come first: `lm:` is why there is no `llm`.
            if problem.is_missing() {
                no_provider(&root, name).unwrap_or_else(|| fail(problem))
            } else {
                fail(problem)
            }
        })?;
        check(&config, &root).map_err(fail)?;
        let warnings = warnings(&config, &ignored, name);
        Ok(Loaded { config, hires, warnings })
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(source: Source<'_>) -> Result<&str, ConfigError> {
    let Source { name, bytes } = source;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(ConfigError::TooLarge { file: name.to_owned(), limit: MAX_SIZE });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        ConfigError::NotUtf8 { file: name.to_owned(), line, column }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Puts the environment over the file, and the flags over both.
fn overlay(root: &mut Node, overrides: Overrides, lookup: Lookup<'_>) {
    for (name, path) in VARIABLES {
        let stands = overrides.file_first && root.at(path).is_some();
        if let Some(value) = variable(name, lookup).filter(|_| !stands) {
            root.put(path, value);
        }
    }
    for (path, node) in overrides.values {
        root.put(path, node);
    }
    if let Some(names) = overrides.interceptors {
        let chosen = choose(root, &names, Origin::Flag("--interceptors"));
        root.put("interceptors", chosen);
    }
}

/// A bridge knows where its backend is.
fn place_bridge(root: &mut Node, lookup: Lookup<'_>) {
    if root.at("llm.base_url").is_some() {
        return;
    }
    let provider = root.at("llm.type").map(|node| Provider::deserialize(Reader::new(node, lookup)));
    if let Some(Ok(provider)) = provider
        && let Some(address) = provider.address()
    {
        root.put("llm.base_url", Node::literal(Origin::Nowhere, address));
    }
}

/// The variable as a node; one that is empty counts as unset.
fn variable(name: &'static str, lookup: Lookup<'_>) -> Option<Node> {
    let value = match lookup(name) {
        Ok(value) => value,
        Err(VarError::NotUnicode(bytes)) => bytes.to_string_lossy().into_owned(),
        Err(VarError::NotPresent) => return None,
    };
    (!value.is_empty()).then(|| Node::literal(Origin::Variable(name), value))
}

/// The list of these types that `origin` asks for: the file's entries, and new ones where it has none.
fn choose(root: &Node, names: &[String], origin: Origin) -> Node {
    let listed = root.get("interceptors").map(Node::elements).unwrap_or_default();
    let mut chosen = Vec::new();
    for name in names {
        let is_named = |node: &&Node| node.get("type").and_then(Node::as_text) == Some(name);
        let before = chosen.len();
        chosen.extend(listed.iter().filter(is_named).cloned().map(|mut node| {
            node.put("enabled", Node::literal(origin, "true"));
            node
        }));
        if chosen.len() == before {
            let mut node = Node::empty_map(origin);
            node.put("type", Node::literal(origin, name));
            chosen.push(node);
        }
    }
    Node { origin, value: Value::List(chosen) }
}

/// Without a provider there is nothing to forward to, and three ways to name one: that deserves its own words.
fn no_provider(root: &Node, file: Option<&str>) -> Option<ConfigError> {
    let base_url = root.at("llm.base_url").is_none();
    let provider = root.at("llm.type").is_none();
    let place = file.map_or_else(String::new, |file| format!("{file}: "));
    (base_url || provider).then_some(ConfigError::NoProvider { place, base_url, provider })
}

/// Reads the settings of the interceptors that are enabled, and names those that cannot be hired. Keeps what is
/// disabled from being expanded.
fn interceptors(
    root: &mut Node,
    registry: &Registry,
    lookup: Lookup<'_>,
) -> Result<(Vec<Hire>, Vec<String>), Problem> {
    let (mut hires, mut ignored) = (Vec::new(), Vec::new());
    let Some(list) = root.get_mut("interceptors") else { return Ok((hires, ignored)) };
    let Value::List(nodes) = &mut list.value else { return Ok((hires, ignored)) };
    for (index, node) in nodes.iter_mut().enumerate() {
        let enabled = match node.get("enabled") {
            Some(enabled) => bool::deserialize(Reader::new(enabled, lookup)).map_err(|problem| {
                problem.within_key("enabled").within_index(index).within_key("interceptors")
            })?,
            None => true,
        };
        if !enabled && let Some(config) = node.get_mut("config") {
            config.make_literal();
        }
        let Some(kind) = node.get("type") else { continue };
        let known = String::deserialize(Reader::new(kind, lookup))
            .and_then(|name| registered(&name, kind, registry))
            .map_err(|problem| problem.within_key("type").within_index(index).within_key("interceptors"))?;
        match &known.read {
            _ if !enabled => {}
            None => ignored.push(format!("interceptor {} (not built yet in this version)", known.name)),
            Some(read) => {
                let absent = Node::empty_map(node.origin);
                let settings = node.get("config").unwrap_or(&absent);
                let hire = read(Reader::new(settings, lookup)).map_err(|problem| {
                    problem.within_key("config").within_index(index).within_key("interceptors")
                })?;
                hires.push(hire);
            }
        }
    }
    Ok((hires, ignored))
}

/// The kind that `name`, written at `node`, stands for.
fn registered<'a>(name: &str, node: &Node, registry: &'a Registry) -> Result<&'a Kind, Problem> {
    registry
        .get(name)
        .ok_or_else(|| Problem::new(What::UnknownInterceptor { known: registry.names() }).at_node(node))
}

/// What no single key can tell.
fn check(config: &Config, root: &Node) -> Result<(), Problem> {
    let Server { host, port, admin, .. } = &config.server;
    if !admin.host.is_loopback() && admin.token.is_none() {
        let message =
            "an admin listener beyond loopback needs server.admin.token: it shows the configuration";
        return Err(problem_at(root, "server.admin.host", message));
    }
    if *port != 0 && admin.port == Some(*port) && overlap(*host, admin.host) {
        return Err(problem_at(
            root,
            "server.admin.port",
            "this is server.port; the admin listener needs its own",
        ));
    }
    if config.llm.provider.is_bridged() && !host.is_loopback() && config.server.client_keys.is_empty() {
        let message = "a bridge spends your money: beyond loopback it needs server.client_keys";
        return Err(problem_at(root, "server.host", message));
    }
    let masked = &config.observe.mask.headers;
    let is_masked =
        |header: &HeaderName| masked.iter().any(|name| header.as_str().eq_ignore_ascii_case(name));
    if let Some(header) = config.session.headers.iter().find(|header| is_masked(header)) {
        let message =
            format!("{header} is a secret in observe.mask.headers, and would be kept as a session's name");
        return Err(problem_at(root, "session.headers", &message));
    }
    Ok(())
}

fn problem_at(root: &Node, path: &str, message: &str) -> Problem {
    let problem = Problem::new(What::Other(message.to_owned()));
    match root.at(path) {
        Some(node) => problem.at_node(node),
        None => problem,
    }
    .within(path)
}

/// Whether two listeners on one port would be in each other's way.
fn overlap(proxy: Host, admin: IpAddr) -> bool {
    match proxy {
        Host::Localhost => admin.is_loopback() || admin.is_unspecified(),
        Host::Address(proxy) => proxy == admin || proxy.is_unspecified() || admin.is_unspecified(),
    }
}

fn warnings(config: &Config, ignored: &[String], file: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    if !ignored.is_empty() {
        let place = file.unwrap_or("command line");
        warnings
            .push(format!("{place}: accepted, but without effect in this version: {}", ignored.join(", ")));
    }
    let Server { host, client_keys, allow_open, .. } = &config.server;
    if config.llm.api_key.is_some() && !host.is_loopback() && client_keys.is_empty() && !allow_open {
        warnings.push(
            "llm.api_key is used for no one: beyond loopback it needs server.client_keys, or server.allow_open: true"
                .to_owned(),
        );
    }
    warnings
}
