"""OpenAI's SDK over a WebSocket."""

from openai import OpenAI

from transcript import BASE_URL, tell

client = OpenAI(
    base_url=BASE_URL + "/v1",
    websocket_base_url=BASE_URL.replace("http://", "ws://") + "/v1",
)
with client.realtime.connect(model="gpt-realtime") as connection:
    tell("greeting", connection.recv().to_dict())
    connection.session.update(session={"type": "realtime", "instructions": "Grüße"})
    tell("sent back", connection.recv().to_dict())
print("complete")
