//! The models that a bridge offers, and how one is found by its name.

/// A model that clients can ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    /// Its name.
    pub id: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Its name for people.
    pub display_name: String,
    /// Whose it is.
    pub owned_by: &'static str,
    /// Tokens that it can read and write in all, where that is known.
    pub context: Option<u64>,
    /// Tokens that it can write, where that is known.
    pub max_output: Option<u64>,
    /// What it can do.
    pub can: Abilities,
}

/// What a model can do through its bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Ask the client for tools.
    pub tools: bool,
    /// For several at once.
    pub parallel_tools: bool,
    /// See images.
    pub vision: bool,
    /// Think, and show it.
    pub reasoning: bool,
    /// Answer in JSON of a given schema.
    pub json_schema: bool,
}

/// The models of a bridge, in the order they are listed in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Models(Vec<Model>);

impl Models {
    /// These.
    pub(crate) fn new(models: Vec<Model>) -> Self {
        Self(models)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Model> {
        self.0.iter()
    }

    /// The model of this name or alias.
    pub(crate) fn find(&self, name: &str) -> Option<&Model> {
        let by_id = self.0.iter().find(|model| model.id == name);
        by_id.or_else(|| self.0.iter().find(|model| model.aliases.iter().any(|alias| alias == name)))
    }

    /// An alias that another of them has, too, or is called by.
    pub(crate) fn ambiguous(&self) -> Option<&str> {
        let others = |model: &Model, alias: &str| {
            let mut others = self.0.iter().filter(|other| other.id != model.id);
            others.any(|other| other.id == alias || other.aliases.iter().any(|theirs| theirs == alias))
        };
        let mut aliases =
            self.0.iter().flat_map(|model| model.aliases.iter().map(move |alias| (model, alias.as_str())));
        aliases.find(|(model, alias)| others(model, alias)).map(|(_, alias)| alias)
    }

    /// The names that are most like `name`, the nearest first: what the client may have meant.
    pub(crate) fn nearest(&self, name: &str) -> Vec<&str> {
        const MOST: usize = 3;
        let name = name.to_ascii_lowercase();
        let names = self.0.iter().flat_map(|model| {
            std::iter::once(model.id.as_str()).chain(model.aliases.iter().map(String::as_str))
        });
        let mut all: Vec<_> = names.map(|known| (strsim::jaro_winkler(&name, known), known)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.into_iter().take(MOST).map(|(_, known)| known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_its_names_and_by_no_others() {
        let model = |id: &str, aliases: &[&str]| Model {
            id: id.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            ..Model::default()
        };
        let models =
            Models::new(vec![model("claude-opus-5-5", &["opus"]), model("opus", &[]), model("haiku", &[])]);
        let found = |name| models.find(name).map(|model| model.id.as_str());
        assert_eq!(found("opus"), Some("opus"), "an id stands above another's alias");
        assert_eq!(found("claude-opus-5-5"), Some("claude-opus-5-5"));
        assert_eq!(found("Opus"), None);
        assert_eq!(models.nearest("claude-opus-5")[0], "claude-opus-5-5");
        assert_eq!(models.nearest("hiaku")[0], "haiku");
        assert_eq!(models.ambiguous(), Some("opus"));
        let models = Models::new(vec![model("one", &["x", "x", "y"]), model("two", &["z", "y"])]);
        assert_eq!(models.ambiguous(), Some("y"));
        assert_eq!(Models::new(vec![model("one", &["x", "x", "one"]), model("two", &[])]).ambiguous(), None);
    }
}
