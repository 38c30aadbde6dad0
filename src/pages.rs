//! Memory that is held and not used.

use tokio::io::ReadBuf;

/// Gives the whole pages back to the system in which nothing of `buf` was filled. Whoever writes there gets them anew,
/// one by one.
#[cfg(target_os = "linux")]
pub(crate) fn give_back(buf: &mut ReadBuf<'_>) {
    use rustix::mm::{Advice, madvise};
    let page = rustix::param::page_size();
    #[expect(
        unsafe_code,
        reason = "hyper's buffers cannot be made smaller, and they hold 4 KiB and more of each stream"
    )]
    // SAFETY: the bytes are ours alone and hold nothing. What is given back reads as zeros, so what was initialized
    // still is.
    let given = unsafe {
        let spare = buf.unfilled_mut();
        let front = spare.as_ptr().align_offset(page).min(spare.len());
        let pages = &mut spare[front..];
        madvise(pages.as_mut_ptr().cast(), pages.len() - pages.len() % page, Advice::LinuxDontNeed)
    };
    // Where it fails (memory that is locked, for example) all stays as it is.
    let _ = given;
}

/// Elsewhere memory stays as it is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn give_back(_: &mut ReadBuf<'_>) {}

/// Lets go of the program's own code, most of which only the start needed: with each page that was used the system
/// mapped those around it. What is needed again is mapped again, out of its file.
#[cfg(target_os = "linux")]
pub(crate) fn let_go_of_the_start() {
    use rustix::mm::{Advice, madvise};
    let here = (let_go_of_the_start as fn() as *const ()).addr();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(code) = maps.lines().filter_map(code).find(|code| code.contains(&here)) else { return };
    #[expect(unsafe_code, reason = "there is no safe way; see above for what it is worth")]
    // SAFETY: these pages are a file's and nobody can write to them, so that they come back as they are.
    let gone = unsafe {
        let start = std::ptr::with_exposed_provenance_mut(code.start);
        madvise(start, code.len(), Advice::LinuxDontNeed)
    };
    // Where it fails (memory that is locked, for example) all stays as it is.
    let _ = gone;
}

/// Where code is, if that is what a line of `/proc/self/maps` tells of (proc_pid_maps(5)): private, not to be written to,
/// and out of a file.
#[cfg(target_os = "linux")]
fn code(line: &str) -> Option<std::ops::Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next() == Some("r-xp") && fields.nth(2).is_some_and(|inode| inode != "0");
    let address = |text| usize::from_str_radix(text, 16).ok();
    is_code.then_some(address(start)?..address(end)?)
}

/// Elsewhere it stays.
#[cfg(not(target_os = "linux"))]
pub(crate) fn let_go_of_the_start() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn code_is_what_is_run_out_of_a_file() {
        let line = |fields: &str| code(&format!("5607b344b000-5607b3450000 {fields}"));
        assert_eq!(line("r-xp 00002000 fe:00 247030   /usr/bin/cat"), Some(0x5607b344b000..0x5607b3450000));
        for other in [
            "r--p 00002000 fe:00 247030 /usr/bin/cat",
            "rwxp 00002000 fe:00 247030 /usr/bin/cat",
            "r-xp 00000000 00:00 0",
            "r-xp 00000000 00:00 0 [vdso]",
            "",
        ] {
            assert_eq!(line(other), None, "{other}");
        }
        let_go_of_the_start();
    }

    #[test]
    fn what_was_read_stays_and_the_rest_can_be_filled_as_before() {
        let mut room = vec![b'x'; 64 * 1024];
        let mut buf = ReadBuf::new(&mut room);
        buf.put_slice(&[b'a'; 5_000]);
        give_back(&mut buf);
        assert_eq!(buf.filled(), [b'a'; 5_000]);
        buf.put_slice(&[b'b'; 50_000]);
        assert_eq!(
            (&buf.filled()[..5_000], &buf.filled()[5_000..]),
            (&[b'a'; 5_000][..], &[b'b'; 50_000][..])
        );
        let mut short = [b'x'; 100];
        give_back(&mut ReadBuf::new(&mut short[..]));
        assert_eq!(short, [b'x'; 100]);
    }
}
