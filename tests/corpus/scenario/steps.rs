//! In which order calls begin and end.

use super::{Exchange, Step, WrittenCall, found, word};

/// Each call is answered before the next begins, but for those that wait for another's beginning or end.
pub(super) fn steps(calls: &[WrittenCall], exchanges: &[Exchange], name: &str) -> Vec<Step> {
    let waits: Vec<Option<(bool, usize)>> = calls
        .iter()
        .map(|call| {
            let until = word(call.until.as_ref()?);
            let (begins, id) = match until.strip_prefix("begins ") {
                Some(id) => (true, id.to_owned()),
                None => (false, until),
            };
            let place = format!("{name}.yaml");
            Some((begins, found(&id.into(), exchanges.iter().map(|exchange| &*exchange.id), &place)))
        })
        .collect();
    let mut steps = Vec::new();
    fn ends(at: usize, waits: &[Option<(bool, usize)>], steps: &mut Vec<Step>) {
        steps.push(Step::Ends(at));
        for (other, wait) in waits.iter().enumerate() {
            if *wait == Some((false, at)) {
                ends(other, waits, steps);
            }
        }
    }
    for at in 0..calls.len() {
        steps.push(Step::Begins(at));
        for (other, wait) in waits.iter().enumerate() {
            if *wait == Some((true, at)) {
                ends(other, &waits, &mut steps);
            }
        }
        if waits[at].is_none() {
            ends(at, &waits, &mut steps);
        }
    }
    assert_eq!(steps.len(), 2 * calls.len(), "{name}.yaml: a call waits for what does not come");
    for (number, step) in steps.iter().enumerate() {
        if let Step::Ends(at) = step {
            assert!(
                steps[..number].contains(&Step::Begins(*at)),
                "{name}.yaml: call {} ends too soon",
                at + 1
            );
        }
    }
    steps
}
