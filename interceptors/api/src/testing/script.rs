use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Scene;
use crate::host::Notice;
use crate::{Exchange, ExchangeId, SessionEnd};

/// Scenes in the order in which they are to be played, one after another or interleaved.
///
/// The exchange that begins first has the id 1, the next 2, and so on. [`on_idle`](crate::Interceptor::on_idle) comes
/// after each of the methods' notices; between the notices of [`shuffled`](Self::shuffled) also anywhere else.
///
/// ```
/// use perimeter_interceptor::testing::{Scene, Script, scenes};
///
/// let script = Script::new()
///     .scene(Scene::get("/v1/models").response(200))
///     .together([scenes::streamed(), scenes::unreachable()])
///     .shuffled(7, scenes::all());
/// assert!(!script.notices().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
    names: BTreeMap<ExchangeId, String>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Tell(Notice),
    Idle,
}

impl Script {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One scene, alone.
    pub fn scene(self, scene: Scene) -> Self {
        self.together([scene])
    }

    /// Scenes at the same time: a notice of the first, one of the second, and so on, and round again.
    pub fn together(mut self, scenes: impl IntoIterator<Item = Scene>) -> Self {
        let mut running: VecDeque<Running> = scenes.into_iter().map(Running::new).collect();
        while let Some(mut scene) = running.pop_front() {
            if self.step(&mut scene) {
                running.push_back(scene);
            }
        }
        self.idle()
    }

    /// Scenes at the same time, each in its own order, else in an order that depends on `seed` alone.
    pub fn shuffled(mut self, seed: u64, scenes: impl IntoIterator<Item = Scene>) -> Self {
        let mut dice = Dice(seed);
        let mut running: Vec<Running> = scenes.into_iter().map(Running::new).collect();
        while !running.is_empty() {
            let next = dice.below(running.len());
            if !self.step(&mut running[next]) {
                running.swap_remove(next);
            }
            if dice.below(8) == 0 {
                self = self.idle();
            }
        }
        self.idle()
    }

    /// A session is over.
    pub fn session_end(mut self, end: SessionEnd) -> Self {
        self.steps.push(Step::Tell(Notice::SessionEnd(Arc::new(end))));
        self.idle()
    }

    /// A good moment to write out what was held back.
    pub fn idle(mut self) -> Self {
        self.steps.push(Step::Idle);
        self
    }

    /// All that is told, in order.
    pub fn notices(&self) -> Vec<Notice> {
        let notices = self.steps.iter().filter_map(|step| match step {
            Step::Tell(notice) => Some(notice.clone()),
            Step::Idle => None,
        });
        notices.collect()
    }

    /// The name of the scene with this id.
    pub fn name_of(&self, exchange: ExchangeId) -> Option<&str> {
        self.names.get(&exchange).map(String::as_str)
    }

    pub(super) fn into_names(self) -> BTreeMap<ExchangeId, String> {
        self.names
    }

    /// Tells the next notice of this scene, and whether there was one.
    fn step(&mut self, scene: &mut Running) -> bool {
        let Some((elapsed, what)) = scene.steps.next() else { return false };
        let exchange = scene.exchange.get_or_insert_with(|| self.begin(&scene.scene));
        self.steps.push(Step::Tell(Notice::Exchange { exchange: Arc::clone(exchange), elapsed, what }));
        true
    }

    fn begin(&mut self, scene: &Scene) -> Arc<Exchange> {
        let number = self.names.len() as u32 + 1;
        let mut exchange = scene.exchange.clone();
        exchange.id = ExchangeId::new(number.into());
        exchange.began = SystemTime::UNIX_EPOCH + FIRST + Duration::from_secs(number.into());
        self.names.insert(exchange.id, scene.name.clone());
        Arc::new(exchange)
    }
}

/// When every script begins: 2026-01-01 00:00:00 UTC.
const FIRST: Duration = Duration::from_secs(1_767_225_600);

impl From<Scene> for Script {
    fn from(scene: Scene) -> Self {
        Self::new().scene(scene)
    }
}

/// One after another.
impl FromIterator<Scene> for Script {
    fn from_iter<T: IntoIterator<Item = Scene>>(scenes: T) -> Self {
        scenes.into_iter().fold(Self::new(), Self::scene)
    }
}

/// A scene that has been played up to somewhere.
struct Running {
    steps: std::vec::IntoIter<(Duration, crate::host::What)>,
    scene: Scene,
    exchange: Option<Arc<Exchange>>,
}

impl Running {
    fn new(scene: Scene) -> Self {
        let mut scene = if scene.has_ended() { scene } else { scene.end() };
        Self { steps: std::mem::take(&mut scene.steps).into_iter(), scene, exchange: None }
    }
}

/// A linear congruential generator: the same throws for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}
