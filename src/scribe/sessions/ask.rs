//! A call that is looking for its session.

use std::cell::OnceCell;
use std::sync::Arc;

use perimeter_interceptor::{Agent, CallId, Exchange, Operation, Role, Turn};

use crate::dialect::{Asked, Dialect, Lead, Names, News, Units};
use crate::scribe::caller::Caller;
use crate::scribe::clients;
use crate::scribe::markers::{self, SideCall};

/// A summary is one of the first so many messages.
const SUMMARY_WITHIN: usize = 16;

/// A call that is looking for its session.
#[derive(Debug)]
pub(in crate::scribe) struct Ask<'a> {
    pub(in crate::scribe) exchange: &'a Exchange,
    pub(in crate::scribe) caller: &'a Caller,
    pub(in crate::scribe) call: CallId,
    pub(in crate::scribe) asked: &'a Asked,
    pub(in crate::scribe) model: Option<&'a Arc<str>>,
    /// What its body says.
    pub(in crate::scribe) names: &'a Names,
    pub(in crate::scribe) previous: Option<&'a str>,
    pub(in crate::scribe) conversation: Option<&'a Arc<str>>,
    pub(in crate::scribe) units: &'a Units,
    pub(in crate::scribe) lead: &'a Lead,
    /// The system prompt outside of the list of messages, where it was read.
    pub(in crate::scribe) system: Option<&'a Turn>,
    /// The messages that were read: all, or the last.
    pub(in crate::scribe) turns: &'a [Turn],
    pub(in crate::scribe) is_all: bool,
    /// Whether it was not seen to its end.
    pub(in crate::scribe) is_cut: bool,
    pub(in crate::scribe) tools: usize,
    /// Looked for once.
    side: OnceCell<Option<SideCall>>,
}

impl<'a> Ask<'a> {
    /// The call of this exchange whose request was read so.
    pub(in crate::scribe) fn new(
        exchange: &'a Exchange,
        caller: &'a Caller,
        call: CallId,
        asked: &'a Asked,
        news: &'a News,
    ) -> Self {
        let News { prompt, system, tools, units, lead, .. } = news;
        Self {
            exchange,
            caller,
            call,
            asked,
            model: prompt.model.as_ref(),
            names: &prompt.names,
            previous: prompt.previous.as_deref(),
            conversation: prompt.conversation.as_ref(),
            units,
            lead,
            system: system.as_ref(),
            turns: &prompt.turns,
            is_all: !news.is_passed(),
            is_cut: news.is_cut,
            tools: tools.len(),
            side: OnceCell::new(),
        }
    }

    /// The session's name, where the client tells it.
    pub(super) fn name(&self) -> Option<&Arc<str>> {
        let told = self.exchange.labels.session.as_ref().or(self.caller.names.session.as_ref());
        told.or(self.names.session.as_ref()).or(self.conversation)
    }

    /// Whether it is a part of a conversation, or may be.
    pub(super) fn converses(&self) -> bool {
        matches!(self.asked.operation, Operation::Chat | Operation::TextCompletion | Operation::CountTokens)
            && self.asked.dialect != Dialect::OpenAiRealtime
    }

    /// What it is for, where that is no turn of a conversation.
    pub(super) fn side(&self) -> Option<SideCall> {
        *self.side.get_or_init(|| {
            if !self.is_all {
                return self.turns.last().and_then(markers::side_turn);
            }
            let system = self.system.map(Turn::text);
            markers::side_call(system.as_deref(), self.turns, self.tools)
        })
    }

    pub(super) fn is_probe(&self) -> bool {
        self.asked.operation == Operation::CountTokens
    }

    /// Of the messages before the model's first words, the summary that stands for others.
    pub(super) fn summary(&self) -> Option<&Turn> {
        let before = self.turns.iter().take_while(|turn| turn.role != Role::Assistant).take(SUMMARY_WITHIN);
        before.into_iter().find(|turn| turn.role != Role::System && markers::is_summary(turn))
    }

    /// The first message that is no instructions.
    pub(super) fn first(&self) -> Option<&Turn> {
        self.turns.iter().find(|turn| turn.role != Role::System)
    }

    /// Who makes it: by its system prompt, and as the client says.
    pub(super) fn agent(&self) -> Arc<Agent> {
        let mut agent = self.lead.agent.clone();
        let told = self.exchange.labels.agent.as_ref();
        let name = self.caller.client.as_deref().filter(|client| clients::names_agent(client));
        if told.is_some() || name.is_some() {
            let agent = Arc::make_mut(&mut agent);
            agent.told = told.cloned();
            agent.name = name.map(|client| client.name.clone());
        }
        agent
    }
}
