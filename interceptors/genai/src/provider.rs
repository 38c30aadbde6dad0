//! Whose API a call speaks to.

/// Hosts, by how they end, and the word for them in `gen_ai.provider.name`. Where the conventions have none, it is the
/// provider's own.
const HOSTS: [(&str, &str); 26] = [
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.ai.azure.com", "azure.ai.inference"),
    ("inference.ai.azure.com", "azure.ai.inference"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("aiplatform.rep.googleapis.com", "gcp.vertex_ai"),
    ("cloudcode-pa.googleapis.com", "gcp.gen_ai"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral_ai"),
    ("codestral.mistral.ai", "mistral_ai"),
    ("api.x.ai", "x_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ("openrouter.ai", "openrouter"),
    ("api.together.xyz", "together_ai"),
    ("api.fireworks.ai", "fireworks_ai"),
    ("stackspot.com", "stackspot"),
];

/// The word for a provider in `gen_ai.provider.name`: by the host, which many have that speak another's API; else by the
/// API.
pub fn provider_name(vendor: &'static str, host: &str) -> &'static str {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let found = HOSTS.iter().find(|(suffix, _)| is_in(&host, suffix));
    match (found, vendor) {
        (Some((_, name)), _) => name,
        _ if host.ends_with(".amazonaws.com") && host.starts_with("bedrock") => "aws.bedrock",
        (_, "azure") => "azure.ai.openai",
        (_, "bedrock") => "aws.bedrock",
        (_, "vertex") => "gcp.vertex_ai",
        (_, "gemini") => "gcp.gemini",
        (_, other) => other,
    }
}

/// Whether it is this host, or one in its domain. Regions of Vertex come before a dash.
fn is_in(host: &str, suffix: &str) -> bool {
    let before = host.strip_suffix(suffix);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.') || before.ends_with("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_known_by_its_host_and_else_by_its_api() {
        for (vendor, host, provider) in [
            ("openai", "api.openai.com", "openai"),
            ("openai", "eu.api.openai.com", "openai"),
            ("openai", "api.deepseek.com", "deepseek"),
            ("anthropic", "api.deepseek.com", "deepseek"),
            ("openai", "API.Groq.com", "groq"),
            ("openai", "api.x.ai", "x_ai"),
            ("openai", "notapi.x.ai", "openai"),
            ("openai", "localhost", "openai"),
            ("azure", "acme.openai.azure.com", "azure.ai.openai"),
            ("azure", "gateway.example", "azure.ai.openai"),
            ("openai", "acme.services.ai.azure.com", "azure.ai.inference"),
            ("bedrock", "bedrock-runtime.eu-west-1.amazonaws.com", "aws.bedrock"),
            ("openai", "bedrock-runtime.us-east-1.amazonaws.com", "aws.bedrock"),
            ("openai", "s3.amazonaws.com", "openai"),
            ("vertex", "europe-west1-aiplatform.googleapis.com", "gcp.vertex_ai"),
            ("gemini", "generativelanguage.googleapis.com", "gcp.gemini"),
            ("gemini", "127.0.0.1", "gcp.gemini"),
            ("openai", "us-south.ml.cloud.ibm.com", "ibm.watsonx.ai"),
            ("openai", "genai-inference-app.stackspot.com", "stackspot"),
            ("stackspot", "genai-inference-app.stackspot.example", "stackspot"),
            ("claude_code", "", "claude_code"),
        ] {
            assert_eq!(provider_name(vendor, host), provider, "{vendor} at {host}");
        }
    }
}
