//! The floor: the least that a proxy made of hyper can be, as its documentation shows it. One thread, one pool,
//! no observers, no care for header case or hop-by-hop headers. It is the reference of every ratio, so it gets
//! what anyone would switch on (`TCP_NODELAY`, the pool) and no trick that would make it anything but plain.

use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::error::{Doing as _, Error};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to.
    #[arg(long)]
    upstream: SocketAddr,
    /// Speak TLS with the upstream, and trust what is signed by the certificate in this file.
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// tokio's multi-thread runtime with so many threads, in place of one thread.
    #[arg(long)]
    workers: Option<NonZeroUsize>,
}

/// Serves on a free port until it is killed; says on stderr where.
pub(crate) fn run(options: &Options) -> Result<(), Error> {
    let mut builder = match options.workers {
        None => Builder::new_current_thread(),
        Some(_) => Builder::new_multi_thread(),
    };
    if let Some(workers) = options.workers {
        builder.worker_threads(workers.get());
    }
    let runtime = builder.enable_all().build().doing("starting the floor's runtime")?;
    let (mut connector, upstream) = (HttpConnector::new(), options.upstream);
    connector.set_nodelay(true);
    match &options.authority {
        None => runtime.block_on(serve(Upstream::new("http", upstream, connector)?)),
        Some(authority) => {
            connector.enforce_http(false);
            let connector = encrypting(connector, authority)?;
            runtime.block_on(serve(Upstream::new("https", upstream, connector)?))
        }
    }
}

fn encrypting(connector: HttpConnector, authority: &Path) -> Result<HttpsConnector<HttpConnector>, Error> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_file(authority).map_err(|error| Error::Usage(error.to_string()))?;
    roots.add(certificate).map_err(|error| Error::Usage(error.to_string()))?;
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .wrap_connector(connector))
}

#[derive(Clone)]
struct Upstream<C> {
    client: Client<C, Incoming>,
    scheme: &'static str,
    authority: String,
    host: HeaderValue,
}

impl<C: Connect + Clone + Send + Sync + 'static> Upstream<C> {
    fn new(scheme: &'static str, upstream: SocketAddr, connector: C) -> Result<Self, Error> {
        let authority = upstream.to_string();
        let host = HeaderValue::from_str(&authority).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), scheme, authority, host })
    }

    async fn forward(self, mut request: Request<Incoming>) -> Result<Response<Incoming>, FloorError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::builder()
            .scheme(self.scheme)
            .authority(self.authority.as_str())
            .path_and_query(path)
            .build()?;
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

async fn serve<C: Connect + Clone + Send + Sync + 'static>(upstream: Upstream<C>) -> Result<(), Error> {
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

async fn connection<C>(client: TcpStream, upstream: Upstream<C>)
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let service = service_fn(move |request| upstream.clone().forward(request));
    let served =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
    if let Err(error) = served {
        // Shown when the load generator finds something wrong; a client that merely left is no error.
        _ = writeln!(std::io::stderr(), "{error:?}");
    }
}
