"""Greedy decoding with nothing but ONNX Runtime: the reference that the server's ids are compared with.

    python reference.py GRAPH THREADS <requests.json >answers.json

requests.json: {"max_tokens": N, "stop": [ids], "prompts": [[ids], ...]}; answers.json: [[ids], ...], each with the stop token that
ended it, if one did.
"""

import json
import sys

import numpy as np
import onnxruntime as ort


def types(session):
    """Shapes and dtypes of the graph's inputs by name."""
    numpy = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}
    return {i.name: (i.shape, numpy[i.type]) for i in session.get_inputs()}


def generate(session, prompt, max_tokens, stop):
    inputs, outputs = types(session), [o.name for o in session.get_outputs()]
    past = {}
    for name, (shape, dtype) in inputs.items():
        if name.startswith("past_key_values."):
            past[name] = np.zeros((1, shape[1], 0, shape[3]), dtype)
    answer, tokens, length = [], prompt, 0
    while len(answer) < max_tokens:
        feed = dict(past, input_ids=np.array([tokens], np.int64))
        feed["attention_mask"] = np.ones((1, length + len(tokens)), np.int64)
        if "position_ids" in inputs:
            feed["position_ids"] = np.arange(length, length + len(tokens), dtype=np.int64)[None]
        result = dict(zip(outputs, session.run(None, feed)))
        length += len(tokens)
        past = {name: result[name.replace("past_key_values", "present")] for name in past}
        token = int(result["logits"][0, -1].argmax())  # the lowest id at a tie
        answer.append(token)
        if token in stop:
            break
        tokens = [token]
    return answer


def main():
    graph, threads = sys.argv[1:]
    request = json.load(sys.stdin)
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    answers = [generate(session, p, request["max_tokens"], request["stop"]) for p in request["prompts"]]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
