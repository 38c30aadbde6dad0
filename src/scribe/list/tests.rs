use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// What is read of a list that comes in these pieces: its elements, `None` where one was too large.
fn read<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let mut told = Vec::new();
    let mut reader = ListReader::new(limit);
    for chunk in chunks {
        reader.feed(chunk, &mut |read| match read {
            Read::Event(event) => {
                assert_eq!(event.name, b"");
                told.push(Some(event.data.to_vec()));
            }
            Read::TooLarge => told.push(None),
        });
        assert!(reader.held() <= limit);
    }
    told
}

fn texts(limit: usize, list: &str) -> Vec<String> {
    let read = read(limit, [list.as_bytes()]).into_iter();
    read.map(|element| element.map_or("too large".to_owned(), |bytes| String::from_utf8(bytes).unwrap()))
        .collect()
}

/// The elements of a list that is all JSON, as another parser finds them.
fn naive(list: &str) -> Vec<String> {
    let elements: Vec<&RawValue> = serde_json::from_str(list).unwrap();
    elements.iter().map(|element| element.get().to_owned()).collect()
}

#[test]
fn an_element_is_told_at_its_last_byte() {
    let mut reader = ListReader::new(1000);
    for (part, told) in [
        ("\u{feff}\r\n[", 0),
        ("{\"a\": \"}]\\\"\"", 0),
        ("}", 1),
        ("\n,\r\n", 0),
        ("[1, [2]]", 1),
        (",12", 0),
        ("3 ", 1),
        (", \"a,", 0),
        ("b\"", 1),
        (",true]", 1),
        ("{} , {}]", 0),
    ] {
        let mut elements = 0;
        reader.feed(part.as_bytes(), &mut |_| elements += 1);
        assert_eq!(elements, told, "{part:?}");
    }
}

#[test]
fn an_element_that_is_too_large_is_passed_over() {
    assert_eq!(
        texts(4, "[1234,12345,[12],[123],\"12\",\"123\",5]"),
        ["1234", "too large", "[12]", "too large", "\"12\"", "too large", "5"]
    );
    assert_eq!(texts(0, "[1,{}]"), ["too large", "too large"]);
}

#[test]
fn what_is_no_list_has_no_elements() {
    for text in ["", " ", "{\"a\": [1]}", "\"[1]\"", "1", "[]", "[ \n]", "[] [1]", "x[1]"] {
        assert!(texts(100, text).is_empty(), "{text:?}");
    }
}

#[test]
fn a_list_that_is_wrong_is_cut_somewhere() {
    assert_eq!(texts(100, "[{]{},1}{} x y,,]"), ["{]", "{}", "1}{}", "x", "y"]);
}

/// Some JSON, with strings that look like its marks.
fn value() -> impl Strategy<Value = String> {
    let string = "[a\\[\\]{},:\"\\\\é \n]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![
        string,
        Just("null".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("\"\\u005d\"".to_owned())
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let space = || prop::sample::select(vec!["", " ", "\n", "\t\r\n"]);
        let list = (prop::collection::vec(inner.clone(), 0..4), space())
            .prop_map(|(elements, space)| format!("[{space}{}{space}]", elements.join(&format!("{space},"))));
        let object = (prop::collection::vec(inner, 0..4), space()).prop_map(|(values, space)| {
            let fields: Vec<_> = values.iter().map(|value| format!("\"]}}\"{space}:{value}")).collect();
            format!("{{{}{space}}}", fields.join(","))
        });
        prop_oneof![list, object]
    })
}

proptest! {
    #[test]
    fn a_list_of_json_is_cut_into_the_elements_that_a_parser_finds(
        elements in prop::collection::vec(value(), 0..6),
        space in prop::sample::select(vec!["", " ", "\r\n"]),
        size in 1usize..20,
    ) {
        let list = format!("{space}[{space}{}{space}]{space}", elements.join(&format!("{space},{space}")));
        let told: Vec<_> = read(10_000, list.as_bytes().chunks(size)).into_iter().flatten().collect();
        let expected: Vec<_> = naive(&list).into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        bytes in prop::collection::vec(prop::sample::select(b"[]{}\",\\ 1a\xef".to_vec()), 0..200),
        limit in 0usize..30,
        size in 1usize..20,
    ) {
        let list = [b"[", &*bytes].concat();
        prop_assert_eq!(read(limit, list.chunks(size)), read(limit, [&*list]));
        read(limit, bytes.chunks(size));
    }
}
