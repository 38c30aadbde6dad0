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

#[cfg(test)]
mod tests {
    use super::*;

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
