"""Anthropic's SDK: every way of calling, every way of failing."""

import os

from anthropic import Anthropic

from transcript import BASE_URL, attempt, await_leaving, headers, seen, tell

client = Anthropic(base_url=BASE_URL)
SAID = [{"role": "user", "content": "Grüße, 世界 👋"}]


def message(model, **more):
    return client.messages.create(model=model, max_tokens=100, messages=SAID, **more)


# Whole answers.
tell("plain", message("plain", system="Be brief.", metadata={"user_id": "u-1"}).to_dict())
raw = client.messages.with_raw_response.create(model="plain", max_tokens=100, messages=SAID)
tell("raw", [raw.status_code, raw.http_response.reason_phrase, headers(raw), raw.parse().id])
tell("gzip", message("gzip").to_dict())
extra = {"extra_headers": {"anthropic-beta": "one-1,two-2", "X-Mine": "yes"}, "extra_query": {"beta": "true"}}
tell("extras", message("plain", **extra).id)
long = [{"role": "user", "content": "long " * 400_000}]
tell("long question", client.messages.create(model="plain", max_tokens=1, messages=long).id)
tell("tokens", client.messages.count_tokens(model="plain", messages=SAID).to_dict())

# Streams: the events as they come, then through the SDK's own accumulation.
for number, event in enumerate(message("paced/raw", stream=True), 1):
    tell("paced", event.to_dict())
    seen("paced/raw", number)
with client.messages.stream(model="plain", max_tokens=100, messages=SAID) as stream:
    tell("words", list(stream.text_stream))
    tell("accumulated", stream.get_final_message().to_dict())
TOOLS = [{"name": "weather", "input_schema": {"type": "object"}}]
with client.messages.stream(model="tools", max_tokens=100, messages=SAID, tools=TOOLS) as stream:
    tell("tool events", [event.type for event in stream])
    tell("tool use", stream.get_final_message().to_dict())
attempt("failing", lambda: [tell("failing", event.to_dict()) for event in message("failing", stream=True)])
attempt("cut", lambda: [tell("cut", event.to_dict()) for event in message("cut", stream=True)])
with message("left/early", stream=True) as stream:
    tell("left", next(iter(stream)).to_dict())
await_leaving("left/early")

# Compressed, as far as the client asks for it; and what should not have been said.
tell("compressed", message("compressed").to_dict())
tell("compressed stream", [event.to_dict() for event in message("compressed", stream=True)])
secret = [{"role": "user", "content": f"Log in with {os.environ['SECRET']}, please."}]
tell("secret", client.messages.create(model="plain", max_tokens=1, messages=secret).id)

# The rest of the API.
tell("models", [model.to_dict() for model in client.models.list(limit=1)])
tell("batch", [line.to_dict() for line in client.messages.batches.results("batch_1")])
upload = ("dätä.bin", bytes(range(256)) * 300, "application/octet-stream")
tell("upload", client.files.upload(file=upload).to_dict())

# Failures, and what is tried again.
attempt("bad request", lambda: message("bad-request"))
attempt("unauthorized", lambda: message("unauthorized"))
once = client.with_options(max_retries=1)
attempt("limited", lambda: once.messages.create(model="limited", max_tokens=1, messages=SAID))
tell("overloaded once", message("overloaded-once").id)
attempt("never retry", lambda: message("never-retry"))
attempt("no such thing", lambda: client.models.retrieve("nothing"))
hasty = client.with_options(max_retries=0, timeout=0.5)
attempt("silent", lambda: hasty.messages.create(model="silent/message", max_tokens=1, messages=SAID))
await_leaving("silent/message")
print("complete")
