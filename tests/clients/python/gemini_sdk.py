"""Google's SDK: whole answers, streams, tools, a failure."""

from google import genai
from google.genai import types

from transcript import BASE_URL, tell

KEY = "AIza-made-up-0-made-up-1-made-up-2-made"
client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=BASE_URL))
SAID = "Grüße, 世界 👋"
WEATHER = types.FunctionDeclaration(name="weather", description="The weather", parameters_json_schema={"type": "object"})
TOOLS = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[WEATHER])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)


def told(response):
    return response.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response"})


brief = types.GenerateContentConfig(system_instruction="Be brief.")
tell("plain", told(client.models.generate_content(model="plain", contents=SAID, config=brief)))
for chunk in client.models.generate_content_stream(model="plain", contents=SAID):
    tell("streamed", told(chunk))

called = client.models.generate_content(model="tools", contents=SAID, config=TOOLS)
tell("tool call", told(called))
for chunk in client.models.generate_content_stream(model="tools", contents=SAID, config=TOOLS):
    tell("streamed tool call", told(chunk))
call = called.function_calls[0]
result = types.FunctionResponse(id=call.id, name=call.name, response={"output": "7 °C"})
asked = types.Content(role="user", parts=[types.Part(text=SAID)])
answered = types.Content(role="user", parts=[types.Part(function_response=result)])
history = [asked, called.candidates[0].content, answered]
tell("tool result", told(client.models.generate_content(model="plain", contents=history, config=TOOLS)))

try:
    client.models.generate_content(model="limited", contents=SAID)
except genai.errors.APIError as error:
    tell("limited", [type(error).__name__, error.code, error.status, error.message])
print("complete")
