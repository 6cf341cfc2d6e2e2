"""LiteLLM on a tour, by way of its providers for OpenAI, Ollama and Anthropic. Prints "passed" or raises."""

import asyncio
import logging

import litellm

from tour import FOREIGN, HUGE, KEY, LONG, NOBODY, OPEN, STRICT, limited, raises, until

litellm.suppress_debug_info = True
litellm.telemetry = False
logging.disable(logging.CRITICAL)
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say it."}]
providers = {
    "openai": {"model": "openai/tiny", "api_base": OPEN + "/v1", "api_key": "none"},
    "ollama": {"model": "ollama_chat/tiny", "api_base": OPEN},
    "anthropic": {"model": "anthropic/tiny", "api_base": OPEN, "api_key": "none"},
}

texts = set()
for name, provider in providers.items():
    request = {**provider, "messages": messages, "max_tokens": 20, "temperature": 0, "num_retries": 0}
    whole = litellm.completion(**request)
    text = whole.choices[0].message.content
    assert text and whole.usage.completion_tokens == 20 and whole.usage.prompt_tokens > 0, (name, whole)
    assert whole.choices[0].finish_reason == "length", (name, whole)
    chunks = list(litellm.completion(**request, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text, (name, chunks)
    assert asyncio.run(litellm.acompletion(**request)).choices[0].message.content == text
    texts.add(text)
    raises(litellm.NotFoundError, lambda: litellm.completion(**{**request, "model": provider["model"] + "s"}))
assert len(texts) == 1, texts

openai = {**providers["openai"], "messages": messages, "max_tokens": 20, "temperature": 0, "num_retries": 0}
raises(litellm.ContextWindowExceededError, lambda: litellm.completion(**{**openai, "messages": [{"role": "user", "content": LONG}]}))
raises(litellm.BadRequestError, lambda: litellm.completion(**{**openai, "temperature": -1}))
raises(litellm.APIError, lambda: litellm.completion(**openai, extra_headers=FOREIGN), status_code=403)  # its type for every other status
raises(litellm.APIError, lambda: litellm.completion(**{**openai, "messages": [{"role": "user", "content": HUGE}]}), status_code=413)
raises((litellm.APIConnectionError, litellm.InternalServerError), lambda: litellm.completion(**{**openai, "api_base": NOBODY + "/v1"}))
assert litellm.text_completion(model="text-completion-openai/tiny", api_base=OPEN + "/v1", api_key="none", prompt="Say it.", max_tokens=8).choices[0].text

strict = {"model": "openai/tiny", "api_base": STRICT + "/v1", "api_key": KEY, "messages": [{"role": "user", "content": "Go on."}], "temperature": 0, "num_retries": 0, "max_retries": 0}
short = lambda: litellm.completion(**strict, max_tokens=1)
busy = (litellm.ServiceUnavailableError, litellm.InternalServerError)
raises(litellm.AuthenticationError, lambda: litellm.completion(**{**strict, "api_key": "wrong"}, max_tokens=1))
stream = litellm.completion(**strict, stream=True)
next(stream)
raises(busy[0], short, status_code=503)
stream.completion_stream.close()
until(short, busy)
stream = litellm.completion(**strict, stream=True)
e = raises(litellm.exceptions.MidStreamFallbackError, lambda: list(stream))
assert "--request-timeout" in e.message, e
until(short, busy)
e = raises((litellm.Timeout, litellm.InternalServerError), lambda: litellm.completion(**strict))
assert "--request-timeout" in e.message, e
until(short, busy)
raises(litellm.Timeout, lambda: litellm.completion(**strict, timeout=0.3))
until(short, busy)
limited(litellm.RateLimitError, short, status_code=429)
print("passed")
