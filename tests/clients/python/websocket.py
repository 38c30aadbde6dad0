"""A WebSocket client: text, binary, long messages, pings, subprotocols, closing from both sides."""

import os

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from transcript import BASE_URL, attempt, tell

KEY = os.environ["OPENAI_API_KEY"]
URL = BASE_URL.replace("http://", "ws://")


def dial(path, **more):
    return connect(URL + path, additional_headers={"Authorization": f"Bearer {KEY}"}, **more)


with dial("/v1/echo?model=a%20b", subprotocols=["realtime", f"openai-insecure-api-key.{KEY}"]) as socket:
    tell("chosen", [socket.subprotocol, socket.response.headers["X-Mark"]])
    tell("greeting", socket.recv())
    for text in ["", "short", "wörld 👋", "long " * 50_000]:
        socket.send(text)
        answer = socket.recv()
        tell("text", [len(answer), answer == text, answer[:20]])
    for data in [b"", b"\x00\xff" * 10, bytes(range(256)) * 1_000]:
        socket.send(data)
        answer = socket.recv()
        tell("binary", [len(answer), answer == data])
    socket.send(["in ", "three ", "parts"])
    tell("parts", socket.recv())
    tell("pong", socket.ping(b"are you there").wait(60))
    socket.close(1000, "enough")
    tell("closed", [socket.close_code, socket.close_reason])

with dial("/v1/echo") as socket:
    tell("greeting", socket.recv())
    socket.send("goodbye")
    tell("last", socket.recv())
    try:
        socket.recv()
    except ConnectionClosed as closed:
        tell("closed by the provider", [closed.rcvd.code, closed.rcvd.reason])

attempt("refused", lambda: dial("/plain/refused"))
print("complete")
