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
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let Some(code) = untouched_code(&maps, here) else { return };
    #[expect(unsafe_code, reason = "there is no safe way; see above for what it is worth")]
    // SAFETY: none of these pages is other than in its file, and nobody can write to them: they come back as they are.
    let gone = unsafe {
        let start = std::ptr::with_exposed_provenance_mut(code.start);
        madvise(start, code.len(), Advice::LinuxDontNeed)
    };
    // Where it fails (memory that is locked, for example) all stays as it is.
    let _ = gone;
}

/// Where the code around `here` is, as `/proc/self/smaps` has it (proc_pid_smaps(5)): private, not to be written to, out
/// of a file, and not changed since, as by relocations or a debugger.
#[cfg(target_os = "linux")]
fn untouched_code(maps: &str, here: usize) -> Option<std::ops::Range<usize>> {
    let mut lines = maps.lines();
    let code = lines.by_ref().filter_map(code).find(|code| code.contains(&here))?;
    let changed = lines.find_map(|line| line.strip_prefix("Anonymous:"))?;
    (changed.trim() == "0 kB").then_some(code)
}

/// Where code is, if that is what a line tells of.
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
        let maps = |kib| {
            format!(
                "1000-2000 r--p 00000000 fe:00 7 /bin/x\nAnonymous:             4 kB\n\
                 2000-4000 r-xp 00001000 fe:00 7 /bin/x\nRss:  8 kB\nAnonymous:             {kib} kB\n\
                 4000-5000 r-xp 00003000 fe:00 8 /lib/y\nAnonymous:             0 kB\n"
            )
        };
        assert_eq!(untouched_code(&maps(0), 0x2fff), Some(0x2000..0x4000));
        assert_eq!(untouched_code(&maps(4), 0x2fff), None);
        assert_eq!(untouched_code(&maps(0), 0x1000), None);
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
