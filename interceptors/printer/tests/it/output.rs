use std::io::{self, ErrorKind, Write};

use http::Method;
use perimeter_interceptor::Interceptor;
use perimeter_interceptor::host::{Desk, Misfortune};
use perimeter_printer::{Closed, Look, Printer, Settings};

use crate::scene::{Paper, Scene, answer, call, desk, printed, tell, user};

/// Fails as told.
struct Broken(ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn get(number: u32) -> Scene {
    Scene::new(number, Method::GET, "/").answers(200).ends(1)
}

fn broken(kind: ErrorKind) -> Desk<Printer<Broken>> {
    desk(Broken(kind), Look::fixed(None, false), Settings::default())
}

#[test]
fn a_closed_output_is_said_once_and_harms_nothing() {
    let mut desk = broken(ErrorKind::BrokenPipe);
    let (open, later) = (get(0), get(1));
    tell(&mut desk, &get(2));
    desk.take(&open.notices()[0]).unwrap();
    let fault = desk.idle().unwrap_err();
    let Misfortune::Error(error) = fault.what else { panic!("{fault}") };
    assert!(error.is::<Closed>(), "{error}");
    for notice in &open.notices()[1..] {
        desk.take(notice).unwrap();
    }
    desk.idle().unwrap();
    desk.take(&later.notices()[0]).unwrap();
    assert_eq!(desk.open(), 0, "it follows nothing that it will not print");
    desk.shut_down().unwrap();
}

#[test]
fn any_other_failure_is_told_once_and_the_next_block_tried() {
    let mut desk = broken(ErrorKind::StorageFull);
    for number in 0..2 {
        tell(&mut desk, &get(number));
        assert!(desk.idle().is_err());
        desk.idle().unwrap();
    }
}

#[test]
fn blocks_wait_until_nothing_else_does() {
    let paper = Paper::default();
    let mut desk = desk(paper.clone(), Look::fixed(None, false), Settings::default());
    tell(&mut desk, &get(0));
    assert_eq!(paper.read(), "");
    desk.idle().unwrap();
    assert_eq!(paper.read().lines().count(), 1);
}

#[test]
fn exchanges_at_the_same_time_are_printed_one_after_another() {
    let story = |number: u32, word: &str| {
        let scene = Scene::post(number).asks(call("gpt-4o", vec![user(word)])).answers(200);
        let said = answer(vec![perimeter_interceptor::Part::Text(word.into())], "stop");
        scene.says(300, word).completes(1240, said)
    };
    let (one, two) = (story(0, "one"), story(1, "two"));
    let paper = Paper::default();
    let mut desk = desk(paper.clone(), Look::fixed(Some(80), false), Settings::default());
    for (one, two) in one.notices().iter().zip(two.notices()) {
        desk.take(one).unwrap();
        desk.take(two).unwrap();
    }
    desk.shut_down().unwrap();
    assert_eq!(paper.read(), printed(&[one, two], Look::fixed(Some(80), false), &Settings::default()));
}

#[test]
fn standard_output_is_printed_to_unless_another_is_given() {
    let printer = Printer::new(Settings::default()).unwrap();
    assert_eq!(printer.interest(), perimeter_interceptor::Interest::LLM);
}
