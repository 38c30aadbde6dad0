"""Google's SDK meets a failure of the proxy itself."""

from google import genai
from google.genai import errors, types

from transcript import BASE_URL

options = types.HttpOptions(base_url=BASE_URL, retry_options=types.HttpRetryOptions(attempts=1))
client = genai.Client(api_key="AIza-made-up", http_options=options)
try:
    client.models.generate_content(model="plain", contents="Hello")
except errors.APIError as error:
    print(type(error).__name__, error.code, error.status, error.response.headers["x-perimeter-error"])
    print(error.message)
print("complete")
