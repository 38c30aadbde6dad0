"""OpenAI's SDK: every way of calling, every way of failing."""

import hashlib
import io
import os

from openai import OpenAI

from transcript import BASE_URL, attempt, await_leaving, headers, seen, tell

client = OpenAI(base_url=BASE_URL + "/v1", organization="org-1", project="proj_1")
SAID = [{"role": "user", "content": "Grüße, 世界 👋"}]


def chat(model, **more):
    return client.chat.completions.create(model=model, messages=SAID, **more)


def digest(data):
    return [len(data), hashlib.sha256(data).hexdigest()]


# Whole answers.
tell("plain", chat("plain", temperature=0.5, seed=7).to_dict())
raw = client.chat.completions.with_raw_response.create(model="plain", messages=SAID)
tell("raw", [raw.status_code, raw.http_response.reason_phrase, headers(raw), raw.parse().id])
tell("gzip", chat("gzip").to_dict())
tell("long answer", digest(chat("long").choices[0].message.content.encode()))
long = [{"role": "user", "content": "a long question, " * 200_000}]
tell("long question", client.chat.completions.create(model="plain", messages=long).id)
extra = {"extra_headers": {"X-Mine": "yes"}, "extra_query": {"a b": "c&d"}, "extra_body": {"mine": True}}
tell("extras", chat("plain", **extra).id)

# Compressed, as far as the client asks for it; and what should not have been said.
tell("compressed", chat("compressed").to_dict())
tell("compressed stream", [chunk.to_dict() for chunk in chat("compressed", stream=True)])
secret = [{"role": "user", "content": f"Log in with {os.environ['SECRET']}, please."}]
tell("secret", client.chat.completions.create(model="plain", messages=secret).id)

# Tools: a call, its result, an answer.
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
called = chat("tools", tools=TOOLS).choices[0].message
tell("tool call", called.to_dict())
result = {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "7 °C"}
tell("tool result", client.chat.completions.create(model="tools", messages=[*SAID, called, result]).to_dict())

# Streams.
stream = chat("paced/chat", stream=True, stream_options={"include_usage": True})
for number, chunk in enumerate(stream, 1):
    tell("paced", chunk.to_dict())
    seen("paced/chat", number)
for chunk in chat("tools", stream=True, tools=TOOLS):
    tell("streamed tools", chunk.to_dict())
for chunk in chat("torn", stream=True):
    tell("torn", chunk.to_dict())
attempt("cut", lambda: [tell("cut", chunk.to_dict()) for chunk in chat("cut", stream=True)])
never = client.with_options(max_retries=0)
attempt("short", lambda: never.chat.completions.create(model="short", messages=SAID))
with chat("left/early", stream=True) as stream:
    tell("left", next(iter(stream)).to_dict())
await_leaving("left/early")

# The Responses API.
tell("response", client.responses.create(model="plain", input="Grüße").to_dict())
for number, event in enumerate(client.responses.create(model="paced/response", input="Grüße", stream=True), 1):
    tell("response event", event.to_dict())
    seen("paced/response", number)
tell("response deleted", client.responses.delete("resp_1"))

# The rest of the API.
tell("embeddings", client.embeddings.create(model="embed", input=["a", "b"]).to_dict())
tell("models", [model.id for model in client.models.list()])
upload = ("dätä.bin", io.BytesIO(bytes(range(256)) * 300), "application/octet-stream")
tell("upload", client.files.create(file=upload, purpose="user_data").to_dict())
tell("download", digest(client.files.content("file-1").read()))
tell("redirect", client.files.retrieve("moved").to_dict())
tell("delete", client.files.delete("file-1").to_dict())
with client.audio.speech.with_streaming_response.create(model="tts", voice="alloy", input="Hello") as speech:
    tell("speech", [headers(speech), digest(b"".join(speech.iter_bytes()))])

# Failures, and what is tried again.
attempt("bad request", lambda: chat("bad-request"))
attempt("unauthorized", lambda: chat("unauthorized"))
once = client.with_options(max_retries=1)
attempt("limited", lambda: once.chat.completions.create(model="limited", messages=SAID))
tell("limited once", chat("limited-once").id)
tell("broken once", chat("broken-once").id)
attempt("no JSON", lambda: chat("teapot"))
attempt("no such thing", lambda: client.models.retrieve("nothing"))
hasty = client.with_options(max_retries=0, timeout=0.5)
attempt("silent", lambda: hasty.chat.completions.create(model="silent/chat", messages=SAID))
await_leaving("silent/chat")
print("complete")
