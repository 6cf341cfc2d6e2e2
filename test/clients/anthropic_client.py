"""The official Python client of the Anthropic API on a tour. Prints "passed" or raises."""

import asyncio

import anthropic

from tour import FOREIGN, HUGE, KEY, LONG, NOBODY, OPEN, STRICT, limited, raises, until

client = anthropic.Anthropic(base_url=OPEN, api_key="none", max_retries=0)
create = client.messages.create
request = {
    "model": "tiny",
    "system": "Be brief.",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Say it.", "cache_control": {"type": "ephemeral"}}]}],
    "max_tokens": 20,
    "extra_body": {"temperature": 0},
}

# Messages, whole.
whole = create(**request)
text = whole.content[0].text
assert (whole.type, whole.role, whole.stop_reason, whole.stop_sequence) == ("message", "assistant", "max_tokens", None), whole
assert text and whole.usage.output_tokens == 20 and whole.id.startswith("msg_") and whole._request_id, whole
read = create(**request).usage
assert read.cache_read_input_tokens > 0 and read.input_tokens + read.cache_read_input_tokens == whole.usage.input_tokens + whole.usage.cache_read_input_tokens
count = client.messages.count_tokens(model="tiny", system=request["system"], messages=request["messages"])
assert count.input_tokens == read.input_tokens + read.cache_read_input_tokens, (count, read)

# Streamed.
events = list(create(**request, stream=True))
assert [e.type for e in events if e.type != "content_block_delta"] == [
    "message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop",
], events
assert "".join(e.delta.text for e in events if e.type == "content_block_delta") == text
with client.messages.stream(**request) as stream:
    assert "".join(stream.text_stream) == text
    final = stream.get_final_message()
assert final.content[0].text == text and final.stop_reason == "max_tokens" and final.usage.output_tokens == 20, final


async def same():
    async with anthropic.AsyncAnthropic(base_url=OPEN, api_key="none") as client:
        answers = await asyncio.gather(*(client.messages.create(**request) for _ in range(4)))
        return [a.content[0].text for a in answers]


assert asyncio.run(same()) == [text] * 4

# Tools: a call that is forced, typed, whole and streamed; its result goes back.
tool = {"name": "get", "input_schema": {"type": "object", "properties": {"city": {"enum": ["Bern"]}}, "required": ["city"]}}
calling = {"model": "tiny", "max_tokens": 200, "messages": [{"role": "user", "content": "Go."}], "extra_body": {"temperature": 0},
           "tools": [tool], "tool_choice": {"type": "tool", "name": "get"}}
called = create(**calling)
with client.messages.stream(**calling) as stream:
    kinds = [e.type for e in stream]
    final = stream.get_final_message()
for message in (called, final):
    assert [(b.type, b.name, b.input) for b in message.content] == [("tool_use", "get", {"city": "Bern"})], message
    assert message.stop_reason == "tool_use" and message.content[0].id.startswith("toolu_"), message
assert kinds.count("input_json") > 1, kinds
result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called.content[0].id, "content": "Sun."}]}
answered = {"model": "tiny", "max_tokens": 5, "messages": calling["messages"] + [{"role": "assistant", "content": called.content}, result]}
assert create(**answered).usage.output_tokens == 5
assert client.messages.count_tokens(model="tiny", messages=calling["messages"], tools=[tool]).input_tokens > 100

# A stop sequence, an answer sent back, leaving in the middle.
stop = text[5]
stopped = create(**request, stop_sequences=[stop])
assert (stopped.stop_reason, stopped.stop_sequence, stopped.content[0].text) == ("stop_sequence", stop, text[: text.index(stop)]), stopped
again = {**request, "messages": request["messages"] + [{"role": "assistant", "content": whole.content}, {"role": "user", "content": "And?"}]}
assert create(**again).stop_reason == "max_tokens"
with create(**{**request, "max_tokens": 400}, stream=True) as stream:
    next(iter(stream))


def refused(error, change, status, kind):
    for stream in (False, True):
        e = raises(error, lambda: create(**{**request, **change}, stream=stream), status_code=status)
        assert e.body["error"]["type"] == kind and e.body["request_id"] == e.request_id, (e.body, e.request_id)


refused(anthropic.NotFoundError, {"model": "other"}, 404, "not_found_error")
refused(anthropic.BadRequestError, {"messages": []}, 400, "invalid_request_error")
refused(anthropic.BadRequestError, {"extra_body": {"temperature": -1}}, 400, "invalid_request_error")
refused(anthropic.BadRequestError, {"messages": [{"role": "user", "content": LONG}]}, 400, "invalid_request_error")
refused(anthropic.RequestTooLargeError, {"messages": [{"role": "user", "content": HUGE}]}, 413, "request_too_large")
e = raises(anthropic.PermissionDeniedError, lambda: client.with_options(default_headers=FOREIGN).messages.create(**request), status_code=403)
assert e.body["error"]["type"] == "permission_error", e.body
raises(anthropic.APIConnectionError, lambda: client.with_options(base_url=NOBODY).messages.create(**request))

# The server that wants a key.
strict = anthropic.Anthropic(base_url=STRICT, api_key=KEY, max_retries=0)
endless = {"model": "tiny", "messages": [{"role": "user", "content": "Go on."}], "max_tokens": 150000, "extra_body": {"temperature": 0}}
short = {**endless, "max_tokens": 1}
raises(anthropic.AuthenticationError, lambda: strict.with_options(api_key="wrong").messages.create(**short), status_code=401)
with strict.messages.create(**endless, stream=True) as stream:
    next(iter(stream))
    e = raises(anthropic.ServiceUnavailableError, lambda: strict.messages.create(**short), status_code=503)
    assert e.body["error"]["type"] == "overloaded_error" and int(e.response.headers["retry-after"]) > 0, e.body
until(lambda: strict.messages.create(**short), anthropic.InternalServerError)
stream = strict.messages.create(**endless, stream=True)
e = raises(anthropic.APIStatusError, lambda: list(stream))  # inside the stream
assert e.body["error"]["type"] == "api_error" and "--request-timeout" in e.body["error"]["message"], e.body
until(lambda: strict.messages.create(**short), anthropic.InternalServerError)
e = raises(anthropic.GatewayTimeoutError, lambda: strict.messages.create(**endless, timeout=60), status_code=504)
assert "--request-timeout" in e.body["error"]["message"], e.body
until(lambda: strict.messages.create(**short), anthropic.InternalServerError)
raises(anthropic.APITimeoutError, lambda: strict.with_options(timeout=0.3).messages.create(**endless))
until(lambda: strict.messages.create(**short), anthropic.InternalServerError)
e = limited(anthropic.RateLimitError, lambda: strict.messages.create(**short), status_code=429)
assert e.body["error"]["type"] == "rate_limit_error", e.body
print("passed")
