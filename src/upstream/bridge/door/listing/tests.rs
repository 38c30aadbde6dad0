use http::HeaderValue;

use super::*;
use crate::upstream::bridge::model::Abilities;

fn models() -> Models {
    let model = |id: &str, aliases: &[&str]| Model {
        id: id.to_owned(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        display_name: id.to_uppercase(),
        owned_by: "stackspot",
        context: Some(1000),
        max_output: None,
        can: Abilities { tools: true, ..Abilities::default() },
    };
    Models::new(vec![model("opus", &["big", "best"]), model("qc/fix it", &[]), model("haiku", &[])])
}

fn ours(path: &str) -> Option<Result<Value, Failure>> {
    answer(&HeaderMap::new(), &path.parse().unwrap(), &models())
}

fn theirs(path: &str) -> Result<Value, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    answer(&headers, &path.parse().unwrap(), &models()).unwrap()
}

#[test]
fn the_list_is_as_openai_lists() {
    for path in ["/v1/models", "/models", "/v1/models/", "/v1/models?x=y"] {
        let list = ours(path).unwrap().unwrap();
        assert_eq!(list["object"], "list");
        assert_eq!(list["data"].as_array().unwrap().len(), 3);
    }
    insta::assert_snapshot!(format!("{:#}", ours("/v1/models").unwrap().unwrap()["data"][0]));
}

#[test]
fn other_paths_are_of_no_concern() {
    for path in ["/v1/modelsx", "/v1/chat/completions", "/", "/v2/models", "/v1"] {
        assert!(ours(path).is_none(), "{path}");
    }
}

#[test]
fn a_model_is_found_by_its_id_or_alias_whatever_is_in_it() {
    for (path, id) in
        [("opus", "opus"), ("best", "opus"), ("qc/fix%20it", "qc/fix it"), ("qc%2Ffix%20it", "qc/fix it")]
    {
        let model = ours(&format!("/v1/models/{path}")).unwrap().unwrap();
        assert_eq!(model["id"], id);
        assert_eq!(theirs(&format!("/v1/models/{path}")).unwrap()["id"], id);
    }
}

#[test]
fn an_unknown_model_is_not_found_and_the_nearest_are_named() {
    for name in ["opsu", "%ff%00", "a/b"] {
        let failure = ours(&format!("/v1/models/{name}")).unwrap().unwrap_err();
        assert_eq!((failure.kind, failure.param.as_deref()), (Kind::UnknownModel, Some("model")));
    }
    let failure = ours("/v1/models/opsu").unwrap().unwrap_err();
    assert_eq!(failure.message, "the model `opsu` does not exist here; the nearest: opus, best, haiku");
}

#[test]
fn who_speaks_anthropics_api_gets_their_shape() {
    insta::assert_snapshot!(format!("{:#}", theirs("/v1/models").unwrap()));
}

#[test]
fn anthropics_list_comes_in_pages() {
    let page = |query: &str| {
        let page = theirs(&format!("/v1/models?{query}")).unwrap();
        let ids: Vec<_> = page["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
        assert_eq!(page["first_id"], ids.first().cloned().unwrap_or_default());
        assert_eq!(page["last_id"], ids.last().cloned().unwrap_or_default());
        (ids, page["has_more"] == true)
    };
    let ids = |ids: &[&str]| ids.iter().map(|id| Value::from(*id)).collect::<Vec<_>>();
    assert_eq!(page("limit=2"), (ids(&["opus", "qc/fix it"]), true));
    assert_eq!(page("limit=2&after_id=qc%2Ffix+it"), (ids(&["haiku"]), false));
    assert_eq!(page("after_id=haiku"), (ids(&[]), false));
    assert_eq!(page("before_id=haiku&limit=1"), (ids(&["qc/fix it"]), true));
    assert_eq!(page("before_id=opus"), (ids(&[]), false));
}

#[test]
fn a_page_that_cannot_be_is_refused() {
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("after_id=nobody", "after_id"),
        ("after_id=opus&before_id=opus", "before_id"),
    ] {
        let failure = theirs(&format!("/v1/models?{query}")).unwrap_err();
        assert_eq!((failure.kind, failure.param.as_deref()), (Kind::Invalid, Some(param)));
    }
}
