//! What a scene means to a model's API.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Scene;
use crate::host::What;
use crate::{
    Answer, Call, CallId, Completion, Delta, LlmEvent, Part, Relation, Role, Said, Session, ToolUse, Turn,
    Usage,
};

/// What was said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Talk {
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    calls: u32,
    call: CallId,
    model: Option<Arc<str>>,
    tools: Vec<Arc<ToolUse>>,
}

impl Scene {
    /// [`on_llm`](crate::Interceptor::on_llm) with any event.
    pub fn llm(mut self, event: LlmEvent) -> Self {
        if let LlmEvent::Call(call) = &event {
            self.talk.calls += 1;
            self.talk.call = call.id;
            self.talk.model.clone_from(&call.model);
            self.talk.tools.clear();
        }
        self.tell(What::Llm(event));
        self
    }

    /// In a session that the client names so, also the calls that were told already.
    pub fn in_session(mut self, id: &str) -> Self {
        self.exchange.labels.session = Some(id.into());
        self.session(|session| {
            session.id = id.into();
            session.told = true;
        })
    }

    /// Changes the sessions of the calls that were told already: where they stand in them, who makes them.
    ///
    /// ```
    /// use perimeter_interceptor::Relation;
    /// use perimeter_interceptor::testing::{Scene, Script, assert_legal};
    ///
    /// let retry = Scene::post("/v1/messages").asks("m", "Hello").session(|session| {
    ///     (session.call, session.is_new) = (4, false);
    ///     (session.relation, session.parent) = (Relation::Retry, Some(3));
    /// });
    /// assert_legal(&Script::from(retry.response(200)).notices());
    /// ```
    pub fn session(mut self, change: impl Fn(&mut Session)) -> Self {
        for (_, what) in &mut self.steps {
            if let What::Llm(LlmEvent::Call(call)) = what {
                change(Arc::make_mut(&mut Arc::make_mut(call).session));
            }
        }
        self
    }

    /// The next call of this exchange, as [`Scene::asks`] tells it, to be changed before it is told with
    /// [`Scene::llm`].
    pub fn next_call(&self, model: &str, text: &str) -> Call {
        let number = self.talk.calls;
        // Where the client names no session, each exchange is one.
        let told = self.exchange.labels.session.clone();
        let mut session = Session::new(told.clone().unwrap_or_else(|| self.name.as_str().into()));
        session.told = told.is_some();
        session.call = number + 1;
        session.is_new = number == 0;
        if number > 0 {
            (session.relation, session.parent) = (Relation::Turn, Some(number));
        }
        Arc::make_mut(&mut session.agent).told.clone_from(&self.exchange.labels.agent);
        session.tags.clone_from(&self.exchange.labels.tags);

        let mut call = Call::new(CallId(number), self.dialect(), Arc::new(session));
        call.model = Some(model.into());
        call.streaming = self.asks_for_a_stream();
        call.news = vec![Turn::new(Role::User, vec![Part::Text(text.into())])];
        call.body = Bytes::from(self.talk.request.clone());
        call
    }

    /// [`LlmEvent::Call`]: the user says `text` to `model`.
    pub fn asks(self, model: &str, text: &str) -> Self {
        let call = self.next_call(model, text);
        self.llm(LlmEvent::Call(Arc::new(call)))
    }

    /// [`LlmEvent::Delta`]: the model says a little more in its first answer to the last call.
    pub fn says(self, text: &str) -> Self {
        let call = self.talk.call;
        self.llm(LlmEvent::Delta(Delta::new(call, Said::Text(text.into()))))
    }

    /// [`LlmEvent::ToolUse`]: the model asks for this tool.
    pub fn uses(mut self, id: &str, name: &str, input: &str) -> Self {
        let mut tool = ToolUse::new(self.talk.call, name, input);
        tool.id = Some(id.into());
        let tool = Arc::new(tool);
        self.talk.tools.push(Arc::clone(&tool));
        self.llm(LlmEvent::ToolUse(tool))
    }

    /// The answer to the last call so far, as [`Scene::answers`] tells it, to be changed before it is told with
    /// [`Scene::llm`].
    pub fn completion(&self, text: &str, usage: Option<Usage>) -> Completion {
        let tools = &self.talk.tools;
        let mut answer = Answer::new(0);
        if !text.is_empty() {
            answer.parts.push(Part::Text(text.into()));
        }
        answer.parts.extend(tools.iter().cloned().map(Part::ToolUse));
        answer.stop = Some(if tools.is_empty() { "stop" } else { "tool_calls" }.into());

        let mut completion = Completion::new(self.talk.call);
        completion.id = Some(format!("chatcmpl-{}", self.talk.call).into());
        completion.model.clone_from(&self.talk.model);
        completion.body = self.answer_as_json(text);
        completion.answers = vec![answer];
        completion.usage = usage;
        completion
    }

    /// [`LlmEvent::Completion`]: the model has said `text`, and asked for the tools told before.
    pub fn answers(self, text: &str, usage: Usage) -> Self {
        let completion = self.completion(text, Some(usage));
        self.llm(LlmEvent::Completion(Arc::new(completion)))
    }

    /// [`LlmEvent::Cut`]: the answer broke off after `text`.
    pub fn cut(self, text: &str) -> Self {
        let mut completion = self.completion(text, None);
        for answer in &mut completion.answers {
            answer.stop = None;
        }
        self.llm(LlmEvent::Cut(Arc::new(completion)))
    }

    fn dialect(&self) -> &'static str {
        let anthropic = self.head().is_some_and(|head| head.uri.path().ends_with("/messages"));
        if anthropic { "anthropic_messages" } else { "openai_chat" }
    }

    fn asks_for_a_stream(&self) -> bool {
        serde_json::from_slice(&self.talk.request).is_ok_and(|body: Value| body["stream"] == true)
    }

    /// What was told of the response, if that is JSON; else a small stand-in.
    fn answer_as_json(&self, text: &str) -> Bytes {
        if serde_json::from_slice::<Value>(&self.talk.response).is_ok() {
            return Bytes::from(self.talk.response.clone());
        }
        let message = json!({"role": "assistant", "content": text});
        Bytes::from(json!({"choices": [{"index": 0, "message": message}]}).to_string())
    }
}
