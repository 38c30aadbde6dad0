//! From the name that a client or a provider uses to the entry of the price table: by fixed rules, in a fixed order,
//! and never by what a name merely contains.
//!
//! Names are compared in lower case. The whole name is looked up first, among the models and their listed aliases. Then
//! each rule that applies takes something off the name, and what is left is looked up again, until it is found. What no
//! rule leads to is unknown.

use std::borrow::Cow;

use super::day::Day;

/// No model has a longer name. Bytes.
const LONGEST: usize = 512;

/// What led from a name to the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A listed alias of the model.
    Alias,
    /// `ft:gpt-4o-mini-2024-07-18:org::id`: what fine-tunes of that model cost, where it is listed as `ft:…`.
    FineTune,
    /// Before the last `/`: a provider or a gateway that sells at the provider's prices.
    Path,
    /// `us.anthropic.….-v1:0`: Amazon Bedrock's names for Anthropic's models.
    Bedrock,
    /// `@20250929`, `@default`: Google Vertex's way to write a version.
    Vertex,
    /// `claude-sonnet-4.5`: OpenRouter's way to write a version of Anthropic's models.
    Dots,
    /// `-2025-08-07`, `-20250929`: a dated version that has no prices of its own.
    Date,
    /// `-latest`, where that has no prices of its own.
    Latest,
}

impl Rule {
    /// What the rule does, for people.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Alias => "a listed alias",
            Self::FineTune => "a fine-tune, at the prices that are listed for fine-tunes of its base",
            Self::Path => "without the provider's prefix",
            Self::Bedrock => "Amazon Bedrock's name without region, vendor and version",
            Self::Vertex => "with Vertex's @version written as a suffix",
            Self::Dots => "with dots in the version written as dashes",
            Self::Date => "without the date: this version has no prices of its own",
            Self::Latest => "without -latest",
        }
    }
}

/// A way from a name to a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// The rules that applied, in their order; none where the name is the model's own.
    pub(crate) rules: Vec<Rule>,
    /// Whether the name asks for a region, which costs more with some models.
    pub(crate) regional: bool,
}

/// What a rule makes of a name to which it applies.
type Step = (Rule, fn(&str) -> Option<Cow<'_, str>>);

/// The rules in their order.
const STEPS: [Step; 7] = [
    (Rule::Path, path),
    (Rule::FineTune, fine_tune),
    (Rule::Bedrock, bedrock),
    (Rule::Vertex, vertex),
    (Rule::Dots, dots),
    (Rule::Date, |name| undated(name).map(Cow::Borrowed)),
    (Rule::Latest, |name| name.strip_suffix("-latest").map(Cow::Borrowed)),
];

/// Leads from `name` to what `find` knows. `find` is asked for names in lower case, and tells whether one is an alias.
pub(super) fn resolve<T>(name: &str, find: impl Fn(&str) -> Option<(T, bool)>) -> Option<(T, Way)> {
    if name.len() > LONGEST {
        return None;
    }
    let mut name = Cow::Owned(name.to_ascii_lowercase());
    let mut way = Way::default();
    let mut steps = STEPS.iter();
    loop {
        if let Some((found, is_alias)) = find(&name) {
            way.rules.extend(is_alias.then_some(Rule::Alias));
            return Some((found, way));
        }
        let (rule, next) =
            steps.find_map(|(rule, step)| step(&name).map(|next| (*rule, next.into_owned())))?;
        way.regional |= rule == Rule::Bedrock && is_regional(&name);
        way.rules.push(rule);
        // A fine-tune's price is not that of its base.
        if rule == Rule::FineTune {
            let (found, _) = find(&next)?;
            return Some((found, way));
        }
        name = Cow::Owned(next);
    }
}

/// Who sells at the prices of those who made the model, and how clients write that before the name.
const SELLERS: [&str; 16] = [
    "anthropic",
    "azure",
    "bedrock",
    "codestral",
    "deepseek",
    "gemini",
    "google",
    "mistral",
    "mistralai",
    "models",
    "openai",
    "openrouter",
    "vertex_ai",
    "x-ai",
    "xai",
    "~anthropic",
];

/// `openai/gpt-5`, `models/gemini-2.5-pro`, `projects/p/locations/l/publishers/google/models/…`, and ARNs of Bedrock.
fn path(name: &str) -> Option<Cow<'_, str>> {
    let (before, last) = name.rsplit_once('/')?;
    let is_sold = before.split('/').all(|seller| SELLERS.contains(&seller));
    (is_sold || is_resource(before)).then_some(Cow::Borrowed(last))
}

fn is_resource(before: &str) -> bool {
    if let Some(arn) = before.strip_prefix("arn:aws") {
        return arn.ends_with(":foundation-model") || arn.ends_with(":inference-profile");
    }
    let mut parts: Vec<&str> = before.split('/').collect();
    if let ["projects", _, "locations", _, ..] = parts.as_slice() {
        parts.drain(..4);
    }
    matches!(parts.as_slice(), ["publishers", "google" | "anthropic" | "mistralai" | "deepseek-ai", "models"])
}

fn fine_tune(name: &str) -> Option<Cow<'_, str>> {
    let base = name.strip_prefix("ft:")?.split(':').next()?;
    Some(Cow::Owned(format!("ft:{base}")))
}

/// Where a profile of Bedrock keeps its calls. `global.` is not among them: it costs what the model costs.
const REGIONS: [&str; 10] = ["us", "us-gov", "eu", "apac", "au", "jp", "ca", "sa", "me", "af"];

fn is_regional(name: &str) -> bool {
    name.split('.').next().is_some_and(|first| REGIONS.contains(&first))
}

/// Only Anthropic's models cost the same there.
fn bedrock(name: &str) -> Option<Cow<'_, str>> {
    let model = match name.split_once('.')? {
        ("anthropic", model) => model,
        (place, rest) if place == "global" || REGIONS.contains(&place) => rest.strip_prefix("anthropic.")?,
        _ => return None,
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unnumbered = match model.rsplit_once(':') {
        Some((before, number)) if is_digits(number) => before,
        Some(_) => return None,
        None => model,
    };
    Some(Cow::Borrowed(match unnumbered.rsplit_once("-v") {
        Some((before, version)) if is_digits(version) => before,
        _ => unnumbered,
    }))
}

fn vertex(name: &str) -> Option<Cow<'_, str>> {
    let (model, version) = name.split_once('@')?;
    match version {
        "default" | "latest" => Some(Cow::Borrowed(model)),
        version if is_date(version) => Some(Cow::Owned(format!("{model}-{version}"))),
        _ => None,
    }
}

fn dots(name: &str) -> Option<Cow<'_, str>> {
    (name.starts_with("claude-") && name.contains('.')).then(|| Cow::Owned(name.replace('.', "-")))
}

/// The name without the date at its end, if there is one.
fn undated(name: &str) -> Option<&str> {
    let cut = |length: usize| {
        let (model, date) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let date = date.strip_prefix('-')?;
        (!model.is_empty() && is_date(date)).then_some(model)
    };
    cut(11).or_else(|| cut(9))
}

fn is_date(text: &str) -> bool {
    Day::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where `name` leads among these names.
    fn leads(name: &str, known: &[&'static str]) -> Option<(&'static str, Way)> {
        resolve(name, |asked| known.iter().find(|known| **known == asked).map(|known| (*known, false)))
    }

    fn rules(name: &str, known: &[&'static str]) -> Option<(&'static str, Vec<Rule>)> {
        leads(name, known).map(|(found, way)| (found, way.rules))
    }

    #[test]
    fn each_rule_leads_where_it_says() {
        use Rule::{Bedrock, Date, Dots, FineTune, Latest, Path, Vertex};
        let known = [
            "gpt-5",
            "claude-sonnet-4-5",
            "claude-opus-4-6",
            "gemini-2.5-pro",
            "grok-4",
            "ft:gpt-4o-mini-2024-07-18",
        ];
        for (name, model, way) in [
            ("gpt-5", "gpt-5", vec![]),
            ("GPT-5", "gpt-5", vec![]),
            ("openai/gpt-5", "gpt-5", vec![Path]),
            ("openrouter/openai/gpt-5", "gpt-5", vec![Path]),
            ("gpt-5-2025-08-07", "gpt-5", vec![Date]),
            ("azure/gpt-5-2025-08-07", "gpt-5", vec![Path, Date]),
            ("models/gemini-2.5-pro", "gemini-2.5-pro", vec![Path]),
            ("projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro", vec![Path]),
            ("grok-4-latest", "grok-4", vec![Latest]),
            ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5", vec![Path, Dots]),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5", vec![Vertex, Date]),
            ("claude-sonnet-4-5@default", "claude-sonnet-4-5", vec![Vertex]),
            ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6", vec![Bedrock]),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5", vec![Bedrock, Date]),
            (
                "arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-opus-4-6-v1",
                "claude-opus-4-6",
                vec![Path, Bedrock],
            ),
            ("ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18", vec![FineTune]),
        ] {
            assert_eq!(rules(name, &known), Some((model, way)), "{name}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_another_is_unknown() {
        let known = ["gpt-5", "gpt-4o-mini", "gpt-4.1", "o3", "claude-sonnet-4-5", "ft:gpt-4o-2024-08-06"];
        for name in [
            "",
            "/",
            ":",
            "-latest",
            "gpt",
            "gpt-5-nano-2025-08-07",
            "gpt-4.1-mini-2025-04-14",
            "o3-mini-2025-01-31",
            "my-gpt-5",
            "gpt-5-2025-13-07",
            "gpt-5-20251340",
            "gpt-5-2025-02-30",
            "gpt-5-0807",
            "acme/gpt-5",
            "openai/acme/gpt-5",
            "ft:gpt-4o-mini:acme::abc",
            "ft:gpt-4o:acme::abc",
            "ft:gpt-5",
            "gpt-4o-mini:free",
            "mars.anthropic.claude-sonnet-4-5",
            "amazon.claude-sonnet-4-5",
            "us.anthropic.claude-sonnet-4-5:beta",
            "claude-sonnet-4-5@v7",
        ] {
            assert_eq!(rules(name, &known), None, "{name}");
        }
        assert_eq!(rules(&"x".repeat(1 << 20), &known), None);
    }

    #[test]
    fn a_dated_version_with_prices_of_its_own_has_them() {
        let known = ["gpt-4o", "gpt-4o-2024-05-13"];
        assert_eq!(rules("gpt-4o-2024-05-13", &known), Some(("gpt-4o-2024-05-13", vec![])));
        assert_eq!(rules("gpt-4o-2024-08-06", &known), Some(("gpt-4o", vec![Rule::Date])));
    }

    #[test]
    fn a_region_of_bedrock_is_noticed_and_global_is_none() {
        let regional = |name| leads(name, &["claude-opus-4-6"]).map(|(_, way)| way.regional);
        assert_eq!(regional("us.anthropic.claude-opus-4-6-v1"), Some(true));
        assert_eq!(regional("global.anthropic.claude-opus-4-6-v1"), Some(false));
        assert_eq!(regional("anthropic.claude-opus-4-6-v1"), Some(false));
        assert_eq!(regional("claude-opus-4-6"), Some(false));
    }
}
