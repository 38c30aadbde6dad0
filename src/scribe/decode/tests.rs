use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

/// A writer that encodes, and can be flushed.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zlib(ZlibEncoder<Vec<u8>>),
    Deflate(DeflateEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

const ENCODINGS: [&str; 5] = ["gzip", "deflate", "deflate raw", "br", "zstd"];

impl Encoder {
    fn of(name: &str) -> Self {
        match name {
            "gzip" | "x-gzip" => Self::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            "deflate" => Self::Zlib(ZlibEncoder::new(Vec::new(), Compression::default())),
            "deflate raw" => Self::Deflate(DeflateEncoder::new(Vec::new(), Compression::default())),
            "br" => Self::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22))),
            "zstd" => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap()),
            other => panic!("{other}"),
        }
    }

    fn write_flushed(&mut self, piece: &[u8]) {
        let writer: &mut dyn Write = match self {
            Self::Gzip(writer) => writer,
            Self::Zlib(writer) => writer,
            Self::Deflate(writer) => writer,
            Self::Brotli(writer) => writer,
            Self::Zstd(writer) => writer,
        };
        writer.write_all(piece).unwrap();
        writer.flush().unwrap();
    }

    /// What was written so far.
    fn so_far(&self) -> &[u8] {
        match self {
            Self::Gzip(writer) => writer.get_ref(),
            Self::Zlib(writer) => writer.get_ref(),
            Self::Deflate(writer) => writer.get_ref(),
            Self::Brotli(writer) => writer.get_ref(),
            Self::Zstd(writer) => writer.get_ref(),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(writer) => writer.finish().unwrap(),
            Self::Zlib(writer) => writer.finish().unwrap(),
            Self::Deflate(writer) => writer.finish().unwrap(),
            Self::Brotli(writer) => writer.into_inner(),
            Self::Zstd(writer) => writer.finish().unwrap(),
        }
    }
}

fn encode(name: &str, plain: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::of(name);
    encoder.write_flushed(plain);
    encoder.finish()
}

fn decoder(name: &str) -> Decoder {
    let name = name.split(' ').next().unwrap();
    Decoder::of([name.as_bytes()].into_iter(), LIMIT).unwrap().unwrap()
}

fn decode<'a>(
    mut decoder: Decoder,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<(), DecodeError>) {
    let mut plain = Vec::new();
    for chunk in chunks {
        let _ = decoder.decode(chunk, &mut |piece| {
            assert!(piece.len() <= 64 * 1024);
            plain.extend_from_slice(piece);
        });
    }
    (plain, decoder.finish())
}

#[test]
fn what_is_flushed_is_there_at_once_byte_by_byte() {
    for name in ENCODINGS {
        let mut encoder = Encoder::of(name);
        let mut decoder = decoder(name);
        let mut plain = Vec::new();
        let mut read = 0;
        for event in ["data: {\"a\": 1}\n\n", "data: {\"a\": 2}\n\n", "x", "data: [DONE]\n\n"] {
            encoder.write_flushed(event.as_bytes());
            let before = plain.len();
            for byte in encoder.so_far()[read..].chunks(1) {
                decoder.decode(byte, &mut |piece| plain.extend_from_slice(piece)).unwrap();
            }
            read = encoder.so_far().len();
            assert_eq!(&plain[before..], event.as_bytes(), "{name}");
        }
        let whole = encoder.finish();
        decoder.decode(&whole[read..], &mut |piece| plain.extend_from_slice(piece)).unwrap();
        assert_eq!(decoder.finish(), Ok(()), "{name}");
    }
}

#[test]
fn bodies_one_behind_another_are_one_body() {
    for name in ["gzip", "zstd"] {
        let both = [encode(name, b"one, "), encode(name, b"two")].concat();
        assert_eq!(decode(decoder(name), [&*both]), (b"one, two".to_vec(), Ok(())), "{name}");
        assert_eq!(decode(decoder(name), both.chunks(1)), (b"one, two".to_vec(), Ok(())), "{name}");
    }
}

#[test]
fn what_stands_behind_the_end_is_ignored() {
    for name in ["gzip", "deflate", "deflate raw", "br"] {
        let padded = [encode(name, b"text"), vec![0; 9]].concat();
        assert_eq!(decode(decoder(name), [&*padded]), (b"text".to_vec(), Ok(())), "{name}");
        assert_eq!(decode(decoder(name), padded.chunks(1)), (b"text".to_vec(), Ok(())), "{name}");
    }
}

#[test]
fn several_encodings_are_undone_in_turn() {
    let body = encode("zstd", &encode("br", &encode("gzip", b"said")));
    let values: [&[u8]; 2] = [b"GZIP, br", b" identity ,zstd"];
    let decoder = Decoder::of(values.into_iter(), LIMIT).unwrap().unwrap();
    assert_eq!(decode(decoder, body.chunks(3)), (b"said".to_vec(), Ok(())));
}

#[test]
fn a_body_without_encoding_needs_no_decoder() {
    for value in ["", "identity", " Identity , ", ","] {
        assert!(Decoder::of([value.as_bytes()].into_iter(), LIMIT).unwrap().is_none());
    }
    assert!(Decoder::of(std::iter::empty(), LIMIT).unwrap().is_none());
}

#[test]
fn an_unknown_encoding_is_named() {
    for (value, name) in
        [("gzip, Compress", "compress"), ("aws-chunked", "aws-chunked"), ("br;q=1", "br;q=1")]
    {
        let refused = Decoder::of([value.as_bytes()].into_iter(), LIMIT).err();
        assert_eq!(refused, Some(UnknownEncoding(name.to_owned())));
    }
    assert!(Decoder::of([&b"gzip,gzip,gzip,gzip,gzip"[..]].into_iter(), LIMIT).is_err());
}

#[test]
fn a_body_of_nothing_is_whole() {
    for name in ENCODINGS {
        assert_eq!(decode(decoder(name), []), (Vec::new(), Ok(())));
        assert_eq!(decode(decoder(name), [&b""[..]]), (Vec::new(), Ok(())));
    }
}

#[test]
fn a_body_that_ends_early_gives_what_it_had() {
    for name in ENCODINGS {
        let mut encoder = Encoder::of(name);
        encoder.write_flushed(b"first, ");
        let flushed = encoder.so_far().to_vec();
        assert_eq!(
            decode(decoder(name), [&*flushed]),
            (b"first, ".to_vec(), Err(DecodeError::Truncated)),
            "{name}"
        );
    }
}

#[test]
fn a_broken_body_gives_what_came_before() {
    for name in ENCODINGS {
        let mut encoder = Encoder::of(name);
        encoder.write_flushed(b"first, ");
        let (plain, end) = decode(decoder(name), [encoder.so_far(), &[0xff; 64]]);
        assert!(plain.starts_with(b"first, "), "{name}");
        assert!(end.is_err(), "{name}");
    }
    assert_eq!(decode(decoder("gzip"), [&b"{\"not\": \"gzip\"}"[..]]).1, Err(DecodeError::Corrupt));
}

#[test]
fn a_bomb_is_given_up() {
    for name in ENCODINGS {
        let bomb = encode(name, &vec![0; 8 << 20]);
        let (plain, end) = decode(decoder(name), [&*bomb]);
        let allowed = LIMIT + 64 * bomb.len();
        assert!(plain.len() <= allowed, "{name}: {} of {} bytes", plain.len(), bomb.len());
        assert_eq!(end, Err(DecodeError::TooLarge), "{name}");
    }
    let twice = encode("gzip", &encode("gzip", &vec![0; 8 << 20]));
    let decoder = Decoder::of([&b"gzip, gzip"[..]].into_iter(), LIMIT).unwrap().unwrap();
    assert_eq!(decode(decoder, [&*twice]).1, Err(DecodeError::TooLarge));
}

#[test]
fn a_window_that_no_server_may_ask_for_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&[7; 1000]).unwrap();
    let body = encoder.finish().unwrap();
    assert_eq!(decode(decoder("zstd"), [&*body]).1, Err(DecodeError::Corrupt));
}

#[test]
fn text_that_compresses_well_is_no_bomb() {
    let event =
        |tokens| format!("data: {{\"choices\": [{{\"delta\": {{\"content\": \"la {tokens}\"}}}}]}}\n\n");
    let plain: String = (0..25_000).map(event).collect();
    for name in ENCODINGS {
        let body = encode(name, plain.as_bytes());
        let (decoded, end) = decode(decoder(name), body.chunks(1000));
        assert_eq!((decoded.len(), end), (plain.len(), Ok(())), "{name}: {}", body.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_it_is_cut_it_decodes_to_the_same(
        name in prop::sample::select(ENCODINGS.to_vec()),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        size in 1usize..200,
    ) {
        let mut encoder = Encoder::of(name);
        for piece in &pieces {
            encoder.write_flushed(piece);
        }
        let body = encoder.finish();
        prop_assert_eq!(decode(decoder(name), body.chunks(size)), (pieces.concat(), Ok(())));
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_grow(
        name in prop::sample::select(ENCODINGS.to_vec()),
        mut body in prop::collection::vec(any::<u8>(), 0..400),
        plain in prop::collection::vec(any::<u8>(), 0..400),
        spot in any::<prop::sample::Index>(),
        size in 1usize..50,
    ) {
        let limit = 1000;
        let one = |body: &[u8]| {
            let mut decoder = Decoder::of([name.split(' ').next().unwrap().as_bytes()].into_iter(), limit)
                .unwrap().unwrap();
            let mut plain = 0;
            for chunk in body.chunks(size) {
                let _ = decoder.decode(chunk, &mut |piece| plain += piece.len());
                assert!(decoder.held() < 40 << 20);
            }
            assert!(plain <= limit + 64 * body.len());
        };
        one(&body);
        // Nearly right is where mistakes hide.
        let mut nearly = encode(name, &plain);
        let at = spot.index(nearly.len());
        nearly[at] ^= 1 << (body.first().copied().unwrap_or(0) % 8);
        one(&nearly);
        body.splice(0..0, nearly);
        one(&body);
    }
}
