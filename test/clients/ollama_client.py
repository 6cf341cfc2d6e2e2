"""The official Python client of the Ollama API on a tour. Prints "passed" or raises."""

import asyncio
import json

import httpx
import ollama

from tour import FOREIGN, HUGE, KEY, LONG, NOBODY, OPEN, STRICT, limited, raises, until

client = ollama.Client(host=OPEN)
options = {"num_predict": 20, "temperature": 0}
request = {"model": "tiny", "prompt": "Say it.", "options": options}

# Generate, whole and streamed.
whole = client.generate(**request)
assert whole.done and whole.done_reason == "length" and whole.eval_count == 20 and whole.response, whole
assert len(whole.context) == whole.prompt_eval_count + whole.eval_count, whole
assert whole.total_duration > 0 and whole.prompt_eval_duration > 0 and whole.eval_duration > 0 and whole.created_at, whole
parts = list(client.generate(**request, stream=True))
assert len(parts) > 1 and [p.done for p in parts] == [False] * (len(parts) - 1) + [True], parts
assert "".join(p.response for p in parts) == whole.response, parts
assert parts[-1].context == whole.context, parts[-1]
assert parts[-1].prompt_eval_count == whole.prompt_eval_count, "a cached prompt counts too"

# Raw, a system prompt, a context, a stop string; a model that is loaded, and no more.
assert client.generate(**request, raw=True).context is None
assert client.generate(**request, system="Be brief.").prompt_eval_count > whole.prompt_eval_count
assert client.generate(**request, context=whole.context).prompt_eval_count > len(whole.context)
stop = whole.response[5]
assert client.generate(**{**request, "options": {**options, "stop": [stop]}}).response == whole.response[: whole.response.index(stop)]
load = client.generate(model="tiny")
assert load.done and load.done_reason == "load" and load.response == "", load

# Chat, whole and streamed.
messages = [{"role": "system", "content": "Be brief."}, ollama.Message(role="user", content="Say it.")]
chat = client.chat("tiny", messages, options=options, keep_alive="5m")
assert chat.message.role == "assistant" and chat.message.content and chat.eval_count == 20 and chat.done_reason == "length", chat
parts = list(client.chat("tiny", messages, options=options, stream=True))
assert "".join(p.message.content for p in parts) == chat.message.content and parts[-1].done, parts
assert client.chat("tiny", messages + [chat.message, {"role": "user", "content": "And?"}], options=options).done
assert client.chat("tiny").done_reason == "load"


async def same():
    client = ollama.AsyncClient(host=OPEN)
    answers = await asyncio.gather(*(client.chat("tiny", messages, options=options) for _ in range(4)))
    parts = [p.message.content async for p in await client.chat("tiny", messages, options=options, stream=True)]
    return [a.message.content for a in answers] + ["".join(parts)]


assert asyncio.run(same()) == [chat.message.content] * 5

# Tools: a call, whole and streamed; its result goes back. The client knows no tool_choice, by which the server forces one.
class Forced(httpx.HTTPTransport):
    def handle_request(self, request):
        body = json.loads(request.content) | {"tool_choice": "required", "parallel_tool_calls": False}
        return super().handle_request(httpx.Request(request.method, request.url, json=body))


forced = ollama.Client(host=OPEN, transport=Forced())
tool = {"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Bern"]}}, "required": ["city"]}}}
calling = {"model": "tiny", "messages": [{"role": "user", "content": "Go."}], "tools": [tool], "options": {"temperature": 0}}
called = forced.chat(**calling)
parts = list(forced.chat(**calling, stream=True))
for calls in (called.message.tool_calls, [c for p in parts for c in p.message.tool_calls or []]):
    assert [(c.function.name, dict(c.function.arguments)) for c in calls] == [("get", {"city": "Bern"})], calls
assert called.done_reason == parts[-1].done_reason == "stop" and called.message.content == "", (called, parts)
result = {"role": "tool", "tool_name": "get", "content": "Sun."}
assert client.chat("tiny", calling["messages"] + [called.message, result], options={"num_predict": 5}).eval_count == 5
assert "tools" in client.show("tiny").capabilities

# Leaving in the middle.
stream = client.generate(**{**request, "options": {"num_predict": 400}}, stream=True)
next(stream)
stream.close()

# Models.
listed = client.list().models
assert [m.model.removesuffix(":latest") for m in listed] == ["tiny"] and listed[0].modified_at and listed[0].size, listed
running = client.ps().models
assert [m.model for m in running] == [listed[0].model] and running[0].expires_at and running[0].context_length == 512, running
shown = client.show("tiny")
assert shown.modelinfo["llama.context_length"] == 512 and shown.template and "completion" in shown.capabilities, shown


def refused(change, status, says):
    for stream in (False, True):
        e = raises(ollama.ResponseError, lambda: list(client.generate(**{**request, **change}, stream=stream)), status_code=status)
        assert says in e.error, e


refused({"model": "other"}, 404, "'other' not found")
refused({"options": {"temperature": -1}}, 400, "options.temperature")
refused({"prompt": LONG}, 400, "512 tokens")
refused({"suffix": "there"}, 400, "suffix")
refused({"images": [b"\x89PNG"]}, 400, "image input is not supported")
raises(ollama.ResponseError, lambda: client.show("other"), status_code=404)
assert "embeddings" in raises(ollama.ResponseError, lambda: client.embed("tiny", "hi"), status_code=400).error
raises(ollama.ResponseError, lambda: ollama.Client(host=OPEN, headers=FOREIGN).list(), status_code=403)
refused({"prompt": HUGE}, 413, "bytes")
raises(ConnectionError, lambda: ollama.Client(host=NOBODY).list())

# The server that wants a key.
strict = ollama.Client(host=STRICT, headers={"Authorization": "Bearer " + KEY})
hurried = ollama.Client(host=STRICT, headers={"Authorization": "Bearer " + KEY}, timeout=0.3)
endless = {"model": "tiny", "prompt": "Go on.", "options": {"temperature": 0}}
short = {**endless, "options": {"num_predict": 1}}
raises(ollama.ResponseError, lambda: ollama.Client(host=STRICT, headers={"Authorization": "Bearer wrong"}).list(), status_code=401)
stream = strict.generate(**endless, stream=True)
next(stream)
assert "--queue" in raises(ollama.ResponseError, lambda: strict.generate(**short), status_code=503).error
stream.close()
until(lambda: strict.generate(**short), ollama.ResponseError)
stream = strict.generate(**endless, stream=True)
assert "--request-timeout" in raises(ollama.ResponseError, lambda: list(stream)).error  # inside the stream
until(lambda: strict.generate(**short), ollama.ResponseError)
raises(ollama.ResponseError, lambda: strict.generate(**endless), status_code=504)
until(lambda: strict.generate(**short), ollama.ResponseError)
assert "admin" in raises(ollama.ResponseError, lambda: strict.delete("tiny"), status_code=403).error
raises(httpx.ReadTimeout, lambda: hurried.generate(**endless))
until(lambda: strict.generate(**short), ollama.ResponseError)
limited(ollama.ResponseError, lambda: strict.generate(**short), status_code=429)
print("passed")
