//! The limit: whoever forwards has to read and write each byte once, and this does nothing else. One thread, and for
//! each client a connection of its own to the upstream.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Doing as _, Error};

/// What is read at once: an event or a small answer fits by far, and of a large body as much as hyper would read.
const BUFFER: usize = 64 * 1024;

/// Serves on a free port until it is killed; says on stderr where.
pub(crate) fn run(upstream: SocketAddr) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing("starting the forwarder's runtime")?;
    runtime.block_on(serve(upstream))
}

async fn serve(upstream: SocketAddr) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.doing("opening the forwarder's port")?;
    let address = listener.local_addr().doing("asking for the forwarder's port")?;
    writeln!(io::stderr(), "tcp listening on http://{address}").doing("writing to stderr")?;
    loop {
        let (client, _) = listener.accept().await.doing("accepting")?;
        #[expect(clippy::disallowed_methods, reason = "the forwarder is killed, never drained")]
        tokio::spawn(async move {
            if let Err(error) = forward(client, upstream).await {
                // Shown when the load generator finds something wrong.
                _ = writeln!(io::stderr(), "{error:?}");
            }
        });
    }
}

async fn forward(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut upstream = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_upstream, to_upstream) = upstream.split();
    tokio::try_join!(pass(from_client, to_upstream), pass(from_upstream, to_client)).map(|_| ())
}

/// Writes what is read, until there is no more. A connection on which nothing happens holds no buffer.
async fn pass(from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    loop {
        from.readable().await?;
        let mut buffer = Vec::with_capacity(BUFFER);
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return to.shutdown().await,
            Ok(_) => to.write_all(&buffer).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
