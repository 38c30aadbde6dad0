//! The predecessor's way to name a workflow: `/agent-workflow/{id}/…`.

const PREFIX: &str = "/agent-workflow/";

/// The workflow that a target names, and what is left of the target without it.
pub(crate) fn split(target: &str) -> Option<(&str, &str)> {
    let after = target.strip_prefix(PREFIX)?;
    match after.find(['/', '?']) {
        Some(0) => None,
        Some(end) => Some(after.split_at(end)),
        None if after.is_empty() => None,
        None => Some((after, "/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_told_from_a_path() {
        for (target, split_up) in [
            ("/agent-workflow/w/v1/x?a=1", Some(("w", "/v1/x?a=1"))),
            ("/agent-workflow/w?a=1", Some(("w", "?a=1"))),
            ("/agent-workflow/w", Some(("w", "/"))),
            ("/agent-workflow/", None),
            ("/agent-workflow//v1", None),
            ("/v1/agent-workflow/w/", None),
        ] {
            assert_eq!(split(target), split_up, "{target}");
        }
    }
}
