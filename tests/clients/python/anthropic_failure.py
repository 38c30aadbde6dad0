"""Anthropic's SDK meets a failure of the proxy itself."""

from anthropic import Anthropic, APIStatusError

from transcript import BASE_URL

client = Anthropic(base_url=BASE_URL, max_retries=0)
try:
    client.models.list()
except APIStatusError as error:
    print(type(error).__name__, error.status_code, error.response.headers["x-perimeter-error"])
    print(error.body["error"]["message"])
print("complete")
