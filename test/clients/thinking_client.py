"""The official Python clients of OpenAI, Ollama and Anthropic with a model that thinks before it answers. Prints "passed" or raises.

Its prompt opens the thoughts; the call that is forced closes them, however random its weights.
"""

import json

import anthropic
import ollama
import openai

from tour import OPEN, raises

parameters = {"type": "object", "properties": {"city": {"enum": ["Bern"]}}, "required": ["city"]}
tool = {"type": "function", "function": {"name": "get", "parameters": parameters}}
messages = [{"role": "user", "content": "Go."}]
said = {"city": "Bern"}

# OpenAI's chat completions.
client = openai.OpenAI(base_url=OPEN + "/v1", api_key="none", max_retries=0)
request = {"model": "tiny", "messages": messages, "temperature": 0, "max_tokens": 150, "tools": [tool], "tool_choice": "required", "parallel_tool_calls": False}
whole = client.chat.completions.create(**request)
message = whole.choices[0].message
thoughts = message.reasoning_content
assert thoughts and message.content is None and whole.choices[0].finish_reason == "tool_calls", whole
assert json.loads(message.tool_calls[0].function.arguments) == said, whole
assert 0 < whole.usage.completion_tokens_details.reasoning_tokens < whole.usage.completion_tokens, whole.usage
with client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
    chunks = [e.chunk for e in stream if e.type == "chunk"]
    final = stream.get_final_completion()
assert "".join(getattr(c.choices[0].delta, "reasoning_content", None) or "" for c in chunks if c.choices) == thoughts, chunks
assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == said and final.usage == whole.usage.model_copy(update={"prompt_tokens_details": final.usage.prompt_tokens_details}), final
quiet = client.chat.completions.create(**request, reasoning_effort="none").choices[0].message
assert not hasattr(quiet, "reasoning_content") and json.loads(quiet.tool_calls[0].function.arguments) == said, quiet

# OpenAI's responses.
flat = {"type": "function", "name": "get", "parameters": parameters, "strict": True}
ask = {"model": "tiny", "input": "Go.", "tools": [flat], "tool_choice": "required", "parallel_tool_calls": False, "temperature": 0, "max_output_tokens": 150}
response = client.responses.create(**ask)
assert [i.type for i in response.output] == ["reasoning", "function_call"] and response.output[0].content[0].text == thoughts, response
assert response.usage.output_tokens_details.reasoning_tokens == whole.usage.completion_tokens_details.reasoning_tokens, response.usage
with client.responses.stream(**ask) as stream:
    events = list(stream)
    final = stream.get_final_response()
assert "".join(e.delta for e in events if e.type == "response.reasoning_text.delta") == thoughts, [e.type for e in events]
assert [i.type for i in final.output] == ["reasoning", "function_call"] and final.output[0].content[0].text == thoughts and json.loads(final.output[1].arguments) == said, final
back = [{"role": "user", "content": "Go."}, *response.output, {"type": "function_call_output", "call_id": response.output[1].call_id, "output": "Sun."}]
assert client.responses.create(model="tiny", input=back, max_output_tokens=5).usage.output_tokens == 5

# Ollama's. A schema closes the thoughts.
client = ollama.Client(host=OPEN)
assert "thinking" in client.show("tiny").capabilities
options = {"temperature": 0, "num_predict": 150}
chat = {"model": "tiny", "messages": messages, "options": options, "format": parameters}
answer = client.chat(**chat, think=True)
assert answer.message.thinking and json.loads(answer.message.content) == said and answer.done_reason == "stop", answer
parts = list(client.chat(**chat, think=True, stream=True))
assert "".join(p.message.thinking or "" for p in parts) == answer.message.thinking and "".join(p.message.content for p in parts) == answer.message.content, parts
assert client.chat(**chat, think=False).message.thinking is None
answer = client.generate("tiny", "Go.", think="high", format=parameters, options=options)
assert answer.thinking and json.loads(answer.response) == said, answer

# Anthropic's.
client = anthropic.Anthropic(base_url=OPEN, api_key="none", max_retries=0)
request = {"model": "tiny", "max_tokens": 150, "messages": messages, "tools": [{"name": "get", "input_schema": parameters}], "extra_body": {"temperature": 0},
           "tool_choice": {"type": "tool", "name": "get"}, "thinking": {"type": "enabled", "budget_tokens": 1024}}
whole = client.messages.create(**request)
with client.messages.stream(**request) as stream:
    kinds = [e.type for e in stream]
    final = stream.get_final_message()
for message in (whole, final):
    assert [b.type for b in message.content] == ["thinking", "tool_use"] and message.content[0].thinking and message.content[1].input == said, message
assert whole.content[0].thinking == final.content[0].thinking and kinds.count("thinking") > 1, kinds
again = messages + [{"role": "assistant", "content": whole.content}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": whole.content[1].id, "content": "Sun."}]}]
assert client.messages.create(model="tiny", max_tokens=5, messages=again).usage.output_tokens == 5
quiet = client.messages.create(**{**request, "thinking": {"type": "disabled"}})
assert [b.type for b in quiet.content] == ["tool_use"], quiet
raises(anthropic.BadRequestError, lambda: client.messages.create(**{**request, "thinking": {"type": "sometimes"}}), status_code=400)
print("passed")
