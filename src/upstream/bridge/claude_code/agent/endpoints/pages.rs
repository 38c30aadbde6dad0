//! Lists, page by page.

use serde::Serialize;
use serde_json::{Value, json};

use super::super::store::Page;
use crate::upstream::bridge::Failure;

/// Entries on a page, where the client does not say.
const SIZE: u32 = 20;
/// Entries on a page at most.
const MOST: u32 = 100;

/// What a client wants to see of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which part.
    pub page: Page,
    /// Of this project only.
    pub project: Option<String>,
}

impl Wanted {
    /// Reads `page`, `per_page` and `project_id`.
    ///
    /// # Errors
    /// Where a number is none, or there is no such page.
    pub(super) fn read(query: &str) -> Result<Self, Failure> {
        let mut wanted = Self { page: Page { number: 1, size: SIZE }, project: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "page" => wanted.page.number = number("page", value, u32::MAX)?,
                "per_page" => wanted.page.size = number("per_page", value, MOST)?,
                "project_id" => {
                    let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
                    wanted.project = Some(value.into_owned());
                }
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn number(name: &'static str, value: &str, most: u32) -> Result<u32, Failure> {
    let bad = || Failure::invalid(name, format!("{name} must be a number from 1 to {most}"));
    value.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(bad)
}

/// A page of a list that has `total` entries.
pub(super) fn page(data: &[impl Serialize], page: Page, total: u64) -> Value {
    let pages = total.div_ceil(u64::from(page.size.max(1)));
    json!({
        "data": data,
        "pagination": {
            "page": page.number,
            "per_page": page.size,
            "total_items": total,
            "total_pages": pages,
            "has_next": u64::from(page.number) < pages,
            "has_prev": page.number > 1,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_is_around_it() {
        let around = |number, size, total| {
            let page = page(&["x"], Page { number, size }, total);
            let pagination = &page["pagination"];
            (
                pagination["total_pages"].as_u64().unwrap(),
                pagination["has_prev"].as_bool().unwrap(),
                pagination["has_next"].as_bool().unwrap(),
            )
        };
        assert_eq!(around(1, 20, 0), (0, false, false));
        assert_eq!(around(1, 20, 20), (1, false, false));
        assert_eq!(around(1, 20, 21), (2, false, true));
        assert_eq!(around(2, 20, 21), (2, true, false));
        assert_eq!(around(7, 20, 21), (2, true, false));
    }

    #[test]
    fn a_query_says_which_part_is_wanted() {
        let wanted = Wanted::read("page=2&per_page=5&project_id=a%2Db&other=1").unwrap();
        assert_eq!(wanted, Wanted { page: Page { number: 2, size: 5 }, project: Some("a-b".to_owned()) });
        for (query, param) in
            [("page=0", "page"), ("per_page=101", "per_page"), ("page=x", "page"), ("page", "page")]
        {
            assert_eq!(Wanted::read(query).unwrap_err().param.as_deref(), Some(param), "{query}");
        }
    }
}
