"""LangChain's ChatOpenAI on a tour. Prints "passed" or raises."""

import asyncio

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from tour import FOREIGN, HUGE, KEY, LONG, NOBODY, OPEN, STRICT, limited, raises, until


def model(**change):
    return ChatOpenAI(**{"model": "tiny", "base_url": OPEN + "/v1", "api_key": "none", "max_retries": 0, "temperature": 0, "max_tokens": 20, **change})


llm = model()
messages = [SystemMessage("Be brief."), HumanMessage("Say it.")]

whole = llm.invoke(messages)
assert whole.content and whole.response_metadata["finish_reason"] == "length", whole
assert whole.usage_metadata["output_tokens"] == 20 and whole.usage_metadata["input_tokens"] > 0, whole
chunks = list(llm.stream(messages, stream_usage=True))
joined = chunks[0]
for chunk in chunks[1:]:
    joined += chunk
assert joined.content == whole.content and joined.usage_metadata["output_tokens"] == 20, joined
assert [a.content for a in llm.batch([messages, "Hi"])][0] == whole.content
assert asyncio.run(llm.ainvoke(messages)).content == whole.content
assert llm.invoke(messages + [AIMessage(whole.content), HumanMessage("And?")]).content
assert llm.invoke([HumanMessage([{"type": "text", "text": "Say it."}])]).content
assert model(n=2).generate([messages]).generations[0][1].text
assert whole.content.startswith(llm.bind(stop=[whole.content[5]]).invoke(messages).content)
assert model(use_responses_api=True).invoke(messages).text == whole.content
assert "".join(c.text for c in model(use_responses_api=True).stream(messages)) == whole.content

raises(openai.NotFoundError, lambda: model(model="other").invoke("Hi"), status_code=404)
e = raises(openai.BadRequestError, lambda: llm.invoke(LONG), code="context_length_exceeded")
assert type(e).__name__ in ("OpenAIContextOverflowError", "BadRequestError"), type(e)  # LangChain knows the words
raises(openai.BadRequestError, lambda: model(temperature=-1).invoke("Hi"), param="temperature")
raises(openai.PermissionDeniedError, lambda: model(default_headers=FOREIGN).invoke("Hi"), status_code=403)
raises(openai.APIStatusError, lambda: llm.invoke(HUGE), status_code=413, code="request_too_large")
raises(openai.APIConnectionError, lambda: model(base_url=NOBODY + "/v1").invoke("Hi"))

strict = {"base_url": STRICT + "/v1", "api_key": KEY}
brief = model(**strict, max_tokens=1)
short = lambda: brief.invoke("Go on.")
raises(openai.AuthenticationError, lambda: model(**{**strict, "api_key": "wrong"}).invoke("Hi"), status_code=401)
stream = model(**strict, max_tokens=None).stream("Go on.")
next(stream)
raises(openai.InternalServerError, short, status_code=503)
stream.close()
until(short, openai.InternalServerError)
stream = model(**strict, max_tokens=None).stream("Go on.")
raises(openai.APIError, lambda: list(stream), code="request_timeout")
until(short, openai.InternalServerError)
raises(openai.InternalServerError, lambda: model(**strict, max_tokens=None).invoke("Go on."), status_code=504, code="request_timeout")
until(short, openai.InternalServerError)
raises(openai.APITimeoutError, lambda: model(**strict, max_tokens=None, timeout=0.3).invoke("Go on."))
until(short, openai.InternalServerError)
limited(openai.RateLimitError, short, status_code=429)
print("passed")
