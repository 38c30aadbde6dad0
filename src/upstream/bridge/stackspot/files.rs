//! Pictures and files: Stackspot takes them apart from the prompt, and knows them by an id from then on
//! (<https://ai.stackspot.com/docs/agents/agent-api/upload-files>).

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use http::header::AUTHORIZATION;
use lru::LruCache;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::ask::{Block, Source, Turn};
use super::super::{Failure, Kind};
use super::network::{Host, Network};
use super::refusal::{self, Remedy};
use super::token::Tokens;
use crate::config::BaseUrl;

/// How long a file is asked to be kept. Minutes.
const KEPT: u64 = 60;

/// How long its id is used: what is on its way when it ends should still find it.
const USED: Duration = Duration::from_secs(50 * 60);

/// Files whose ids are known at once.
const MOST: NonZeroUsize = NonZeroUsize::new(1000).expect("it is not zero");

/// How long one file may take on its way.
const BOUND: Duration = Duration::from_secs(120);

/// Brings files to Stackspot, each once.
#[derive(Debug)]
pub(super) struct Files {
    network: Network,
    host: Host,
    /// Whether files go over TLS only, as the service itself is reached.
    secure: bool,
    known: Mutex<LruCache<[u8; 32], (String, Instant)>>,
}

/// A file of a conversation.
struct File<'a> {
    media_type: &'a str,
    data: &'a str,
    title: Option<&'a str>,
}

/// Where a file is to go.
#[derive(Deserialize)]
struct Form {
    id: String,
    url: String,
    #[serde(default)]
    form: Map<String, Value>,
}

impl Files {
    /// Through the service at `host`, whose base is `base`.
    pub(super) fn new(network: Network, host: Host, base: &BaseUrl) -> Self {
        Self { network, host, secure: base.is_https(), known: Mutex::new(LruCache::new(MOST)) }
    }

    /// The ids of all files in `turns`, in their order, each once.
    pub(super) async fn ids(&self, turns: &[Turn], tokens: &Tokens) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        for file in turns.iter().flat_map(|turn| &turn.parts).flat_map(|part| files(&part.block)) {
            let bytes = STANDARD
                .decode(file.data.trim())
                .map_err(|_| Failure::new(Kind::Invalid, "a picture or file is not base64"))?;
            let id = self.id(&file, bytes.into(), tokens).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    async fn id(&self, file: &File<'_>, bytes: Bytes, tokens: &Tokens) -> Result<String, Failure> {
        let mut hash = [0; 32];
        hash.iter_mut().zip(digest(&SHA256, &bytes).as_ref()).for_each(|(to, from)| *to = *from);
        if let Some((id, until)) = self.lock().get(&hash)
            && Instant::now() < *until
        {
            return Ok(id.clone());
        }
        let began = Instant::now();
        let name = file.name(&hash);
        let form = self.form(&name, tokens).await?;
        self.post(&form, &name, file.media_type, &bytes).await?;
        self.lock().put(hash, (form.id.clone(), began + USED));
        Ok(form.id)
    }

    async fn form(&self, name: &str, tokens: &Tokens) -> Result<Form, Failure> {
        let body = json!({"file_name": name, "target_type": "CONTEXT", "expiration": KEPT}).to_string();
        let mut token = tokens.token().await?;
        let mut renewed = false;
        loop {
            let mut request =
                self.host.post("/v2/file-upload/form", "application/json", Bytes::from(body.clone()))?;
            request.headers_mut().insert(AUTHORIZATION, token.bearer()?);
            let response = self.host.ask(request, BOUND).await?;
            let status = response.status();
            if status.is_success() {
                return serde_json::from_slice(response.body())
                    .map_err(|_| Failure::new(Kind::Upstream, "Stackspot did not say where files go"));
            }
            if matches!(
                status,
                StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            ) {
                return Err(refused(format!(
                    "this Stackspot account takes no pictures and files ({status})"
                )));
            }
            let refusal = refusal::of_response(status, response.headers(), response.body(), "files");
            if refusal.remedy == Remedy::Token && !renewed {
                renewed = true;
                token = tokens.after(&token).await?;
                continue;
            }
            return Err(match refusal.remedy {
                Remedy::Wait(after) => refusal.failure.after(after.unwrap_or(Duration::from_secs(15))),
                _ => refusal.failure,
            });
        }
    }

    /// Posts to the form that Stackspot has opened for it at S3
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-UsingHTTPPOST.html>).
    async fn post(&self, form: &Form, name: &str, media_type: &str, bytes: &Bytes) -> Result<(), Failure> {
        let nowhere = || Failure::new(Kind::Upstream, "Stackspot named no place where files can go");
        let place = BaseUrl::parse(&form.url).map_err(|_| nowhere())?;
        if self.secure && !place.is_https() {
            return Err(nowhere());
        }
        let host = self.network.host(&place).map_err(|_| nowhere())?;
        let boundary = format!("perimeter-{}", super::random_name());
        let body = multipart(&form.form, &boundary, name, media_type, bytes);
        let request = host.post("/", &format!("multipart/form-data; boundary={boundary}"), body)?;
        let status = host.ask(request, BOUND).await?.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Upstream,
            format!("a picture or file could not be brought to Stackspot ({status})"),
        ))
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<[u8; 32], (String, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File<'_> {
    /// A name that tells what it is; nothing in it can end the header it stands in.
    fn name(&self, hash: &[u8; 32]) -> String {
        let harmless = |c: char| if c.is_alphanumeric() || "-_. ()".contains(c) { c } else { '_' };
        let title: String = self.title.unwrap_or_default().chars().take(100).map(harmless).collect();
        let ending = ending(self.media_type);
        match title.trim() {
            "" => {
                let [a, b, c, d, ..] = hash;
                format!("file-{a:02x}{b:02x}{c:02x}{d:02x}.{ending}")
            }
            title if title.contains('.') => title.to_owned(),
            title => format!("{title}.{ending}"),
        }
    }
}

/// A picture or file that is somewhere else.
pub(super) fn elsewhere(turns: &[Turn]) -> bool {
    fn is_url(block: &Block) -> bool {
        match block {
            Block::Image(Source::Url(_)) | Block::Document { source: Source::Url(_), .. } => true,
            Block::ToolResult { content, .. } => content.iter().any(is_url),
            _ => false,
        }
    }
    turns.iter().flat_map(|turn| &turn.parts).any(|part| is_url(&part.block))
}

/// Whether there is a picture or file that would have to be brought to Stackspot.
pub(super) fn any(turns: &[Turn]) -> bool {
    turns.iter().flat_map(|turn| &turn.parts).any(|part| !files(&part.block).is_empty())
}

/// What cannot be taken.
pub(super) fn refused(message: impl Into<String>) -> Failure {
    Failure { param: Some("messages".into()), ..Failure::new(Kind::UnsupportedContent, message) }
}

fn files(block: &Block) -> Vec<File<'_>> {
    match block {
        Block::Image(Source::Base64 { media_type, data }) => vec![File { media_type, data, title: None }],
        Block::Document { source: Source::Base64 { media_type, data }, title } => {
            vec![File { media_type, data, title: title.as_deref() }]
        }
        Block::ToolResult { content, .. } => content.iter().flat_map(files).collect(),
        _ => Vec::new(),
    }
}

fn ending(media_type: &str) -> &'static str {
    match media_type {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        "application/pdf" => "pdf",
        "application/json" => "json",
        "text/csv" => "csv",
        "text/markdown" => "md",
        text if text.starts_with("text/") => "txt",
        _ => "bin",
    }
}

/// RFC 7578. The file comes last: S3 ignores what follows it.
fn multipart(
    fields: &Map<String, Value>,
    boundary: &str,
    name: &str,
    media_type: &str,
    bytes: &Bytes,
) -> Bytes {
    let mut body = Vec::with_capacity(bytes.len() + 4096);
    for (key, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(head.as_bytes());
    }
    // It stands in a header: a client wrote it.
    let visible = media_type.bytes().all(|byte| byte.is_ascii_graphic());
    let media_type = if visible { media_type } else { "application/octet-stream" };
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: {media_type}\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_name_that_tells_what_it_is_and_nothing_else() {
        let name = |media_type, title| File { media_type, data: "", title }.name(&[0xab; 32]);
        assert_eq!(name("image/png", None), "file-abababab.png");
        assert_eq!(name("application/pdf", Some("My report")), "My report.pdf");
        assert_eq!(name("application/pdf", Some("a\"\r\nX: y.pdf")), "a___X_ y.pdf");
        assert_eq!(name("x/y", Some(" ")), "file-abababab.bin");
    }

    #[test]
    fn a_form_is_written_with_the_file_last() {
        let fields = [("key".to_owned(), json!("k/1"))].into_iter().collect();
        let body = multipart(&fields, "B", "a.png", "image/png", &Bytes::from_static(b"\x89PNG"));
        let expected: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk/1\r\n\
            --B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\
            Content-Type: image/png\r\n\r\n\x89PNG\r\n--B--\r\n";
        assert_eq!(body, expected);
    }
}
