use proptest::prelude::*;

use super::*;

/// What secrets are made of, whole ones among them.
const PIECES: [&str; 16] = [
    "sk-proj-",
    "aB3dE5gH7jK9mN1pQ3sT5vW7",
    "Bearer ",
    "-----BEGIN PRIVATE KEY-----\n",
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "\n-----END",
    "password",
    "\"password\": \"",
    "api_key=",
    "postgres://me:",
    "Secret1!",
    "@db/x",
    "eyJhbGciOiJIUzI1NiJ9.",
    "\\",
    "=",
    " :",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_has_no_secret_in_one_piece_has_none_in_halves(texts in prop::collection::vec(text(), 3)) {
        let [id, model, path] = [0, 1, 2].map(|at| serde_json::to_string(&texts[at]).unwrap());
        let start = format!("{{\"session_id\":{id},\"direction\":\"request\",\"request\":");
        let rest = format!(",\"model\":{model},\"metadata\":{{\"path\":{path}}}}}");
        let is_clean = |text: &str| matches!(redact(text), Cow::Borrowed(_));
        prop_assert_eq!(is_clean(&format!("{start}{rest}")), is_clean(&start) && is_clean(&rest));
    }
}
