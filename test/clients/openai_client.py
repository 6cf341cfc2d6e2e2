"""The official Python client of the OpenAI API on a tour. Prints "passed" or raises."""

import asyncio
import json

import openai

from tour import FOREIGN, HUGE, KEY, LONG, NOBODY, OPEN, STRICT, limited, raises, until

client = openai.OpenAI(base_url=OPEN + "/v1", api_key="none", max_retries=0)
chat = client.chat.completions.create
request = {
    "model": "tiny",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Say it."}]}],
    "max_tokens": 20,
    "temperature": 0,
}

# Chat, whole.
whole = chat(**request)
text = whole.choices[0].message.content
assert text and whole.choices[0].finish_reason == "length" and whole.choices[0].message.role == "assistant", whole
assert whole.usage.completion_tokens == 20 and whole.usage.total_tokens == whole.usage.prompt_tokens + 20, whole
assert whole.object == "chat.completion" and whole.system_fingerprint and whole._request_id, whole

raw = client.chat.completions.with_raw_response.create(**request, extra_body={"not_a_field": 1})
assert raw.headers["x-ignored-params"] == "not_a_field" and "decode;dur=" in raw.headers["server-timing"], raw.headers
assert raw.parse().choices[0].message.content == text

# Chat, streamed.
chunks = list(chat(**request, stream=True, stream_options={"include_usage": True}))
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text, chunks
assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length", chunks
usage = chunks[-1].usage
assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, 20), (usage, whole.usage)
assert usage.prompt_tokens_details.cached_tokens > 0, "the same prompt again was not taken from the cache"
assert {c.id for c in chunks} == {chunks[0].id}, chunks

with client.chat.completions.stream(**request) as stream:
    events = [e.type for e in stream]
    cut = raises(openai.LengthFinishReasonError, stream.get_final_completion)
assert cut.completion.choices[0].message.content == text and "content.delta" in events and "content.done" in events, events


async def same():
    async with openai.AsyncOpenAI(base_url=OPEN + "/v1", api_key="none") as client:
        answers = await asyncio.gather(*(client.chat.completions.create(**request) for _ in range(4)))
        stream = await client.chat.completions.create(**request, stream=True)
        return [a.choices[0].message.content for a in answers] + ["".join([c.choices[0].delta.content or "" async for c in stream])]


assert asyncio.run(same()) == [text] * 5

# Tools: a call that is forced, typed, whole and streamed; its result goes back.
parameters = {"type": "object", "properties": {"city": {"enum": ["Bern"]}}, "required": ["city"]}
tool = {"type": "function", "function": {"name": "get", "parameters": parameters}}
calling = {"model": "tiny", "messages": [{"role": "user", "content": "Go."}], "temperature": 0, "tools": [tool],
           "tool_choice": {"type": "function", "function": {"name": "get"}}}


def right(calls):
    assert [(c.type, c.function.name, json.loads(c.function.arguments)) for c in calls] == [("function", "get", {"city": "Bern"})], calls
    assert all(c.id.startswith("call_") for c in calls), calls


called = chat(**calling).choices[0]
right(called.message.tool_calls)
assert called.finish_reason == "tool_calls" and called.message.content is None, called
with client.chat.completions.stream(**calling) as stream:
    events = [e.type for e in stream]
    final = stream.get_final_completion().choices[0]
right(final.message.tool_calls)
assert final.finish_reason == "tool_calls" and events.count("tool_calls.function.arguments.delta") > 1 and "tool_calls.function.arguments.done" in events, events
result = {"role": "tool", "tool_call_id": called.message.tool_calls[0].id, "content": "Sun."}
assert chat(model="tiny", messages=calling["messages"] + [called.message, result], max_tokens=5).usage.completion_tokens == 5
flat = {"type": "function", "name": "get", "parameters": parameters, "strict": True}
response = client.responses.create(model="tiny", input="Go.", tools=[flat], tool_choice="required", parallel_tool_calls=False, temperature=0)
assert [(i.type, i.name, json.loads(i.arguments)) for i in response.output] == [("function_call", "get", {"city": "Bern"})], response
with client.responses.stream(model="tiny", input="Go.", tools=[flat], tool_choice="required", parallel_tool_calls=False, temperature=0) as stream:
    events = [e.type for e in stream]
    final = stream.get_final_response()
assert [(i.name, json.loads(i.arguments)) for i in final.output] == [("get", {"city": "Bern"})] and "response.function_call_arguments.delta" in events, events
back = [{"role": "user", "content": "Go."}, response.output[0], {"type": "function_call_output", "call_id": response.output[0].call_id, "output": "Sun."}]
assert client.responses.create(model="tiny", input=back, max_output_tokens=5).usage.output_tokens == 5

# Leaving in the middle frees the connection and raises nothing.
with chat(**{**request, "max_tokens": 400}, stream=True) as stream:
    next(iter(stream))

# Several answers, a stop string, a seed, an answer sent back.
warm = {**request, "temperature": 1, "seed": 7, "n": 3}
several = [c.message.content for c in chat(**warm).choices]
assert len(set(several)) == 3 and several == [c.message.content for c in chat(**warm).choices], several
stop = text[5]
assert chat(**request, stop=[stop]).choices[0].message.content == text[: text.index(stop)]
again = {**request, "messages": request["messages"] + [whole.choices[0].message, {"role": "user", "content": "And?"}]}
assert chat(**again).usage.prompt_tokens > whole.usage.prompt_tokens

# Completions.
complete = client.completions.create
one = complete(model="tiny", prompt="Say it.", max_tokens=8, temperature=0)
assert one.choices[0].finish_reason == "length" and one.usage.completion_tokens == 8, one
pieces = list(complete(model="tiny", prompt="Say it.", max_tokens=8, temperature=0, stream=True))
assert "".join(p.choices[0].text for p in pieces) == one.choices[0].text, pieces
several = complete(model="tiny", prompt=["Say it.", [83, 97, 121, 32, 105, 116, 46]], max_tokens=8, temperature=0, echo=True)
assert [c.text for c in several.choices][0] == "Say it." + one.choices[0].text and len(several.choices) == 2, several

# Responses.
response = client.responses.create(model="tiny", instructions="Be brief.", input="Say it.", max_output_tokens=20, temperature=0)
assert response.output_text == text and response.status == "incomplete", response
assert response.incomplete_details.reason == "max_output_tokens" and response.usage.output_tokens == 20, response
with client.responses.stream(model="tiny", instructions="Be brief.", input="Say it.", max_output_tokens=20, temperature=0) as stream:
    events = [e for e in stream]
assert [e.sequence_number for e in events] == list(range(len(events))), events
assert (events[0].type, events[-1].type) == ("response.created", "response.incomplete"), [e.type for e in events]
assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == text
count = client.responses.input_tokens.count(model="tiny", instructions="Be brief.", input="Say it.")
assert count.input_tokens == response.usage.input_tokens, (count, response.usage)

# Models.
assert [m.id.removesuffix(":latest") for m in client.models.list()] == ["tiny"]
assert client.models.retrieve("tiny").id.removesuffix(":latest") == "tiny"
raises(openai.NotFoundError, lambda: client.models.retrieve("other"), status_code=404, code="model_not_found")


def refused(error, change, **want):
    for stream in (False, True):
        raises(error, lambda: chat(**{**request, **change}, stream=stream), **want)


refused(openai.NotFoundError, {"model": "other"}, status_code=404, param="model", code="model_not_found")
refused(openai.BadRequestError, {"messages": []}, status_code=400, param="messages")
refused(openai.BadRequestError, {"temperature": -1}, status_code=400, param="temperature")
refused(openai.BadRequestError, {"audio": {"voice": "alloy", "format": "wav"}}, status_code=400, param="audio")
refused(openai.BadRequestError, {"messages": [{"role": "user", "content": LONG}]}, code="context_length_exceeded")
raises(openai.BadRequestError, lambda: complete(model="tiny", prompt=[99999]), status_code=400)
raises(openai.BadRequestError, lambda: client.responses.create(model="tiny", input="hi", previous_response_id="resp_1"), param="previous_response_id")
raises(openai.NotFoundError, lambda: client.get("/nothing", cast_to=object), status_code=404)
raises(openai.PermissionDeniedError, lambda: client.with_options(default_headers=FOREIGN).models.list(), status_code=403)
refused(openai.APIStatusError, {"messages": [{"role": "user", "content": HUGE}]}, status_code=413, code="request_too_large")
raises(openai.APIStatusError, lambda: client.patch("/models", cast_to=object), status_code=405, code="method_not_allowed")
raises(openai.APIConnectionError, lambda: client.with_options(base_url=NOBODY + "/v1").models.list())

# The server that wants a key.
strict = client.with_options(base_url=STRICT + "/v1", api_key=KEY)
endless = {"model": "tiny", "messages": [{"role": "user", "content": "Go on."}], "temperature": 0}
short = {**endless, "max_tokens": 1}
raises(openai.AuthenticationError, lambda: client.with_options(base_url=STRICT + "/v1", api_key="wrong").models.list(), status_code=401, code="invalid_api_key")
with strict.chat.completions.create(**endless, stream=True) as stream:
    next(iter(stream))
    e = raises(openai.InternalServerError, lambda: strict.chat.completions.create(**short), status_code=503, code="overloaded")
    assert int(e.response.headers["retry-after"]) > 0
until(lambda: strict.chat.completions.create(**short), openai.InternalServerError)
stream = strict.chat.completions.create(**endless, stream=True)
e = raises(openai.APIError, lambda: list(stream), code="request_timeout")  # inside the stream
assert "--request-timeout" in e.message and not isinstance(e, openai.APIStatusError), e
until(lambda: strict.chat.completions.create(**short), openai.InternalServerError)
raises(openai.InternalServerError, lambda: strict.chat.completions.create(**endless), status_code=504, code="request_timeout")
until(lambda: strict.chat.completions.create(**short), openai.InternalServerError)
raises(openai.PermissionDeniedError, lambda: strict.with_options(base_url=STRICT).delete("/api/delete", body={"model": "tiny"}, cast_to=object), status_code=403)
raises(openai.APITimeoutError, lambda: strict.with_options(timeout=0.3).chat.completions.create(**endless))
until(lambda: strict.chat.completions.create(**short), openai.InternalServerError)
e = limited(openai.RateLimitError, lambda: strict.chat.completions.create(**short), status_code=429, code="rate_limit_exceeded")
assert int(e.response.headers["retry-after"]) > 0
print("passed")
