//! Pictures and files in requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::upstream::bridge::ask::{Block, Source};
use crate::upstream::bridge::{Failure, Kind};

/// Pictures that models see (<https://docs.claude.com/en/docs/build-with-claude/vision>).
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The picture behind `url`, which stands at `place`: a data URL, or one of the web.
///
/// # Errors
/// Where it is neither.
pub(super) fn picture_at(place: &str, url: &str) -> Result<Source, Failure> {
    match data_url(place, url)? {
        Some((media_type, data)) => picture(place, media_type, data),
        None => web(place, url),
    }
}

/// A picture in base64.
///
/// # Errors
/// Where it is not in base64, or not of a kind that models see.
pub(super) fn picture(place: &str, media_type: &str, data: &str) -> Result<Source, Failure> {
    let media_type = media_type.to_ascii_lowercase();
    let media_type = if media_type == "image/jpg" { "image/jpeg".to_owned() } else { media_type };
    if !PICTURES.contains(&media_type.as_str()) {
        let message = format!("a picture of type {media_type:?}; one of {} would do", PICTURES.join(", "));
        return Err(unsupported(place, &message));
    }
    check(place, data)?;
    Ok(Source::Base64 { media_type, data: data.to_owned() })
}

/// A file in base64. Text is decoded; a picture is a picture.
///
/// # Errors
/// Where it is not in base64, or text but not in UTF-8.
pub(super) fn file(
    place: &str,
    media_type: &str,
    data: &str,
    title: Option<String>,
) -> Result<Block, Failure> {
    let media_type = media_type.to_ascii_lowercase();
    if media_type.starts_with("image/") {
        return picture(place, &media_type, data).map(Block::Image);
    }
    if !media_type.starts_with("text/") && media_type != "application/json" {
        check(place, data)?;
        let source = Source::Base64 { media_type, data: data.to_owned() };
        return Ok(Block::Document { source, title });
    }
    let bytes = STANDARD.decode(data).map_err(|error| not_base64(place, &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| invalid(place, &format!("{media_type} that is not in UTF-8, which would be right")))?;
    Ok(Block::Document { source: Source::Text(text), title })
}

/// The file that `data` is: a data URL, or nothing but base64 with a name that tells what it is.
///
/// # Errors
/// As [`file`].
pub(super) fn file_at(place: &str, data: &str, name: Option<String>) -> Result<Block, Failure> {
    if let Some((media_type, data)) = data_url(place, data)? {
        return file(place, media_type, data, name);
    }
    let ending = name.as_deref().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    let media_type = match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("pdf") => "application/pdf",
        Some("txt" | "md" | "csv") => "text/plain",
        Some("json") => "application/json",
        _ => {
            let right =
                "a data URL (data:application/pdf;base64,…) would be right: nothing says what this is";
            return Err(invalid(place, right));
        }
    };
    file(place, media_type, data, name)
}

/// Where a picture or a file is on the web. Nobody here looks.
///
/// # Errors
/// Where it is elsewhere: on a disk, or nowhere.
pub(super) fn web(place: &str, url: &str) -> Result<Source, Failure> {
    let is_web = url.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme_str().is_some_and(|scheme| scheme == "https")
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_web {
        Ok(Source::Url(url.to_owned()))
    } else {
        Err(invalid(place, "a data URL (data:image/png;base64,…) or an https URL would be right"))
    }
}

/// The media type and the data of a data URL; none if `url` is another kind of URL.
fn data_url<'a>(place: &str, url: &'a str) -> Result<Option<(&'a str, &'a str)>, Failure> {
    let Some(prefix) = url.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("data:")) else {
        return Ok(None);
    };
    let (head, data) = url.get(prefix.len()..).and_then(|rest| rest.split_once(',')).ok_or_else(|| {
        invalid(place, "a data URL without a comma; data:image/png;base64,… would be right")
    })?;
    let mut parts = head.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !parts.any(|part| part.eq_ignore_ascii_case("base64")) {
        return Err(invalid(
            place,
            "a data URL that is not in base64; data:image/png;base64,… would be right",
        ));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "/+-._".contains(c);
    if !media_type.contains('/') || media_type.len() > 100 || !media_type.chars().all(is_name) {
        return Err(invalid(
            place,
            "a data URL without a media type; data:image/png;base64,… would be right",
        ));
    }
    Ok(Some((media_type, data)))
}

/// Decodes `data`, and keeps nothing of it.
fn check(place: &str, data: &str) -> Result<(), Failure> {
    if data.is_empty() {
        return Err(invalid(place, "empty; base64 would be right"));
    }
    let mut bytes = base64::read::DecoderReader::new(data.as_bytes(), &STANDARD);
    std::io::copy(&mut bytes, &mut std::io::sink()).map(drop).map_err(|error| not_base64(place, &error))
}

fn not_base64(place: &str, error: &dyn std::fmt::Display) -> Failure {
    invalid(place, &format!("base64 with padding and without line breaks would be right: {error}"))
}

fn invalid(place: &str, message: &str) -> Failure {
    Failure::invalid(place.to_owned(), format!("{place}: {message}"))
}

/// A failure: no backend takes content of this kind.
pub(super) fn unsupported(place: &str, message: &str) -> Failure {
    let kind = Kind::UnsupportedContent;
    Failure { param: Some(place.to_owned().into()), ..Failure::new(kind, format!("{place}: {message}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure<T: std::fmt::Debug>(result: Result<T, Failure>) -> (Kind, String) {
        let failure = result.unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("p"));
        (failure.kind, failure.message)
    }

    #[test]
    fn a_picture_is_a_data_url_or_on_the_web() {
        let source = picture_at("p", "data:image/JPG;base64,aGk=").unwrap();
        assert!(
            matches!(source, Source::Base64 { media_type, data } if media_type == "image/jpeg" && data == "aGk=")
        );
        let source = picture_at("p", "https://example.com/a.png").unwrap();
        assert!(matches!(source, Source::Url(url) if url == "https://example.com/a.png"));
        for wrong in [
            "file:///etc/passwd",
            "/etc/passwd",
            "http://",
            "https:///x",
            "",
            "ftp://a/b",
            "http://a/b",
            "dat",
        ] {
            assert_eq!(failure(picture_at("p", wrong)).0, Kind::Invalid, "{wrong}");
        }
    }

    #[test]
    fn base64_is_checked_at_the_door() {
        for wrong in ["", "a", "aGk", "aG k=", "aGk=\n", "aG!=", "====", "aGl="] {
            let url = format!("data:image/png;base64,{wrong}");
            let (kind, message) = failure(picture_at("p", &url));
            assert_eq!(kind, Kind::Invalid, "{wrong}");
            assert!(message.contains("base64"), "{message}");
        }
        let long = "QUJD".repeat(100_000);
        assert!(picture("p", "image/png", &long).is_ok());
        assert!(picture("p", "image/png", &format!("{long}#")).is_err());
    }

    #[test]
    fn data_urls_that_are_none_are_told_so() {
        for wrong in [
            "data:",
            "data:image/png;base64",
            "data:image/png,x",
            "data:;base64,aGk=",
            "data:a b/c;base64,aGk=",
        ] {
            assert_eq!(failure(picture_at("p", wrong)).0, Kind::Invalid, "{wrong}");
        }
        assert_eq!(failure(picture_at("p", "data:image/tiff;base64,aGk=")).0, Kind::UnsupportedContent);
    }

    #[test]
    fn files_are_text_pictures_or_bytes() {
        let text =
            file_at("p", "data:text/plain;charset=utf-8;base64,aGk=", Some("a.txt".to_owned())).unwrap();
        assert!(
            matches!(text, Block::Document { source: Source::Text(text), title: Some(_) } if text == "hi")
        );
        let pdf = file_at("p", "aGk=", Some("a.PDF".to_owned())).unwrap();
        assert!(matches!(pdf, Block::Document { source: Source::Base64 { media_type, .. }, .. }
            if media_type == "application/pdf"));
        assert!(matches!(file_at("p", "data:image/png;base64,aGk=", None).unwrap(), Block::Image(_)));
        assert_eq!(failure(file_at("p", "aGk=", None)).0, Kind::Invalid);
        assert_eq!(failure(file_at("p", "data:text/plain;base64,/w==", None)).0, Kind::Invalid);
    }
}
