"""Reads OTLP with OpenTelemetry's own library, Protobuf or JSON, and tells what is in it. What the published messages do
not have is an error."""

import base64
import json
import pathlib
import sys

from google.protobuf import json_format
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest, "metrics": ExportMetricsServiceRequest}
# OTLP writes these in hex, where JSON of Protobuf has base64.
IDS = {"traceId", "spanId", "parentSpanId"}


def with_base64(value):
    if isinstance(value, list):
        return [with_base64(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(each)).decode() if key in IDS else with_base64(each)
        for key, each in value.items()
    }


def assert_known(message):
    assert len(UnknownFieldSet(message)) == 0, message
    for field, value in message.ListFields():
        if field.message_type:
            for each in [value] if hasattr(value, "ListFields") else value:
                assert_known(each)


def read(path):
    request = REQUESTS[path.stem.split("-")[1]]()
    if path.suffix == ".json":
        return json_format.ParseDict(with_base64(json.loads(path.read_bytes())), request)
    request.ParseFromString(path.read_bytes())
    assert_known(request)
    return request


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return kind and getattr(value, kind)


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


def span(told):
    return {
        "trace": told.trace_id.hex(),
        "span": told.span_id.hex(),
        "parent": told.parent_span_id.hex(),
        "name": told.name,
        "kind": told.kind,
        "flags": told.flags,
        "status": [told.status.code, told.status.message],
        "times": [told.start_time_unix_nano, told.end_time_unix_nano],
        "attributes": attributes(told.attributes),
        "events": [[event.name, event.time_unix_nano] for event in told.events],
    }


def log(told):
    return {"event": told.event_name, "span": told.span_id.hex(), "attributes": attributes(told.attributes)}


def points(metric):
    for point in metric.histogram.data_points:
        yield [attributes(point.attributes), point.count, point.sum]
    for point in metric.sum.data_points:
        yield [attributes(point.attributes), 1, float(getattr(point, point.WhichOneof("value")))]


def metric(told):
    return {"name": told.name, "unit": told.unit, "points": list(points(told))}


found = {"spans": [], "logs": [], "metrics": [], "resources": []}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    request = read(path)
    for resource in [*getattr(request, "resource_spans", []), *getattr(request, "resource_logs", []), *getattr(request, "resource_metrics", [])]:
        found["resources"].append(attributes(resource.resource.attributes))
        for scope in getattr(resource, "scope_spans", []):
            found["spans"] += [span(each) for each in scope.spans]
        for scope in getattr(resource, "scope_logs", []):
            found["logs"] += [log(each) for each in scope.log_records]
        for scope in getattr(resource, "scope_metrics", []):
            found["metrics"] += [metric(each) for each in scope.metrics]
print(json.dumps(found))
