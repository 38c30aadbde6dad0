//! A call between its markers, from the first to the last of them.

use super::super::Form;
use super::super::arguments::Arguments;
use super::super::calling::Calling;
use super::super::envelope::Envelope;
use super::super::head::{Head, Step};
use super::super::object::Fed;
use super::{At, Call, FENCE, HELD, Reading, SPACES};

impl Reading {
    /// Reads what follows the marker that opens a call.
    pub(super) fn marked(&mut self, form: Form, c: char) {
        let goes_on = c.is_whitespace()
            || match form {
                Form::Function => false,
                Form::Json => c == '{',
                Form::Xml => c == '>',
            };
        if !goes_on {
            self.release(0);
            self.again.push(c);
            return;
        }
        let wrapped = Call { form, body: Calling::Wrapped(None), begun: false };
        match (form, c) {
            (Form::Function, _) => {
                self.held.push(c);
                self.at = At::Head(Head::default());
            }
            (Form::Json, '{') => self.call(wrapped, c),
            (Form::Xml, c) if c != '>' => {
                self.held.push(c);
                self.at = At::Tag;
            }
            _ => {
                self.held.push(c);
                self.at = At::Call(wrapped);
            }
        }
    }

    /// Reads the rest of `<tool_call …>`.
    pub(super) fn tag(&mut self, c: char) {
        /// The longest opening tag. Bytes.
        const LONGEST: usize = 1024;
        if c == '<' || self.held.len() > LONGEST {
            self.release(0);
            self.again.push(c);
            return;
        }
        self.held.push(c);
        self.at = match c {
            '>' => At::Call(Call { form: Form::Xml, body: Calling::Wrapped(None), begun: false }),
            _ => At::Tag,
        };
    }

    /// Reads what stands before the arguments.
    pub(super) fn head(&mut self, mut head: Head, c: char) {
        let step = head.feed(c, Form::Function.end());
        if step == Step::Arguments {
            let name = head.name.unwrap_or_default();
            let arguments = Arguments::new(Form::Function.end(), self.without.clone());
            return self.call(
                Call { form: Form::Function, body: Calling::Plain(name, Box::new(arguments)), begun: false },
                c,
            );
        }
        self.held.push(c);
        match step {
            Step::Named if !head.name.as_ref().is_some_and(|name| self.names.contains(name)) => {
                self.warn("tool-call-unknown");
                let last = self.last_word();
                self.release(last);
            }
            Step::End => self.call_without_arguments(head),
            Step::No => {
                self.warn("tool-call-unreadable");
                let last = self.last_word();
                self.release(last);
            }
            _ if self.held.len() > HELD => self.release(0),
            _ => self.at = At::Head(head),
        }
    }

    /// The call ends with its head.
    pub(super) fn call_without_arguments(&mut self, head: Head) {
        let name = head.name.unwrap_or_default();
        let call = Call {
            form: Form::Function,
            body: Calling::Plain(name, Box::new(Arguments::none())),
            begun: false,
        };
        self.go_on(call, Fed::Marker);
    }

    /// Reads the JSON of a call.
    pub(super) fn call(&mut self, mut call: Call, c: char) {
        if !call.begun {
            self.held.push(c);
        }
        let fed = match &mut call.body {
            Calling::Wrapped(None) if c == '{' => {
                let mut envelope = Envelope::new(call.form.end(), self.without.clone());
                let fed = envelope.feed(c);
                call.body = Calling::Wrapped(Some(Box::new(envelope)));
                fed
            }
            Calling::Wrapped(None) if c.is_whitespace() => Fed::More,
            // Neither name nor arguments.
            Calling::Wrapped(None) => return self.release(c.len_utf8()),
            Calling::Wrapped(Some(envelope)) => envelope.feed(c),
            Calling::Plain(_, arguments) => arguments.feed(c),
        };
        if fed == Fed::Marker {
            call.body.finish();
        }
        self.go_on(call, fed);
    }

    /// Says what is known of `call`, once that is sure to be one, and goes on as it went.
    pub(super) fn go_on(&mut self, mut call: Call, fed: Fed) {
        if !call.begun {
            match self.is_call(&call.body, fed != Fed::More) {
                Some(true) => self.begin(&mut call),
                Some(false) => return self.release(0),
                None if self.held.len() > HELD => return self.release(0),
                None => {}
            }
        }
        if call.begun {
            self.blocks.input(&call.body.take());
        }
        let form = call.form;
        match fed {
            Fed::More => self.at = At::Call(call),
            Fed::Closed => {
                self.end(&call);
                self.at = At::After(form);
            }
            Fed::Marker => self.end(&call),
        }
    }

    /// Whether this is a call of a tool that there is, once that is known. `complete`: there is no more of it.
    fn is_call(&mut self, body: &Calling, complete: bool) -> Option<bool> {
        if let Some(name) = body.name() {
            if !self.names.iter().any(|known| known == name) {
                self.warn("tool-call-unknown");
                return Some(false);
            }
            if body.arguments().is_some_and(Arguments::begun) {
                return Some(true);
            }
        }
        if complete && body.name().is_some() && body.arguments().is_none() {
            return Some(true);
        }
        if complete || body.arguments().is_some_and(Arguments::impossible) {
            self.warn("tool-call-unreadable");
            return Some(false);
        }
        None
    }

    fn begin(&mut self, call: &mut Call) {
        call.begun = true;
        self.held.clear();
        self.fenced |= self.spaces.contains(FENCE);
        self.spaces.clear();
        let id = format!("call_{}_{}", self.answer_id, self.calls() + 1);
        self.blocks.call(id, call.body.name().unwrap_or_default().to_owned());
    }

    fn end(&mut self, call: &Call) {
        if call.body.arguments().is_none() {
            self.blocks.input("{}");
        }
        if call.body.mended() {
            self.warn("tool-call-repaired");
        }
        if call.body.lost() {
            self.warn("tool-call-damaged");
        }
        self.blocks.end_call(call.body.lost());
        self.fresh = true;
        self.line_start = true;
        self.over = !self.parallel;
    }

    /// Reads what follows the JSON, up to the marker that closes the call.
    pub(super) fn after(&mut self, form: Form, c: char) {
        self.at = At::After(form);
        // A bracket too many, or the end of a fence around the arguments.
        let beside = c.is_whitespace() || matches!(c, '}' | ']' | '`');
        if self.mark.is_empty() && beside && self.held.len() < SPACES {
            self.held.push(c);
            return;
        }
        self.mark.push(c);
        if self.mark == form.end() {
            self.mark.clear();
            if !std::mem::take(&mut self.held).trim().is_empty() {
                self.warn("tool-call-repaired");
            }
            self.at = At::Text;
        } else if !form.end().starts_with(&self.mark) {
            self.unclosed();
        }
    }

    /// The marker that closes a call is missing: what stands there is read as text.
    pub(super) fn unclosed(&mut self) {
        self.warn("tool-call-repaired");
        self.again.extend(std::mem::take(&mut self.mark).chars().rev());
        self.again.extend(std::mem::take(&mut self.held).chars().rev());
        self.at = At::Text;
    }
}
