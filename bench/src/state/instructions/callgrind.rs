//! Reads what callgrind writes (its format is described in valgrind's manual, "Callgrind Format Specification").

use std::collections::{BTreeMap, HashMap};

/// Instructions, by thread and by function; of a function only those of its own.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Profile {
    pub(super) threads: BTreeMap<String, f64>,
    pub(super) functions: BTreeMap<String, f64>,
}

impl Profile {
    /// Adds the file of a thread. Threads of one kind are one: a number at the end of a name is cut off.
    pub(super) fn add(&mut self, thread: &str, text: &str) {
        let kind = thread.trim_end_matches(|last: char| last.is_ascii_digit()).trim_end_matches('-');
        let total = self.threads.entry(kind.to_owned()).or_default();
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut function = "";
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("fn=") {
                function = named(name, &mut names);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                named(name, &mut names);
            } else if line.starts_with("calls=") {
                // What the callee took, which it has in lines of its own.
                lines.next();
            } else if let Some(cost) = cost(line) {
                *total += cost;
                match self.functions.get_mut(function) {
                    Some(own) => *own += cost,
                    None => _ = self.functions.insert(function.to_owned(), cost),
                }
            }
        }
    }

    /// What this has more than `other`, each divided by `units`.
    pub(super) fn since(&self, other: &Self, units: f64) -> Self {
        let less = |all: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            let each = |(name, count): (&String, &f64)| {
                (name.clone(), (count - before.get(name).copied().unwrap_or(0.0)) / units)
            };
            all.iter().map(each).collect()
        };
        Self {
            threads: less(&self.threads, &other.threads),
            functions: less(&self.functions, &other.functions),
        }
    }
}

/// `(3) name` gives a number its name, `(3)` is the name again.
fn named<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    let Some((number, name)) = text.split_once(')') else { return text };
    let name = name.trim();
    if name.is_empty() {
        return names.get(number).copied().unwrap_or("");
    }
    names.insert(number, name);
    name
}

/// A place (a line's number, how much it is beyond the last, or the same) and what it took.
fn cost(line: &str) -> Option<f64> {
    let (place, cost) = line.split_once(' ')?;
    let is_place = place == "*" || place.trim_start_matches(['+', '-']).parse::<u64>().is_ok();
    is_place.then(|| cost.split(' ').next()?.parse().ok())?
}

/// The crate that a function is of; that of a method of a trait is that of its type.
pub(super) fn crate_of(function: &str) -> &str {
    let name = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let name =
        ["mut ", "dyn ", "const "].iter().fold(name, |name, word| name.strip_prefix(word).unwrap_or(name));
    match name.split_once("::") {
        Some((first, _)) if first.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') => {
            first
        }
        _ => "(no crate)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# callgrind format
version: 1
thread: 2
positions: line
events: Ir
ob=(1) /bin/proxy
fl=(1) src/a.rs
fn=(1) <hyper::Body as http::Body>::poll
10 100
+2 20
cfn=(2) memcpy
calls=3 0
* 9000
fi=(2) src/b.rs
-1 5

fn=(2)
0 30
totals: 155
";

    #[test]
    fn functions_have_what_is_their_own_and_threads_the_sum() {
        let mut profile = Profile::default();
        profile.add("perimeter-fwd-0", FILE);
        profile.add("perimeter-fwd-1", FILE);
        assert_eq!(profile.threads, [("perimeter-fwd".to_owned(), 310.0)].into());
        let functions =
            [("<hyper::Body as http::Body>::poll".to_owned(), 250.0), ("memcpy".to_owned(), 60.0)];
        assert_eq!(profile.functions, functions.into());

        let mut short = Profile::default();
        short.add("perimeter-fwd-0", FILE);
        assert_eq!(profile.since(&short, 10.0).threads, [("perimeter-fwd".to_owned(), 15.5)].into());
    }

    #[test]
    fn a_function_is_of_a_crate() {
        assert_eq!(crate_of("<hyper::Body as http::Body>::poll"), "hyper");
        assert_eq!(crate_of("<&mut tokio::net::TcpStream as std::io::Read>::read"), "tokio");
        assert_eq!(crate_of("perimeter::proxy::forward::{{closure}}"), "perimeter");
        assert_eq!(crate_of("memcpy"), "(no crate)");
    }
}
