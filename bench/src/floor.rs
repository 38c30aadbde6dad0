//! The floor: the least that a proxy made of hyper can be, as its documentation shows it. One thread, one pool,
//! no observers, no care for header case or hop-by-hop headers. It is the reference of every ratio, so it gets
//! what anyone would switch on (`TCP_NODELAY`, the pool) and no trick that would make it anything but plain.

use std::io::Write as _;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Doing as _, Error};

/// Serves on a free port until it is killed; says on stderr where.
pub(crate) fn run(upstream: SocketAddr) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing("starting the floor's runtime")?;
    runtime.block_on(serve(Upstream::new(upstream)?))
}

#[derive(Clone)]
struct Upstream {
    client: Client<HttpConnector, Incoming>,
    authority: String,
    host: HeaderValue,
}

impl Upstream {
    fn new(upstream: SocketAddr) -> Result<Self, Error> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let authority = upstream.to_string();
        let host = HeaderValue::from_str(&authority).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), authority, host })
    }

    async fn forward(self, mut request: Request<Incoming>) -> Result<Response<Incoming>, FloorError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() =
            Uri::builder().scheme("http").authority(self.authority.as_str()).path_and_query(path).build()?;
        request.headers_mut().insert(HOST, self.host);
        Ok(self.client.request(request).await?)
    }
}

#[derive(Debug, thiserror::Error)]
enum FloorError {
    #[error(transparent)]
    Uri(#[from] hyper::http::Error),
    #[error(transparent)]
    Upstream(#[from] legacy::Error),
}

async fn serve(upstream: Upstream) -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.doing("opening the floor's port")?;
    let address = listener.local_addr().doing("asking for the floor's port")?;
    writeln!(std::io::stderr(), "floor listening on http://{address}").doing("writing to stderr")?;
    loop {
        let (client, _) = listener.accept().await.doing("accepting")?;
        client.set_nodelay(true).doing("setting TCP_NODELAY")?;
        #[expect(clippy::disallowed_methods, reason = "the floor is killed, never drained")]
        tokio::spawn(connection(client, upstream.clone()));
    }
}

async fn connection(client: TcpStream, upstream: Upstream) {
    let service = service_fn(move |request| upstream.clone().forward(request));
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
    if let Err(error) = served {
        // Shown when the load generator finds something wrong; a client that merely left is no error.
        _ = writeln!(std::io::stderr(), "{error:?}");
    }
}
