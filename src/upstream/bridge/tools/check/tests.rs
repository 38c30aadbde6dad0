use serde_json::value::RawValue;

use super::{Checked, check};

fn checked(schema: &str, value: &str) -> Checked {
    check(&RawValue::from_string(schema.to_owned()).unwrap(), value)
}

#[test]
fn a_value_is_checked_against_its_schema() {
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;
    assert_eq!(checked(schema, r#"{"n":1}"#), Checked::Fine);
    let Checked::Wrong(why) = checked(schema, r#"{"n":"one"}"#) else { panic!() };
    assert_eq!(why, r#""one" is not of type "integer" (at /n)"#);
    assert!(matches!(checked(schema, "{"), Checked::Wrong(_)));
}

#[test]
fn a_schema_of_no_use_is_no_reason_to_fail() {
    for schema in [
        r#"{"type":"objct"}"#,
        r#"{"$ref":"http://127.0.0.1:9/schema"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r##"{"$ref":"#/$defs/missing"}"##,
        r#"{"properties":{"a":{"pattern":"("}}}"#,
        "7",
    ] {
        assert_eq!(checked(schema, "{}"), Checked::Unchecked, "{schema}");
    }
}

#[test]
fn a_schema_that_leads_back_to_itself_is_no_trap() {
    for schema in [
        r##"{"$ref":"#"}"##,
        r##"{"allOf":[{"$ref":"#"},{"$ref":"#"}]}"##,
        r##"{"anyOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#/$defs/b"}},"b":{"oneOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/b"}]}}}"##,
        r##"{"$dynamicRef":"#x","$dynamicAnchor":"x"}"##,
    ] {
        assert_eq!(checked(schema, r#"{"a":{"b":1}}"#), Checked::Unchecked, "{schema}");
    }
    let tree = r##"{"type":"object","properties":{"of":{"type":"array","items":{"$ref":"#"}}}}"##;
    assert_eq!(checked(tree, r#"{"of":[{"of":[{}]}]}"#), Checked::Fine);
    assert!(matches!(checked(tree, r#"{"of":[{"of":[1]}]}"#), Checked::Wrong(_)));
}

#[test]
fn a_schema_that_doubles_at_each_step_is_not_tried() {
    let mut defs = String::from(r#""d0":{"type":"object"}"#);
    for n in 1..40 {
        let before = n - 1;
        defs += &format!(
            r##","d{n}":{{"allOf":[{{"$ref":"#/$defs/d{before}"}},{{"$ref":"#/$defs/d{before}"}}]}}"##
        );
    }
    let schema = format!(r##"{{"$ref":"#/$defs/d39","$defs":{{{defs}}}}}"##);
    assert_eq!(checked(&schema, "{}"), Checked::Unchecked);
    let twice = r##"{"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}"##;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    assert_eq!(checked(twice, &deep), Checked::Unchecked);
}

#[test]
fn a_schema_that_leads_on_and_on_does_not_exhaust_the_stack() {
    let mut defs = String::from(r#""d0":{"type":"object"}"#);
    for n in 1..20_000 {
        defs += &format!(r##","d{n}":{{"$ref":"#/$defs/d{}"}}"##, n - 1);
    }
    let schema = format!(r##"{{"$ref":"#/$defs/d19999","$defs":{{{defs}}}}}"##);
    assert_eq!(checked(&schema, "{}"), Checked::Unchecked);
}
