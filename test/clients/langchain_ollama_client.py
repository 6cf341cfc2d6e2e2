"""LangChain's ChatOllama and OllamaLLM on a tour. Prints "passed" or raises."""

import asyncio

import httpx
import ollama
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_ollama import ChatOllama, OllamaLLM

from tour import FOREIGN, HUGE, KEY, LONG, NOBODY, OPEN, STRICT, limited, raises, until


def model(**change):
    return ChatOllama(**{"model": "tiny", "base_url": OPEN, "temperature": 0, "num_predict": 20, **change})


llm = model(validate_model_on_init=True)
messages = [SystemMessage("Be brief."), HumanMessage("Say it.")]

whole = llm.invoke(messages)
assert whole.content and whole.response_metadata["done_reason"] == "length", whole
assert whole.usage_metadata["output_tokens"] == 20 and whole.usage_metadata["input_tokens"] > 0, whole
assert "".join(c.content for c in llm.stream(messages)) == whole.content
assert [a.content for a in llm.batch([messages, "Hi"])][0] == whole.content
assert asyncio.run(llm.ainvoke(messages)).content == whole.content
assert llm.invoke(messages + [AIMessage(whole.content), HumanMessage("And?")]).content
assert whole.content.startswith(llm.bind(stop=[whole.content[5]]).invoke(messages).content)
assert model(keep_alive="5m", num_ctx=256, seed=1, top_k=5, top_p=0.9, repeat_penalty=1.1).invoke(messages).content
text = OllamaLLM(model="tiny", base_url=OPEN, temperature=0, num_predict=8)
assert text.invoke("Say it.") == "".join(text.stream("Say it."))

raises(ValueError, lambda: model(model="other", validate_model_on_init=True))
raises(ollama.ResponseError, lambda: model(model="other").invoke("Hi"), status_code=404)
assert "512 tokens" in raises(ollama.ResponseError, lambda: llm.invoke(LONG), status_code=400).error
raises(ollama.ResponseError, lambda: model(temperature=-1).invoke("Hi"), status_code=400)
raises(ollama.ResponseError, lambda: model(client_kwargs={"headers": FOREIGN}).invoke("Hi"), status_code=403)
raises(ollama.ResponseError, lambda: llm.invoke(HUGE), status_code=413)
raises(httpx.ConnectError, lambda: model(base_url=NOBODY).invoke("Hi"))


def keyed(key, **more):
    return {"base_url": STRICT, "client_kwargs": {"headers": {"Authorization": "Bearer " + key}, **more}}


brief = model(**keyed(KEY), num_predict=1)
short = lambda: brief.invoke("Go on.")
raises(ollama.ResponseError, lambda: model(**keyed("wrong")).invoke("Hi"), status_code=401)
stream = model(**keyed(KEY), num_predict=-1).stream("Go on.")
next(stream)
raises(ollama.ResponseError, short, status_code=503)
stream.close()
until(short, ollama.ResponseError)
stream = model(**keyed(KEY), num_predict=-1).stream("Go on.")
assert "--request-timeout" in raises(ollama.ResponseError, lambda: list(stream)).error
until(short, ollama.ResponseError)
# It streams whatever it is asked, so that only silence is a timeout: the stream ends with the server's.
assert "--request-timeout" in raises(ollama.ResponseError, lambda: model(**keyed(KEY, timeout=httpx.Timeout(1)), num_predict=-1).invoke("Go on.")).error
until(short, ollama.ResponseError)
raises(httpx.ReadTimeout, lambda: model(**keyed(KEY, timeout=httpx.Timeout(0.001)), num_predict=-1).invoke("Go on."))
until(short, ollama.ResponseError)
limited(ollama.ResponseError, short, status_code=429)
print("passed")
