use super::*;

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn picture(url: &str) -> Value {
    let content =
        json!([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
    json!({"model": "stackspot-chat", "messages": [{"role": "user", "content": content}]})
}

#[test]
fn a_picture_is_brought_to_stackspot_once() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let question = picture(&format!("data:image/png;base64,{PIXEL}"));
    for _ in 0..2 {
        assert_eq!(chat(&proxy, &question).text(), "Hello there.");
    }
    let asked = spot.asked();
    let at = |path: &str| asked.iter().filter(|asked| asked.path == path).collect::<Vec<_>>();
    let [form] = at("/v2/file-upload/form")[..] else { panic!("one form: {asked:?}") };
    let form = form.json();
    assert_eq!((&form["target_type"], &form["expiration"]), (&json!("CONTEXT"), &json!(60)));
    assert!(form["file_name"].as_str().unwrap().ends_with(".png"));
    let [upload] = at("/s3/")[..] else { panic!("one upload: {asked:?}") };
    assert_eq!(upload.header("authorization"), None, "S3 is shown no token");
    let body = upload.text();
    assert!(
        body.contains("name=\"key\"\r\n\r\nk/upload-1\r\n") && body.contains("name=\"file\"; filename="),
        "{body}"
    );
    assert!(upload.body.windows(4).any(|bytes| bytes == b"\x89PNG"));
    for chat in spot.chats() {
        assert_eq!(chat.json()["upload_ids"], json!(["upload-1"]));
        assert!(!chat.prompt().contains(PIXEL));
    }
}

#[test]
fn what_cannot_be_brought_there_is_refused() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let error = chat(&proxy, &picture("https://example.com/a.png")).error();
    assert_eq!((error.0, error.1.as_str()), (400, "unsupported_content"));
    for status in [403, 404] {
        spot.refuse_uploads(status);
        let error = chat(&proxy, &picture(&format!("data:image/png;base64,{PIXEL}"))).error();
        assert_eq!((error.0, error.1.as_str()), (400, "unsupported_content"), "{}", error.2);
    }
    assert_eq!(spot.chats().len(), 0);
}
