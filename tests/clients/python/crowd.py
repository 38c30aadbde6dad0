"""Fifty streams at once, in one process on one thread."""

import asyncio
import json

import aiohttp

from transcript import BASE_URL, CONTROL_URL, tell

CROWD = 50


async def follow(session, number):
    """One stream: each event is acknowledged before the provider sends the next."""
    name = f"crowd/{number:02}"
    told = []
    asked = {"model": name, "stream": True, "messages": []}
    async with session.post(BASE_URL + "/v1/chat/completions", json=asked) as answer:
        fields = [[name.decode(), value.decode()] for name, value in answer.raw_headers]
        told.append([answer.status, answer.reason, fields])
        async for line in answer.content:
            if line.startswith(b"data: {"):
                told.append(json.loads(line[6:])["choices"])
                async with session.post(f"{CONTROL_URL}/seen/{name}/{len(told) - 1}"):
                    pass
    return told


async def main():
    # No limit on connections: the point is that all are open together.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        streams = await asyncio.gather(*(follow(session, number) for number in range(CROWD)))
    for number, told in enumerate(streams):
        tell(f"stream {number}", told)


asyncio.run(main())
print("complete")
