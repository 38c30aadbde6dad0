//! Bodies and messages that are held up to a limit.

/// Appends what fits below `limit`; says whether that was all. No more than `limit` is ever allocated for it.
pub(crate) fn append(body: &mut Vec<u8>, chunk: &[u8], limit: usize) -> bool {
    let fits = make_room(body, chunk.len(), limit);
    body.extend_from_slice(chunk.get(..fits).unwrap_or_default());
    fits == chunk.len()
}

/// Makes room for what fits of `more` bytes below `limit`; says how many these are.
pub(crate) fn make_room(body: &mut Vec<u8>, more: usize, limit: usize) -> usize {
    let fits = more.min(limit.saturating_sub(body.len()));
    let needed = body.len() + fits;
    if needed > body.capacity() {
        let capacity = needed.max(body.capacity().saturating_mul(2)).min(limit);
        body.reserve_exact(capacity - body.len());
    }
    fits
}

/// Adds to a list that has one entry in most exchanges, of which there may be thousands: a list that grows by itself has
/// room for four.
pub(crate) fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(entry);
}
