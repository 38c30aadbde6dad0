//! A collector that takes whatever it is sent, and keeps none of it: as cheap a backend as there can be.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Nothing was wrong with it (OTLP/HTTP: an empty message of protobuf).
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// Takes requests on a free port for as long as the process lives.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("collector".to_owned()).spawn(move || {
        for client in listener.incoming().flatten() {
            // One that breaks off has had its reasons; the next one is served.
            thread::spawn(move || _ = serve(client));
        }
    })?;
    Ok(address)
}

fn serve(client: TcpStream) -> io::Result<()> {
    let mut answers = client.try_clone()?;
    let mut requests = BufReader::new(client);
    while let Some(length) = length_of_body(&mut requests)? {
        io::copy(&mut requests.by_ref().take(length), &mut io::sink())?;
        answers.write_all(TAKEN)?;
    }
    Ok(())
}

/// Reads a head; none where no further request comes.
fn length_of_body(requests: &mut impl io::BufRead) -> io::Result<Option<u64>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_after_the_other_is_taken() {
        let mut client = TcpStream::connect(start().unwrap()).unwrap();
        for body in ["", "abc"] {
            let length = body.len();
            write!(client, "POST /v1/traces HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            let mut answer = vec![0; TAKEN.len()];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, TAKEN);
        }
    }
}
