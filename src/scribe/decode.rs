//! Content encodings undone, on the copy that is observed: whatever a body holds, traffic does not notice.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// How many bytes a byte of a body may become, beside the limit: more is a bomb. Deflate can reach 1,032, but no
/// text that anybody wrote does.
const EXPANSION: u64 = 64;

/// What is handed on at once, at most.
const PIECE: usize = 16 * 1024;

/// How many encodings a body may have, one around another. Servers apply one.
const MOST_LAYERS: usize = 4;

/// The window of zstd that a content encoding may ask for: 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// About what zlib's state and window take.
const INFLATE: usize = 48 * 1024;

/// A content encoding that is not known: the body is opaque.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content encoding {0:?} is not known")]
pub(crate) struct UnknownEncoding(pub(crate) String);

/// Why a body could not be decoded further. What was decoded of earlier pieces stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It is not what its content encoding says.
    #[error("the body is not encoded as its content encoding says")]
    Corrupt,
    /// It ended too early.
    #[error("the encoded body ended too early")]
    Truncated,
    /// It grows beyond all measure.
    #[error("the body grows too large when it is decoded")]
    TooLarge,
}

/// Decodes a body that comes in pieces. What was flushed by its writer is there at once.
pub(crate) struct Decoder {
    /// The outermost encoding first.
    layers: Vec<Layer>,
    limit: u64,
    input: u64,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder for the values of `Content-Encoding`; none where the body is not encoded. The output may be `limit`
    /// bytes and 64 for each byte of input.
    ///
    /// # Errors
    /// One of the encodings is not known.
    pub(crate) fn of<'a>(
        encodings: impl Iterator<Item = &'a [u8]>,
        limit: usize,
    ) -> Result<Option<Self>, UnknownEncoding> {
        let mut layers = Vec::new();
        for name in encodings.flat_map(|value| value.split(|byte| *byte == b',')) {
            let name = name.trim_ascii().to_ascii_lowercase();
            let Some(codec) = Codec::of(&name)? else { continue };
            if layers.len() == MOST_LAYERS {
                return Err(unknown(&name));
            }
            layers.push(Layer { codec, began: false, ended: false, output: 0 });
        }
        // They are listed in the order in which they were applied.
        layers.reverse();
        let decoder = Self { layers, limit: limit as u64, input: 0, failed: None };
        Ok((!decoder.layers.is_empty()).then_some(decoder))
    }

    /// Decodes what came next, and gives it to `tell` in pieces of at most 64 KiB.
    ///
    /// # Errors
    /// It cannot be decoded. Nothing is, from then on.
    pub(crate) fn decode(&mut self, chunk: &[u8], tell: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.input = self.input.saturating_add(chunk.len() as u64);
        let allowed = self.input.saturating_mul(EXPANSION).saturating_add(self.limit);
        let decoded = run(&mut self.layers, chunk, allowed, tell);
        self.failed = decoded.err();
        decoded
    }

    /// Says whether the body was whole.
    ///
    /// # Errors
    /// It was not.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.failed {
            Some(error) => Err(error),
            // A body of nothing is what a HEAD and a 304 have.
            None if self.layers.iter().any(|layer| layer.began && !layer.ended) => {
                Err(DecodeError::Truncated)
            }
            None => Ok(()),
        }
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.layers.iter().map(|layer| layer.codec.held()).sum()
    }
}

fn run(
    layers: &mut [Layer],
    mut input: &[u8],
    allowed: u64,
    tell: &mut dyn FnMut(&[u8]),
) -> Result<(), DecodeError> {
    let Some((layer, inner)) = layers.split_first_mut() else {
        tell(input);
        return Ok(());
    };
    let mut piece = [0; PIECE];
    layer.began |= !input.is_empty();
    loop {
        let step = layer.step(input, &mut piece)?;
        input = input.get(step.read..).unwrap_or_default();
        let output = piece.get(..step.wrote).unwrap_or_default();
        layer.output = layer.output.saturating_add(output.len() as u64);
        if layer.output > allowed {
            return Err(DecodeError::TooLarge);
        }
        if !output.is_empty() {
            run(inner, output, allowed, tell)?;
        }
        if input.is_empty() && step.wrote < PIECE {
            return Ok(());
        }
        if step.read == 0 && step.wrote == 0 {
            // What stands behind the end is ignored, as clients do.
            return if layer.ended || input.is_empty() { Ok(()) } else { Err(DecodeError::Corrupt) };
        }
    }
}

/// One encoding of a body.
struct Layer {
    codec: Codec,
    began: bool,
    ended: bool,
    output: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Step {
    read: usize,
    wrote: usize,
}

impl Layer {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, DecodeError> {
        if self.ended && !self.codec.begins_anew(input) {
            return Ok(Step::default());
        }
        let (step, ended) = self.codec.step(input, output)?;
        self.ended = ended;
        Ok(step)
    }
}

enum Codec {
    Gzip(Box<Decompress>),
    /// Not known yet whether with zlib's head, as it should be, or without, as some send it.
    Deflate,
    Inflate(Box<Decompress>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(DCtx<'static>),
}

impl Codec {
    fn of(name: &[u8]) -> Result<Option<Self>, UnknownEncoding> {
        let codec = match name {
            b"" | b"identity" => return Ok(None),
            b"gzip" | b"x-gzip" => Self::Gzip(gzip()),
            b"deflate" => Self::Deflate,
            b"br" => {
                let alloc = StandardAlloc::default;
                // Strict: without the large windows that no content encoding has.
                Self::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())))
            }
            b"zstd" => {
                let mut context = DCtx::try_create().ok_or_else(|| unknown(name))?;
                context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).map_err(|_| unknown(name))?;
                Self::Zstd(context)
            }
            other => return Err(unknown(other)),
        };
        Ok(Some(codec))
    }

    /// Whether `input`, behind an end, is the beginning of another such body. Then it is ready to read it.
    fn begins_anew(&mut self, input: &[u8]) -> bool {
        match self {
            Self::Gzip(state) if input.first() == Some(&0x1f) => {
                *state = gzip();
                true
            }
            Self::Zstd(_) => !input.is_empty(),
            _ => false,
        }
    }

    /// Reads and writes what it can; says whether the body is at its end.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Step, bool), DecodeError> {
        match self {
            Self::Deflate => {
                let Some(first) = input.first() else { return Ok((Step::default(), false)) };
                // zlib's method is 8, its window at most 7; a block of bare deflate hardly begins like that.
                let has_head = first & 0x0f == 8 && first >> 4 <= 7;
                *self = Self::Inflate(Box::new(Decompress::new(has_head)));
                self.step(input, output)
            }
            Self::Gzip(state) | Self::Inflate(state) => inflate(state, input, output),
            Self::Brotli(state) => unbrotli(state, input, output),
            Self::Zstd(context) => {
                let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
                let hint = context.decompress_stream(&mut to, &mut from).map_err(|_| DecodeError::Corrupt)?;
                Ok((Step { read: from.pos(), wrote: to.pos() }, hint == 0))
            }
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Deflate => 0,
            Self::Gzip(_) | Self::Inflate(_) => INFLATE,
            Self::Brotli(state) => {
                size_of_val(&**state) + usize::try_from(state.ringbuffer_size).unwrap_or_default()
            }
            Self::Zstd(context) => context.sizeof(),
        }
    }
}

fn gzip() -> Box<Decompress> {
    Box::new(Decompress::new_gzip(15))
}

fn unknown(name: &[u8]) -> UnknownEncoding {
    UnknownEncoding(String::from_utf8_lossy(name).into_owned())
}

fn inflate(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<(Step, bool), DecodeError> {
    let (read, wrote) = (state.total_in(), state.total_out());
    let status = state.decompress(input, output, FlushDecompress::None).map_err(|_| DecodeError::Corrupt)?;
    let step = Step { read: (state.total_in() - read) as usize, wrote: (state.total_out() - wrote) as usize };
    Ok((step, status == Status::StreamEnd))
}

fn unbrotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Step, bool), DecodeError> {
    let (mut left, mut room) = (input.len(), output.len());
    let mut step = Step::default();
    let result = BrotliDecompressStream(
        &mut left,
        &mut step.read,
        input,
        &mut room,
        &mut step.wrote,
        output,
        &mut 0,
        state,
    );
    match result {
        BrotliResult::ResultSuccess => Ok((step, true)),
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok((step, false)),
        BrotliResult::ResultFailure => Err(DecodeError::Corrupt),
    }
}

#[cfg(test)]
mod tests;
