//! Whose API a request speaks, as far as the proxy itself must know: where a configured key goes, and in whose words
//! errors of our own are told. What a request means to those who watch is not decided here.

use http::HeaderMap;

use crate::config::{Llm, Provider};

/// An API, and who reads its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// OpenAI's, and everything that speaks like it.
    OpenAi,
    /// OpenAI's at Azure, where the key has a header of its own.
    Azure,
    /// Anthropic's.
    Anthropic,
    /// Gemini's.
    Gemini,
}

/// Decides it for every request: as `llm.type` says, or by what each looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiRule {
    /// Where it is always the same.
    fixed: Option<Api>,
    /// What is at `llm.base_url`, where its host is a known one.
    host: Option<Api>,
}

impl ApiRule {
    pub(crate) fn of(llm: &Llm) -> Self {
        let fixed = match llm.provider {
            Provider::OpenAi => Some(Api::OpenAi),
            Provider::Anthropic => Some(Api::Anthropic),
            Provider::Gemini => Some(Api::Gemini),
            Provider::Auto | Provider::Stackspot | Provider::ClaudeCode => None,
        };
        // What is behind a bridge is not whom clients speak to.
        let host = if llm.provider.is_bridged() { None } else { by_host(llm.base_url.host()) };
        Self { fixed, host }
    }

    /// The API of a request with this path and these headers.
    pub(crate) fn api(self, path: &str, headers: &HeaderMap) -> Api {
        if let Some(api) = self.fixed {
            return api;
        }
        let shown = if headers.contains_key("anthropic-version") {
            Some(Api::Anthropic)
        } else {
            // Google's SDKs name themselves in it, whatever they call.
            let from_google = headers.contains_key("x-goog-api-client").then_some(Api::Gemini);
            by_path(path).or(from_google)
        };
        match (shown, self.host) {
            (Some(Api::OpenAi), Some(Api::Azure)) => Api::Azure,
            (Some(api), _) => api,
            (None, host) => host.unwrap_or(Api::OpenAi),
        }
    }

    /// The API that all requests will speak, as far as that is known before there are any.
    pub(crate) fn expected(self) -> Option<Api> {
        self.fixed.or(self.host)
    }
}

/// Whose API is at a host that is known.
pub(crate) fn by_host(host: &str) -> Option<Api> {
    let host = host.to_ascii_lowercase();
    let is_at =
        |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if is_at("openai.azure.com") || is_at("cognitiveservices.azure.com") {
        Some(Api::Azure)
    } else if is_at("anthropic.com") {
        Some(Api::Anthropic)
    } else if is_at("generativelanguage.googleapis.com") || is_at("cloudcode-pa.googleapis.com") {
        Some(Api::Gemini)
    } else {
        is_at("openai.com").then_some(Api::OpenAi)
    }
}

/// What Gemini's clients ask of a model, behind a colon. (Names of models hold colons, too.)
const METHODS: [&str; 6] = [
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "batchEmbedContents",
    "batchGenerateContent",
];

/// The API that a path shows. Some, such as `/v1/models`, are those of several.
fn by_path(path: &str) -> Option<Api> {
    let (mut is_openai, mut is_gemini) = (false, false);
    let mut before = "";
    for segment in path.split('/') {
        match segment {
            "messages" if before == "v1" => return Some(Api::Anthropic),
            // Google's and Azure's endpoints for OpenAI's clients have a folder of the first name.
            "openai" | "completions" | "responses" | "embeddings" | "moderations" | "images" | "audio"
            | "realtime" => is_openai = true,
            "v1beta" | "v1alpha" => is_gemini = true,
            _ => is_gemini |= segment.starts_with("v1internal:"),
        }
        before = segment;
    }
    is_gemini |= before.rsplit_once(':').is_some_and(|(_, method)| METHODS.contains(&method));
    if is_openai { Some(Api::OpenAi) } else { is_gemini.then_some(Api::Gemini) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::BaseUrl;

    fn rule(provider: Provider, base_url: &str) -> ApiRule {
        let base_url = BaseUrl::parse(base_url).unwrap();
        ApiRule::of(&Llm {
            provider,
            base_url,
            api_key: None,
            timeout: std::time::Duration::from_secs(1),
            traceparent: false,
            bridge: Default::default(),
            stackspot: Default::default(),
            claude_code: Default::default(),
        })
    }

    #[test]
    fn a_path_shows_whose_api_it_is_of() {
        let auto = rule(Provider::Auto, "http://gateway.example");
        for (path, api) in [
            ("/v1/chat/completions", Api::OpenAi),
            ("/v1/responses/resp_1", Api::OpenAi),
            ("/openai/deployments/d/chat/completions", Api::OpenAi),
            ("/v1beta/openai/chat/completions", Api::OpenAi),
            ("/v1/models", Api::OpenAi),
            ("/v1/threads/t/messages", Api::OpenAi),
            ("/", Api::OpenAi),
            ("/v1/messages", Api::Anthropic),
            ("/prefix/v1/messages/count_tokens", Api::Anthropic),
            ("/v1beta/models/gemini-2.5-pro:generateContent", Api::Gemini),
            ("/v1/models/gemini-2.5-pro:streamGenerateContent", Api::Gemini),
            ("/v1/models/gemini-2.5-pro:countTokens", Api::Gemini),
            ("/v1/models/ft:gpt-4o-mini:acme::1", Api::OpenAi),
            ("/v1/projects/p/locations/l/publishers/google/models/g:generateContent", Api::Gemini),
            ("/v1beta/cachedContents", Api::Gemini),
            ("/v1internal:loadCodeAssist", Api::Gemini),
        ] {
            assert_eq!(auto.api(path, &HeaderMap::new()), api, "{path}");
        }
    }

    #[test]
    fn where_the_path_does_not_show_it_a_header_or_the_host_does() {
        let none = HeaderMap::new();
        let with = |name, value| -> HeaderMap {
            [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect()
        };
        let anthropics = with("anthropic-version", "2023-06-01");
        let googles = with("x-goog-api-client", "google-genai-sdk/1");
        for (base_url, path, headers, api) in [
            ("http://gateway.example", "/v1/models", &anthropics, Api::Anthropic),
            ("http://gateway.example", "/v1/models", &googles, Api::Gemini),
            ("http://gateway.example", "/v1/chat/completions", &googles, Api::OpenAi),
            ("https://api.anthropic.com", "/v1/models", &none, Api::Anthropic),
            ("https://API.Anthropic.com", "/v1/chat/completions", &none, Api::OpenAi),
            ("https://notanthropic.com", "/v1/models", &none, Api::OpenAi),
            ("https://generativelanguage.googleapis.com", "/v1/models", &none, Api::Gemini),
            ("https://generativelanguage.googleapis.com", "/v1beta/openai/models", &none, Api::OpenAi),
            ("https://mine.openai.azure.com", "/openai/v1/responses", &none, Api::Azure),
            ("https://mine.openai.azure.com", "/", &none, Api::Azure),
        ] {
            assert_eq!(rule(Provider::Auto, base_url).api(path, headers), api, "{base_url}{path}");
        }
    }

    #[test]
    fn a_type_that_is_given_holds_for_every_request() {
        for (provider, api) in [
            (Provider::OpenAi, Api::OpenAi),
            (Provider::Anthropic, Api::Anthropic),
            (Provider::Gemini, Api::Gemini),
        ] {
            let rule = rule(provider, "https://api.anthropic.com");
            assert_eq!(rule.api("/v1/messages", &HeaderMap::new()), api);
            assert_eq!(rule.expected(), Some(api));
        }
    }
}
