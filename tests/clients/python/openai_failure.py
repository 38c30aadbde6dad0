"""OpenAI's SDK meets a failure of the proxy itself."""

from openai import APIStatusError, OpenAI

from transcript import BASE_URL

client = OpenAI(base_url=BASE_URL + "/v1", max_retries=0)
try:
    client.models.list()
except APIStatusError as error:
    assert error.code == error.response.headers["x-perimeter-error"], error.code
    print(type(error).__name__, error.status_code, error.code)
    print(error.body["message"])
print("complete")
