"""Streamed chats with OpenAI's SDK: one by itself, and one inside a span of an app that is traced by OpenTelemetry's
SDK and tells of it in a header."""

from openai import OpenAI
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider

from transcript import BASE_URL, tell

client = OpenAI(base_url=BASE_URL + "/v1")
tracer = TracerProvider().get_tracer("app")


def chat(said, **more):
    messages = [{"role": "user", "content": said}]
    chunks = client.chat.completions.create(
        model="compressed", messages=messages, stream=True, stream_options={"include_usage": True}, **more
    )
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


tell("alone", chat("Hello"))
with tracer.start_as_current_span("answers a customer") as span:
    headers = {}
    inject(headers)
    tell("within", chat("Hello again", extra_headers=headers))
    context = span.get_span_context()
    tell("span", [f"{context.trace_id:032x}", f"{context.span_id:016x}"])
print("complete")
