"""Responses of OpenAI's SDK before a bridge: kept and not kept, streamed, parsed, with tools, and broken off."""

import json

from openai import BadRequestError, InternalServerError, NotFoundError, OpenAI
from pydantic import BaseModel

from transcript import BASE_URL

client = OpenAI(base_url=BASE_URL + "/v1", max_retries=0)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "name": "weather", "description": "Looks out.", "parameters": CITY}]


class Colour(BaseModel):
    colour: str


def asked(said, **more):
    return {"model": "bridged", "input": said, **more}


# Kept, looked at, gone on from, deleted.
first = client.responses.create(**asked("Hello!", metadata={"k": "v"}))
assert first.output_text == "Hello there." and first.metadata == {"k": "v"}, first
assert client.responses.retrieve(first.id).output_text == "Hello there."
assert [item.content[0].text for item in client.responses.input_items.list(first.id)] == ["Hello!"]
assert client.responses.create(**asked("Hello!", previous_response_id=first.id)).output_text == "Hello there."
client.responses.delete(first.id)
unkept = client.responses.create(**asked("Hello!", store=False))
for gone in [first.id, unkept.id]:
    try:
        client.responses.retrieve(gone)
        raise AssertionError("still there")
    except NotFoundError as error:
        assert error.code == "not_found", error

# Tools: streamed, and their results given back by what is kept or by what the client has.
QUESTION = "How are Köln and Recife?"
with client.responses.stream(**asked(QUESTION, tools=TOOLS)) as stream:
    numbers = [event.sequence_number for event in stream if hasattr(event, "sequence_number")]
    answer = stream.get_final_response()
assert numbers == sorted(set(numbers)), numbers
calls = [item for item in answer.output if item.type == "function_call"]
assert [json.loads(call.arguments) for call in calls] == [{"city": "Köln"}, {"city": "Recife"}], answer
assert len({item.id for item in answer.output}) == len(answer.output), answer
results = [{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"} for call in calls]
last = client.responses.create(**asked(results, tools=TOOLS, previous_response_id=answer.id))
assert last.output_text == "It is 18 degrees.", last
said = [{"role": "user", "content": QUESTION}, *[item.to_dict() for item in answer.output], *results]
last = client.responses.create(**asked(said, tools=TOOLS, store=False))
assert last.output_text == "It is 18 degrees.", last
try:
    client.responses.create(**asked("Never mind.", tools=TOOLS, previous_response_id=answer.id))
    raise AssertionError("calls without results")
except BadRequestError as error:
    assert calls[0].call_id in error.message, error

# Answers of a schema.
parsed = client.responses.parse(**asked("Which hue?"), text_format=Colour)
assert parsed.output_parsed == Colour(colour="red"), parsed
with client.responses.stream(**asked("Which hue?"), text_format=Colour) as stream:
    assert stream.get_final_response().output_parsed == Colour(colour="red")

# What breaks off has failed: in the stream, or by its status where nothing had been said.
try:
    events = list(client.responses.create(**asked("Then it breaks off."), stream=True))
    assert events[-1].type == "response.failed" and events[-1].response.error.message, events[-1]
except InternalServerError as error:
    assert error.code == "upstream_error", error
print("complete")
