"""pydantic-ai before a bridge: an agent with tools, answers of a type, and streams."""

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from transcript import BASE_URL

model = OpenAIChatModel("bridged", provider=OpenAIProvider(base_url=BASE_URL + "/v1", api_key="any"))


class Colour(BaseModel):
    colour: str


agent = Agent(model, instructions="Be brief.")
looked = []


@agent.tool_plain
def weather(city: str) -> str:
    """Looks out."""
    looked.append(city)
    return "18 degrees"


result = agent.run_sync("Hello!")
assert result.output == "Hello there.", result
assert result.usage.output_tokens > 0, result.usage
assert agent.run_sync("Hello!", message_history=result.all_messages()).output == "Hello there."

for question, cities in [("How is Köln?", ["Köln"]), ("How are Köln and Recife?", ["Köln", "Recife"])]:
    looked.clear()
    assert agent.run_sync(question).output == "It is 18 degrees."
    assert sorted(looked) == cities, looked


async def streamed(question):
    async with agent.run_stream(question) as result:
        return [text async for text in result.stream_text(delta=True, debounce_by=None)]


words = asyncio.run(streamed("Hello!"))
assert "".join(words) == "Hello there." and len(words) > 1, words
looked.clear()
assert "".join(asyncio.run(streamed("How are Köln and Recife?"))) == "It is 18 degrees."
assert sorted(looked) == ["Köln", "Recife"], looked

typed = Agent(model, output_type=NativeOutput(Colour))
assert typed.run_sync("Which hue?").output == Colour(colour="red")

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da63fccf5003000386"
    "01805a347d6b0000000049454e44ae426082"
)
seen = agent.run_sync(["Look.", BinaryContent(PIXEL, media_type="image/png")])
assert seen.output == "A picture.", seen
print("complete")
