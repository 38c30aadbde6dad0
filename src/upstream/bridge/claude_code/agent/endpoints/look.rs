//! What can be asked here, and whether a request could be.

use serde_json::{Value, json};

use super::{Asked, collect};
use crate::upstream::bridge::door::{Door, Kept, Reader, errors};
use crate::upstream::bridge::model::{Model, Models};
use crate::upstream::bridge::{Ask, Backend, Failure, Kind};

/// `GET /v1/models/capabilities`.
pub(super) fn capabilities(models: &Models) -> Value {
    let models: Vec<_> = models.iter().map(model).collect();
    json!({"total": models.len(), "models": models, "provider": "anthropic", "adapter": "claude_code"})
}

fn model(model: &Model) -> Value {
    let can = model.can;
    let features = [
        ("streaming", true),
        ("tools", can.tools),
        ("parallel_tools", can.parallel_tools),
        ("vision", can.vision),
        ("reasoning", can.reasoning),
        ("json_schema", can.json_schema),
    ];
    let features: Vec<_> = features.into_iter().filter_map(|(name, has)| has.then_some(name)).collect();
    json!({
        "id": model.id,
        "name": model.display_name,
        "aliases": model.aliases,
        "owned_by": model.owned_by,
        "context_window": model.context,
        "max_tokens": model.max_output,
        "supports_streaming": true,
        "supports_tools": can.tools,
        "supports_vision": can.vision,
        "supports_reasoning": can.reasoning,
        "features": features,
    })
}

/// `POST /v1/chat/completions/debug`: whether this body would be taken, and if not, why. Asks nobody anything.
pub(super) async fn debug(backend: &dyn Backend, asked: Asked, body_limit: u64) -> Result<Value, Failure> {
    let limit = usize::try_from(body_limit).unwrap_or(usize::MAX);
    let body = collect(asked.body, limit).await?;
    let kept: Kept = Default::default();
    let (headers, caller, kept) = (&asked.headers, asked.owner, &kept);
    let read = Door::Chat.read(Reader { headers, body: &body, id: "", caller, lenient: false, kept });
    let taken = read.and_then(|reading| taken(backend, reading.ask));
    Ok(taken.unwrap_or_else(|failure| {
        let error = errors::openai(&failure);
        json!({
            "status": "validation_error",
            "message": failure.message,
            "would_be": failure.kind.status().as_u16(),
            "error": error.get("error"),
        })
    }))
}

fn taken(backend: &dyn Backend, mut ask: Ask) -> Result<Value, Failure> {
    let models = backend.models();
    let Some(model) = models.find(&ask.model) else {
        let nearest = models.nearest(&ask.model).join(", ");
        let message = format!("the model does not exist here; the nearest: {nearest}");
        return Err(Failure { param: Some("model".into()), ..Failure::new(Kind::UnknownModel, message) });
    };
    ask.id.clone_from(&model.id);
    backend.check(&mut ask, model, false)?;
    Ok(json!({
        "status": "success",
        "message": "Request validation passed",
        "warnings": ask.warnings.header(),
        "parsed_data": {"model": model.id, "messages_count": ask.turns.len(), "stream": ask.stream},
    }))
}
