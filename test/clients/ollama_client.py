"""The official Python client of the Ollama API against the server at argv[1]. Prints "passed" or raises."""

import sys

import ollama

client = ollama.Client(host=sys.argv[1])
request = {"model": "tiny", "prompt": "Say it.", "options": {"num_predict": 20, "temperature": 0}}

whole = client.generate(**request)
assert whole.done and whole.done_reason == "length" and whole.eval_count == 20 and whole.response, whole
assert len(whole.context) == whole.prompt_eval_count + whole.eval_count, whole

parts = list(client.generate(**request, stream=True))
assert len(parts) > 1 and [p.done for p in parts] == [False] * (len(parts) - 1) + [True], parts
assert "".join(p.response for p in parts) == whole.response, parts
assert parts[-1].context == whole.context, parts[-1]

listed = client.list().models
assert [m.model.removesuffix(":latest") for m in listed] == ["tiny"] and listed[0].modified_at and listed[0].size, listed


def refused(change, status, says):
    try:
        client.generate(**{**request, **change})
    except ollama.ResponseError as e:
        assert e.status_code == status and says in e.error, e
    else:
        raise AssertionError(f"{change} was accepted")


refused({"model": "other"}, 404, "'other' not found")
refused({"options": {"temperature": -1}}, 400, "options.temperature")
refused({"prompt": "1 2 3 " * 500}, 400, "512 tokens")
print("passed")
