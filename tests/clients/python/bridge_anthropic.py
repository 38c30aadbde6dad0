"""Anthropic's SDK before a bridge: whatever is behind it, it is as before Anthropic."""

from anthropic import Anthropic, APIError, BadRequestError, NotFoundError, RateLimitError, beta_tool
from pydantic import BaseModel

from transcript import BASE_URL

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
client = Anthropic(base_url=BASE_URL, max_retries=0)


def user(content):
    return {"role": "user", "content": content}


def asked(*messages, **more):
    return {"model": "bridged", "max_tokens": 1000, "messages": list(messages), **more}


answer = client.messages.create(**asked(user("Hello!"), system="Be brief."))
assert (answer.model, answer.stop_reason, answer.content[0].text) == ("bridged", "end_turn", "Hello there."), answer
assert answer.usage.output_tokens > 0, answer
with client.messages.stream(**asked(user("Hello!"))) as stream:
    words = list(stream.text_stream)
    assert "".join(words) == "Hello there." and len(words) > 1, words
    assert stream.get_final_message().stop_reason == "end_turn"

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "weather", "description": "Looks out.", "input_schema": CITY}]
for question, cities in [("How is Köln?", ["Köln"]), ("How are Köln and Recife?", ["Köln", "Recife"])]:
    with client.messages.stream(**asked(user(question), tools=TOOLS)) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use", message
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": city} for city in cities], message
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"} for call in calls]
    said = {"role": "assistant", "content": [block.to_dict() for block in message.content]}
    last = client.messages.create(**asked(user(question), said, user(results), tools=TOOLS))
    assert last.content[0].text == "It is 18 degrees.", last

picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
seen = client.messages.create(**asked(user([picture, {"type": "text", "text": "Look."}])))
assert seen.content[0].text == "A picture.", seen

for call, kind in [
    (asked(user("This is too much.")), RateLimitError),
    (asked(user("Hello!")) | {"model": "birdged"}, NotFoundError),
    (asked(user([{"type": "text", "text": 7}])), BadRequestError),
]:
    try:
        client.messages.create(**call)
        raise AssertionError("no failure")
    except kind as error:
        assert error.body["type"] == "error" and error.body["request_id"], error



# Answers of a schema.
class Colour(BaseModel):
    colour: str


parsed = client.messages.parse(**asked(user("Which hue?")), output_format=Colour)
assert parsed.parsed_output == Colour(colour="red"), parsed


# The SDK runs the tools. It asks for a thread first, and goes on without one.
@beta_tool
def weather(city: str) -> str:
    """Looks out."""
    return "18 degrees"


runner = client.beta.messages.tool_runner(**asked(user("How are Köln and Recife?"), tools=[weather]))
assert runner.until_done().content[0].text == "It is 18 degrees."

# What breaks off has failed, and says which request it was.
try:
    with client.messages.stream(**asked(user("Then it breaks off."))) as stream:
        stream.get_final_message()
    raise AssertionError("a whole answer")
except APIError as error:
    assert error.body["request_id"] == error.response.headers["request-id"], error

raw = client.messages.with_raw_response.create(**asked(user("Hello!")), extra_headers={"x-request-id": "my-17"})
assert raw.headers["request-id"] == raw.headers["x-request-id"] == "my-17", raw.headers

assert client.messages.count_tokens(model="bridged", messages=[user("Hello!")]).input_tokens > 0
assert [model.id for model in client.models.list(limit=1)] == ["bridged"]
assert client.models.retrieve("bridged").display_name
print("complete")
