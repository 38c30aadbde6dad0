"""OpenAI's SDK before a bridge: whatever is behind it, it is as before OpenAI."""

import json

from openai import APIError, BadRequestError, NotFoundError, OpenAI, RateLimitError
from pydantic import BaseModel

from transcript import BASE_URL

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
client = OpenAI(base_url=BASE_URL + "/v1", max_retries=0)


def user(content):
    return [{"role": "user", "content": content}]


def chat(content, **more):
    messages = content if isinstance(content, list) and "role" in content[0] else user(content)
    return client.chat.completions.create(model="bridged", messages=messages, **more)


# Whole, and what it took.
answer = chat("Hello!", extra_headers={"x-conversation-id": "01J4WFMAJTP453TRRQKFAJ80PN"})
assert answer.model == "bridged", answer
assert answer.choices[0].message.content == "Hello there.", answer
assert answer.choices[0].finish_reason == "stop", answer
assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer

# What has no effect is told, and what cannot be had is refused.
raw = client.chat.completions.with_raw_response.create(
    model="bridged", messages=user("Hello!"), seed=7, frequency_penalty=1
)
assert set(raw.headers["x-bridge-warnings"].removeprefix("dropped=").split(",")) >= {"seed", "frequency_penalty"}
try:
    chat("Hello!", n=2)
    raise AssertionError("two answers")
except BadRequestError as error:
    assert (error.code, error.param) == ("unsupported_parameter", "n"), error

# Streamed.
chunks = list(chat("Hello!", stream=True, stream_options={"include_usage": True}))
assert chunks[0].choices[0].delta.role == "assistant", chunks
words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
assert "".join(words) == "Hello there.", words
assert len([word for word in words if word]) > 1, words
assert chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices, chunks
with client.chat.completions.stream(model="bridged", messages=user("Hello!")) as stream:
    events = [event.type for event in stream]
    assert stream.get_final_completion().choices[0].message.content == "Hello there."
assert "content.delta" in events and "content.done" in events, events

# Tools: one, and two at once; whole, and streamed.
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Looks out.", "parameters": CITY}}]


def assembled(stream):
    calls = {}
    for chunk in stream:
        for delta in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "arguments": ""})
            call["arguments"] += delta.function.arguments or ""
    return [calls[index] for index in sorted(calls)], chunk.choices[0].finish_reason


for question, cities in [("How is Köln?", ["Köln"]), ("How are Köln and Recife?", ["Köln", "Recife"])]:
    answer = chat(question, tools=TOOLS)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls", answer
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [{"city": city} for city in cities]
    assert {call.function.name for call in message.tool_calls} == {"weather"}, message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "18 degrees"} for call in message.tool_calls]
    last = chat(user(question) + [message.to_dict()] + results, tools=TOOLS)
    assert last.choices[0].message.content == "It is 18 degrees.", last

    calls, reason = assembled(chat(question, tools=TOOLS, stream=True))
    assert reason == "tool_calls", reason
    assert [json.loads(call["arguments"]) for call in calls] == [{"city": city} for city in cities], calls
    assert len({call["id"] for call in calls}) == len(cities), calls

# Pictures.
seen = chat([{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {"url": PIXEL}}])
assert seen.choices[0].message.content == "A picture.", seen


# Answers of a schema.
class Colour(BaseModel):
    colour: str


parsed = client.chat.completions.parse(model="bridged", messages=user("Which hue?"), response_format=Colour)
assert parsed.choices[0].message.parsed == Colour(colour="red"), parsed

# Failures have their own classes.
try:
    chat("This is too much.")
    raise AssertionError("no limit")
except RateLimitError as error:
    assert error.code == "rate_limit_exceeded", error
    # Where the backend says how long, the client is told; the CLI keeps that to itself.
    assert int(error.response.headers["retry-after"]) > 0, error.response.headers
try:
    client.chat.completions.create(model="birdged", messages=user("Hello!"))
    raise AssertionError("a model of that name")
except NotFoundError as error:
    assert error.code == "model_not_found" and "bridged" in error.message, error
try:
    chat([{"type": "text", "text": 7}])
    raise AssertionError("a number is text")
except BadRequestError as error:
    assert error.param == "messages[0].content[0].text", error
try:
    list(chat("Then it breaks off.", stream=True))
    raise AssertionError("a whole answer")
except APIError as error:
    assert "JSON" not in str(error), error

# Models, and completions of old.
models = client.models.list().data
assert [model.id for model in models] == ["bridged"], models
assert client.models.retrieve("bridged").id == "bridged"
old = client.completions.create(model="bridged", prompt="Hello!")
assert old.choices[0].text == "Hello there.", old
old = client.completions.create(model="bridged", prompt="Hello!", stream=True)
assert "".join(chunk.choices[0].text for chunk in old) == "Hello there."

# Who leaves, leaves nothing behind: the test looks for it.
with chat("Talk for ever.", stream=True) as stream:
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
print("complete")
