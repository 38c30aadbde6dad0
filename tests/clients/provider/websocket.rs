//! The provider's side of a WebSocket: it greets, sends every message back, and closes when asked to.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Shared;
use super::request::Request;

/// The first bit of a frame: no further fragment follows.
const LAST: u8 = 0x80;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Accepts the upgrade and talks until the client closes. Each frame that comes is noted as a request
/// of its own, unmasked, so that both runs can be compared frame by frame.
pub(super) fn converse(
    request: &Request,
    reader: &mut BufReader<TcpStream>,
    stream: &mut TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    let accept = accept_key(request.header("sec-websocket-key").unwrap_or_default());
    let protocol = request
        .header("sec-websocket-protocol")
        .and_then(|offered| offered.split(',').next())
        .map_or_else(String::new, |chosen| format!("Sec-WebSocket-Protocol: {chosen}\r\n"));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}X-Mark: one\r\n\r\n"
    );
    // In one write with the head: what follows a 101 at once must not be lost on the way.
    let mut greeting = head.into_bytes();
    greeting.extend(frame(
        TEXT,
        b"{\"type\":\"session.created\",\"event_id\":\"event_1\",\"session\":{\"type\":\"realtime\"}}",
    ));
    request.answer.lock().unwrap().extend_from_slice(&greeting);
    stream.write_all(&greeting)?;
    let mut message = Vec::new();
    let mut kind = TEXT;
    loop {
        let (head, payload) = read_frame(reader)?;
        shared.lock().requests.push(note(head, &payload));
        let opcode = head & 0x0f;
        let control = opcode >= CLOSE;
        if !control {
            kind = if opcode == CONTINUATION { kind } else { opcode };
            message.extend_from_slice(&payload);
            if head & LAST == 0 {
                continue;
            }
        }
        let (opcode, payload) =
            if control { (opcode, payload) } else { (kind, std::mem::take(&mut message)) };
        match opcode {
            CLOSE => return stream.write_all(&frame(CLOSE, &payload)),
            PING => stream.write_all(&frame(PONG, &payload))?,
            PONG => {}
            opcode if payload == b"goodbye" => {
                stream.write_all(&frame(opcode, b"goodbye to you"))?;
                stream.write_all(&frame(CLOSE, &[&4001_u16.to_be_bytes()[..], b"as you wish"].concat()))?;
            }
            // Back in two fragments, so that the tunnel is seen to leave framing alone.
            TEXT if payload.len() > 1 => {
                let (first, second) = payload.split_at(payload.len() / 2);
                let mut both = frame(TEXT, first);
                both[0] &= !LAST;
                both.extend(frame(CONTINUATION, second));
                stream.write_all(&both)?;
            }
            opcode => stream.write_all(&frame(opcode, &payload))?,
        }
    }
}

fn note(head: u8, payload: &[u8]) -> Request {
    let line = format!("(frame {head:02x})");
    Request { line, fields: Vec::new(), body: payload.to_vec(), trailers: Vec::new(), answer: Arc::default() }
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![LAST | opcode];
    match u16::try_from(payload.len()) {
        Ok(length @ 0..126) => frame.push(length as u8),
        Ok(length) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// The first byte of a frame and its payload, unmasked.
fn read_frame(reader: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    reader.read_exact(&mut head)?;
    let length = match head[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes(read_array(reader)?)),
        127 => u64::from_be_bytes(read_array(reader)?),
        length => u64::from(length),
    };
    let mask: [u8; 4] = read_array(reader)?;
    let mut payload = Vec::new();
    if reader.take(length).read_to_end(&mut payload)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    Ok((head[0], payload))
}

fn read_array<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// RFC 6455 section 4.2.2.
fn accept_key(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}
