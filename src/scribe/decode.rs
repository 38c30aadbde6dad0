//! Content codings, undone on the copy.

/// Undoes the codings of one body.
#[derive(Debug)]
pub(crate) struct Decoder;
impl Decoder {
    pub(crate) fn of<'a>(
        mut encodings: impl Iterator<Item = &'a [u8]>,
        _: usize,
    ) -> Result<Option<Self>, ()> {
        if encodings.all(|encoding| encoding == b"identity") { Ok(None) } else { Err(()) }
    }
    pub(crate) fn decode(&mut self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<(), ()> {
        Ok(())
    }
    pub(crate) fn finish(self, _: &mut dyn FnMut(&[u8])) -> Result<(), ()> {
        Ok(())
    }
}
