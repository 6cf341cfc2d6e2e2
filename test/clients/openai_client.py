"""The official Python client of the OpenAI API against the server at argv[1]. Prints "passed" or raises."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
request = {
    "model": "tiny",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Say it."}]}],
    "max_tokens": 20,
    "temperature": 0,
}

whole = client.chat.completions.create(**request)
text = whole.choices[0].message.content
assert text and whole.choices[0].finish_reason == "length", whole
assert whole.usage.completion_tokens == 20, whole
assert whole._request_id, "no x-request-id"

chunks = list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text, chunks
assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length", chunks
usage = chunks[-1].usage
assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, 20), (usage, whole.usage)
assert usage.prompt_tokens_details.cached_tokens > 0, "the same prompt again was not taken from the cache"
assert {c.id for c in chunks} == {chunks[0].id}, chunks

# Leaving in the middle frees the connection and raises nothing.
with client.chat.completions.create(**{**request, "max_tokens": 400}, stream=True) as stream:
    next(iter(stream))

assert [m.id.removesuffix(":latest") for m in client.models.list()] == ["tiny"]


def refused(error, change, **want):
    for stream in (False, True):
        try:
            client.chat.completions.create(**{**request, **change}, stream=stream)
        except error as e:
            got = {name: getattr(e, name) for name in want}
            assert got == want, (change, got)
        else:
            raise AssertionError(f"{change} was accepted")


refused(openai.NotFoundError, {"model": "other"}, status_code=404, param="model", code="model_not_found")
refused(openai.BadRequestError, {"messages": []}, status_code=400, param="messages")
refused(openai.BadRequestError, {"temperature": -1}, status_code=400, param="temperature")
refused(openai.BadRequestError, {"logit_bias": {"5": 1}}, status_code=400, param="logit_bias")
refused(openai.BadRequestError, {"messages": [{"role": "user", "content": "1 2 3 " * 500}]}, code="context_length_exceeded")
print("passed")
