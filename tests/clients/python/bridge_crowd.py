"""Fifty at once before a bridge that answers only some at a time: all have their answer, and each has its own."""

import asyncio

from openai import AsyncOpenAI

from transcript import BASE_URL

client = AsyncOpenAI(base_url=BASE_URL + "/v1", max_retries=0)


async def ask(number):
    messages = [{"role": "user", "content": f"Say the number {number}."}]
    if number % 2:
        answer = await client.chat.completions.create(model="bridged", messages=messages)
        return answer.choices[0].message.content
    stream = await client.chat.completions.create(model="bridged", messages=messages, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def crowd():
    return await asyncio.gather(*map(ask, range(50)))


said = asyncio.run(crowd())
assert said == [f"{number} it is." for number in range(50)], said
print("complete")
