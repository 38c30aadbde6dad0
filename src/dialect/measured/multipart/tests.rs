use proptest::prelude::*;

use super::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=XyZ";

const UPLOAD: &str = "--XyZ\r\n\
    Content-Disposition: form-data; name=\"model\"\r\n\r\n\
    whisper-1\r\n\
    --XyZ\r\n\
    Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".mp3\"\r\n\
    Content-Type: audio/mpeg\r\n\r\n\
    ID3\r\n--Xy\r\n\r\nnot the end\r\n\
    --XyZ--\r\n";

fn filled<'a>(content_type: &[u8], pieces: impl IntoIterator<Item = &'a [u8]>) -> (Prompt, bool) {
    let mut form = Form::of(Some(content_type)).unwrap();
    for piece in pieces {
        form.feed(piece);
        let most = 2 * (PIECE + LONGEST_HEAD + LONGEST_BOUNDARY) + 2 * MOST_TEXT + MOST_PARTS * 1024;
        assert!(form.held() <= most, "{}", form.held());
    }
    let mut prompt = Prompt::default();
    let whole = form.fill(Operation::Transcription, &mut prompt);
    (prompt, whole)
}

fn file(prompt: &Prompt) -> Media {
    let parts = &prompt.turns[0].parts;
    let media = parts.iter().find_map(|part| match part {
        Part::Media(media) => Some(media.clone()),
        _ => None,
    });
    media.unwrap()
}

#[test]
fn fields_are_kept_and_files_counted() {
    let (prompt, whole) = filled(TYPE, [UPLOAD.as_bytes()]);
    assert!(whole);
    assert_eq!(prompt.model.as_deref(), Some("whisper-1"));
    let file = file(&prompt);
    assert_eq!(file.size, "ID3\r\n--Xy\r\n\r\nnot the end".len() as u64);
    assert_eq!(file.name.as_deref(), Some("a \"b\".mp3"));
    assert_eq!((&*file.kind, file.media_type.as_deref()), ("audio", Some("audio/mpeg")));
}

#[test]
fn a_form_that_breaks_off_tells_what_came_and_that_it_is_not_all() {
    let (prompt, whole) = filled(TYPE, [&UPLOAD.as_bytes()[..UPLOAD.len() - 20]]);
    assert!(!whole);
    assert_eq!(prompt.model.as_deref(), Some("whisper-1"));
}

#[test]
fn a_large_file_is_not_held() {
    let mut form = Form::of(Some(TYPE)).unwrap();
    form.feed(&UPLOAD.as_bytes()[..UPLOAD.len() - 20]);
    let piece = vec![b'\r'; 1 << 20];
    for _ in 0..32 {
        form.feed(&piece);
        assert!(form.held() < 100_000, "{}", form.held());
    }
    form.feed(b"\r\n--XyZ--");
    let mut prompt = Prompt::default();
    assert!(form.fill(Operation::Files, &mut prompt));
    assert!(file(&prompt).size > 32 << 20);
}

#[test]
fn a_boundary_may_stand_in_quotes() {
    let (prompt, whole) =
        filled(b"Multipart/Form-Data; charset=utf-8; boundary=\"XyZ\"", [UPLOAD.as_bytes()]);
    assert!(whole && prompt.model.is_some());
    assert!(Form::of(Some(b"multipart/form-data")).is_none());
    assert!(Form::of(Some(b"application/json; boundary=XyZ")).is_none());
    assert!(Form::of(None).is_none());
}

#[test]
fn very_many_parts_and_very_long_fields_are_bounded() {
    let part = "--XyZ\r\nContent-Disposition: form-data; name=\"x\"; filename=\"y\"\r\n\r\nz\r\n";
    let (prompt, whole) = filled(TYPE, [part.repeat(10_000).as_bytes(), b"--XyZ--"]);
    assert!(!whole);
    assert_eq!(prompt.turns[0].parts.len(), MOST_PARTS);
    let long = format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\n{}\r\n--XyZ--",
        "x".repeat(1 << 20)
    );
    let (prompt, whole) = filled(TYPE, long.as_bytes().chunks(1000));
    assert!(!whole);
    assert_eq!(prompt.turns[0].text().len(), MOST_TEXT);
}

/// Bytes of which a form is made, and others.
fn form_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"--XyZ"[..],
        b"\r\n",
        b"--",
        b"\r",
        b"\n",
        b"Content-Disposition: form-data; name=\"prompt\"",
        b"Content-Disposition: form-data; name=x; filename=\"\xff\\",
        b"\"",
        b"; ",
        b"=",
        b"text",
        b"\xc3",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_form_means_the_same_however_it_is_cut(body in form_like(), size in 1usize..20) {
        let (whole, all) = filled(TYPE, [&*body]);
        let (cut, all_cut) = filled(TYPE, body.chunks(size));
        prop_assert_eq!(format!("{whole:?} {all}"), format!("{cut:?} {all_cut}"));
        let texts: usize = whole.turns.iter().map(|turn| turn.text().len()).sum();
        prop_assert!(texts <= body.len());
    }

    #[test]
    fn any_bytes_are_read(
        content_type in prop::collection::vec(any::<u8>(), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let content_type = [b"multipart/form-data;boundary=", &*content_type].concat();
        if Form::of(Some(&content_type)).is_some() {
            filled(&content_type, [&*body]);
        }
    }
}
