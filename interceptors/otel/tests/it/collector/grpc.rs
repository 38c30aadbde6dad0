//! gRPC, by the services that are generated from the published Protobuf.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::codec::CompressionEncoding;

use super::{Answer, Export, Reply, Shared, logs_response, metrics_response, traces_response};

pub(super) async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Infallible> {
    let service = Grpc { shared, path: request.uri().path().to_owned() };
    let gzip = CompressionEncoding::Gzip;
    // Each is asked for its own method only, and answers `UNIMPLEMENTED` to the others.
    if service.path.contains("TraceService") {
        hyper_call(TraceServiceServer::new(service).accept_compressed(gzip), request).await
    } else if service.path.contains("LogsService") {
        hyper_call(LogsServiceServer::new(service).accept_compressed(gzip), request).await
    } else {
        hyper_call(MetricsServiceServer::new(service).accept_compressed(gzip), request).await
    }
}

async fn hyper_call<S>(service: S, request: Request<Incoming>) -> Result<Answer, Infallible>
where
    S: tonic::codegen::Service<Request<Incoming>, Response = Answer, Error = Infallible> + Clone,
{
    hyper::service::Service::call(&TowerToHyperService::new(service), request).await
}

/// The generated services, for one request.
#[derive(Debug)]
struct Grpc {
    shared: Arc<Shared>,
    path: String,
}

impl Grpc {
    async fn reply<T>(
        &self,
        headers: HeaderMap,
        export: Export,
        response: fn(i64, &str) -> T,
    ) -> Result<tonic::Response<T>, tonic::Status> {
        match self.shared.note(&self.path, headers, Bytes::new(), export) {
            Reply::Take => Ok(tonic::Response::new(response(0, ""))),
            Reply::TakeBut(rejected, message) => Ok(tonic::Response::new(response(rejected, message))),
            Reply::Grpc(status) => Err(status),
            Reply::Status(status, ..) => Err(tonic::Status::unavailable(format!("as HTTP's {status}"))),
            Reply::Hang | Reply::AtMost(_) => pending().await,
        }
    }
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.reply(metadata.into_headers(), Export::Traces(request), traces_response).await
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.reply(metadata.into_headers(), Export::Logs(request), logs_response).await
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.reply(metadata.into_headers(), Export::Metrics(request), metrics_response).await
    }
}
