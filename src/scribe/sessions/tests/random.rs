//! Conversations made up at random, of several people at once.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// How a conversation goes on.
#[derive(Clone, Copy, Debug)]
enum Change {
    Says,
    SaysTheSame,
    /// What was said from there on is replaced.
    Edits(u8),
    /// What was said up to there is left out.
    Forgets(u8),
    Summarises,
    PutsWordsInItsMouth,
    BeginsAnew,
    Counts,
    Embeds,
    SaysNothing,
}

#[derive(Clone, Debug)]
enum Step {
    Asks { talk: usize, change: Change, way: Way, word: u8 },
    Answers { which: Index, word: u8, choices: u8 },
    BreaksOff { which: Index, word: u8 },
    Fails(Index),
    Vanishes(Index),
    Waits(u64),
}

/// Short words, so that much is said twice; some long enough to tell who had them.
fn word(word: u8) -> String {
    match word {
        0..8 => format!("w{word}"),
        _ => format!("w{word} ").repeat(40),
    }
}

fn way() -> impl Strategy<Value = Way> {
    let names = prop::sample::select(vec![None, None, None, Some("a"), Some("b")]);
    (0..2_u64, 0..3_u8, names).prop_map(|(credential, address, name)| Way {
        credential,
        address,
        name,
        operation: Operation::Chat,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        8 => Just(Change::Says),
        2 => Just(Change::SaysTheSame),
        2 => any::<u8>().prop_map(Change::Edits),
        1 => any::<u8>().prop_map(Change::Forgets),
        1 => Just(Change::Summarises),
        1 => Just(Change::PutsWordsInItsMouth),
        1 => Just(Change::BeginsAnew),
        1 => Just(Change::Counts),
        1 => Just(Change::Embeds),
        1 => Just(Change::SaysNothing),
    ];
    let word = || 0..10_u8;
    prop_oneof![
        8 => (0..4_usize, change, way(), word())
            .prop_map(|(talk, change, way, word)| Step::Asks { talk, change, way, word }),
        8 => (any::<Index>(), word(), 0..6_u8)
            .prop_map(|(which, word, choices)| Step::Answers { which, word, choices }),
        1 => (any::<Index>(), word()).prop_map(|(which, word)| Step::BreaksOff { which, word }),
        1 => any::<Index>().prop_map(Step::Fails),
        1 => any::<Index>().prop_map(Step::Vanishes),
        2 => (0..40_u64).prop_map(Step::Waits),
    ]
}

/// What has to be true of what is told.
#[derive(Default)]
struct Ledger {
    /// The calls of each session, and how many of them were told at an end.
    calls: HashMap<Arc<str>, (u32, u32)>,
}

impl Ledger {
    fn call(&mut self, session: &Session) {
        let (calls, ended) = self.calls.entry(session.id.clone()).or_default();
        if session.is_new {
            assert_eq!(*calls, *ended, "{session:?} begins before its earlier one is over");
            (*calls, *ended) = (0, 0);
        }
        *calls += 1;
        assert_eq!(session.call, *calls, "{session:?}");
        assert_eq!(session.is_new, session.call == 1);
        assert!(session.parent.is_none_or(|parent| (1..session.call).contains(&parent)), "{session:?}");
        assert!(session.thread < session.call, "{session:?}");
        assert!(session.relation != Relation::Opening || session.parent.is_none(), "{session:?}");
    }

    fn ended(&mut self, end: &SessionEnd) {
        let (calls, ended) = self.calls.get_mut(&end.id).unwrap();
        assert!(*ended < *calls, "the same silence is told twice: {end:?}");
        *ended = *calls;
        assert_eq!(end.calls, *calls);
        assert!(end.failed <= end.calls);
    }
}

struct Play {
    stage: Stage,
    ledger: Ledger,
    talks: [Vec<Turn>; 4],
    open: Vec<(usize, Made)>,
    /// Those of an exchange that is a session by itself.
    alone: Vec<Exchange>,
}

impl Play {
    fn step(&mut self, step: Step) {
        match step {
            Step::Asks { talk, change, way, word } => self.asks(talk, change, way, &self::word(word)),
            Step::Answers { which, word, choices } => {
                let said: Vec<String> = (0..choices).map(|more| self::word(word + more)).collect();
                let said: Vec<&str> = said.iter().map(String::as_str).collect();
                self.over(which, Some(LlmEvent::Completion(Arc::new(saying(&said)))), said.first());
            }
            Step::BreaksOff { which, word } => {
                let said = self::word(word);
                let cut = LlmEvent::Cut(Arc::new(saying(&[&said])));
                self.over(which, Some(cut), Some(&&*said));
            }
            Step::Fails(which) => {
                let failure = Arc::new(ApiFailure::new(CallId(0), 500, "busy"));
                self.over(which, Some(LlmEvent::Failure(failure)), None);
            }
            Step::Vanishes(which) => self.over(which, None, None),
            Step::Waits(seconds) => {
                self.stage.now += Duration::from_secs(seconds);
                self.stage.tick();
            }
        }
        for end in std::mem::take(&mut self.stage.ends) {
            self.ledger.ended(&end);
        }
        self.stage.sessions.check();
        let is_held = |made: &Made| {
            let Ticket { session, generation, .. } = made.ticket;
            let state = self.stage.sessions.state(session).filter(|_| !made.ticket.is_alone());
            state.is_some_and(|state| state.generation == generation)
        };
        let open = self.open.iter().filter(|(_, made)| is_held(made)).count();
        assert_eq!(self.stage.sessions.open() as usize, open);
    }

    fn asks(&mut self, talk: usize, change: Change, mut way: Way, word: &str) {
        let turns = &mut self.talks[talk];
        let within = |at: u8, turns: &[Turn]| usize::from(at) % (turns.len() + 1);
        match change {
            Change::SaysTheSame => {}
            Change::Says => turns.push(user(word)),
            Change::Edits(at) => {
                turns.truncate(within(at, turns));
                turns.push(user(word));
            }
            Change::Forgets(at) => {
                turns.drain(..within(at, turns));
                turns.push(user(word));
            }
            Change::Summarises => {
                let phrase =
                    "This session is being continued from a previous conversation that ran out of context.";
                *turns = vec![user(&format!("{phrase} {word}")), user(word)];
            }
            Change::PutsWordsInItsMouth => turns.push(turn(Role::Assistant, word)),
            Change::BeginsAnew => *turns = vec![turn(Role::System, "Be brief."), user(word)],
            Change::Counts => way.operation = Operation::CountTokens,
            Change::Embeds => way.operation = Operation::Embeddings,
            Change::SaysNothing => turns.clear(),
        }
        let made = self.stage.call(way, &self.talks[talk]);
        for end in std::mem::take(&mut self.stage.ends) {
            self.ledger.ended(&end);
        }
        self.ledger.call(&made.session);
        if made.ticket.is_alone() {
            self.alone.push(made.exchange.clone());
        }
        self.open.push((talk, made));
    }

    fn over(&mut self, which: Index, event: Option<LlmEvent>, said: Option<&&str>) {
        if self.open.is_empty() {
            return;
        }
        let (talk, made) = self.open.swap_remove(which.index(self.open.len()));
        match event {
            Some(event) => assert!(self.stage.sessions.heard(self.stage.now, &made.ticket, &event)),
            None => self.stage.sessions.over(self.stage.now, &made.ticket, false),
        }
        self.talks[talk].extend(said.map(|said| turn(Role::Assistant, said)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn whatever_is_said_by_whomever_the_sessions_agree_with_themselves(
        steps in prop::collection::vec(step(), 1..120),
        max_sessions in prop_oneof![1..4_usize, Just(1000)],
        ttl in 0..100_u64,
        complete in 0..60_u64,
        which in any::<Index>(),
    ) {
        let config = config::Session {
            max_sessions,
            session_ttl_seconds: Duration::from_secs(ttl),
            completion_timeout: Duration::from_secs(complete),
            ..config::Session::default()
        };
        let mut play = Play {
            stage: Stage::new(&config),
            ledger: Ledger::default(),
            talks: Default::default(),
            open: Vec::new(),
            alone: Vec::new(),
        };
        for step in steps {
            play.step(step);
            prop_assert!(play.stage.sessions.count() <= max_sessions);
            prop_assert!(play.stage.sessions.held.len() <= max_sessions);
        }
        while !play.open.is_empty() {
            play.step(Step::Vanishes(which));
        }
        prop_assert_eq!(play.stage.sessions.open(), 0);
        for exchange in std::mem::take(&mut play.alone) {
            let end = play.stage.sessions.exchange_over(&exchange, Duration::ZERO);
            play.ledger.ended(&end.unwrap());
        }
        play.stage.close();
        for end in std::mem::take(&mut play.stage.ends) {
            play.ledger.ended(&end);
        }
        prop_assert!(play.ledger.calls.values().all(|(calls, ended)| calls == ended));
        prop_assert!(play.stage.sessions.alone.is_empty());
        prop_assert_eq!(play.stage.sessions.count(), 0);
        prop_assert_eq!(play.stage.sessions.index.iter().count(), 0);
        play.stage.sessions.check();
    }
}
