//! What a configuration may say.

use std::error::Error;
use std::path::Path;

use perimeter_recorder::message_logger::Settings;
use perimeter_recorder::{MessageLogger, OpenError};
use serde_json::json;

#[test]
fn the_defaults_are_those_of_the_predecessor() {
    let settings: Settings = serde_json::from_value(json!({})).unwrap();
    assert_eq!(settings.directory, Path::new("./message_logs"));
    assert_eq!(settings.filename, Path::new("message_log.jsonl"));
    assert!(settings.include_system_prompts && settings.include_metadata && settings.redact_credentials);
    assert_eq!((settings.buffer_size, settings.max_file_size, settings.backup_count), (10, 100_000_000, 5));
}

#[test]
fn a_size_is_a_number_or_words() {
    for (size, bytes) in
        [(json!(4096), 4096), (json!("64MiB"), 64 << 20), (json!("100MB"), 100_000_000), (json!(0), 0)]
    {
        let settings: Settings = serde_json::from_value(json!({"max_file_size": size})).unwrap();
        assert_eq!(settings.max_file_size, bytes);
    }
    let error = serde_json::from_value::<Settings>(json!({"max_file_size": "much"})).unwrap_err();
    assert!(error.to_string().contains("64MiB"), "{error}");
    assert!(serde_json::from_value::<Settings>(json!({"max_file_size": -1})).is_err());
}

#[test]
fn an_unknown_key_is_refused() {
    let error = serde_json::from_value::<Settings>(json!({"dirctory": "x"})).unwrap_err();
    assert!(error.to_string().contains("dirctory"), "{error}");
}

#[test]
fn what_cannot_be_opened_is_named_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "").unwrap();
    let error = MessageLogger::new(Settings { directory: in_the_way.join("logs"), ..Settings::default() })
        .unwrap_err();
    assert!(
        matches!(&error, OpenError::Directory { path, .. } if *path == in_the_way.join("logs")),
        "{error}"
    );
    assert!(error.source().is_some());

    std::fs::create_dir(folder.path().join("message_log.jsonl")).unwrap();
    let error = MessageLogger::new(Settings { directory: folder.path().to_owned(), ..Settings::default() })
        .unwrap_err();
    assert!(matches!(&error, OpenError::File { .. }), "{error}");
    assert!(error.to_string().contains("message_log.jsonl"), "{error}");
}
