"""Chats that nobody names. Two people with a key each say the same, and are answered the same."""

import os

from anthropic import Anthropic
from google import genai
from openai import OpenAI

from transcript import BASE_URL

QUESTIONS = ["Hello", "How far is the moon?", "And the sun?"]


def openai(key):
    client = OpenAI(base_url=BASE_URL + "/v1", api_key=key)
    said = [{"role": "system", "content": "Be brief."}]
    for question in QUESTIONS:
        said.append({"role": "user", "content": question})
        said.append(client.chat.completions.create(model="plain", messages=said).choices[0].message)


def openai_streamed(key):
    client = OpenAI(base_url=BASE_URL + "/v1", api_key=key)
    said = []
    for question in QUESTIONS:
        said.append({"role": "user", "content": question})
        chunks = client.chat.completions.create(model="compressed", messages=said, stream=True)
        answer = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        said.append({"role": "assistant", "content": answer})


def anthropic(key):
    client = Anthropic(base_url=BASE_URL, api_key=key)
    said = []
    for question in QUESTIONS:
        said.append({"role": "user", "content": question})
        answer = client.messages.create(model="plain", max_tokens=99, messages=said)
        said.append({"role": "assistant", "content": answer.content})


def gemini(key):
    client = genai.Client(api_key=key, http_options={"base_url": BASE_URL})
    chat = client.chats.create(model="plain")
    for question in QUESTIONS:
        chat.send_message(question)


for talk, key in [
    (openai, os.environ["OPENAI_API_KEY"]),
    (openai_streamed, os.environ["OPENAI_API_KEY"]),
    (anthropic, os.environ["ANTHROPIC_API_KEY"]),
    (gemini, "AIza-made-up-0-made-up-1-made-up-2-made"),
]:
    talk(key)
    talk(key + "-of-another")
print("complete")
