"""Log-probabilities with nothing but ONNX Runtime and numpy in float64: the reference that the server's are compared with.

    python logprobs.py GRAPH THREADS <requests.json >answers.json

requests.json: {"top": N, "texts": [{"prompt": [ids], "answer": [ids]}, ...]}. answers.json: of each text {"decode": rows, "prefill": rows}. A row
is {"own": the token's log-probability, "rank": from 1 on, "ids": the N most probable tokens, "top": theirs}. The rows of decode are those of
the answer's tokens, computed one by one after the prompt; those of prefill are of all tokens but the first, computed in one run.
"""

import json
import sys

import numpy as np
import onnxruntime as ort

from reference import types


class Text:
    """The timeline of one text: what run computes follows what was computed before."""

    def __init__(self, session):
        self.session, self.inputs, self.length = session, types(session), 0
        self.outputs = [o.name for o in session.get_outputs()]
        self.past = {
            name: np.zeros((1, shape[1], 0, shape[3]), dtype)
            for name, (shape, dtype) in self.inputs.items()
            if name.startswith("past_key_values.")
        }

    def run(self, tokens, logits):
        feed = dict(self.past, input_ids=np.array([tokens], np.int64))
        self.length += len(tokens)
        feed["attention_mask"] = np.ones((1, self.length), np.int64)
        if logits > 1:
            (name,) = [i for i in self.session.get_overridable_initializers() if i.name == "num_logits_to_keep"]
            feed[name.name] = np.full(name.shape, logits, np.int64)
        result = dict(zip(self.outputs, self.session.run(None, feed)))
        self.past = {name: result[name.replace("past_key_values", "present")] for name in self.past}
        return result["logits"][0, -logits:].astype(np.float64)


def row(logits, token, top):
    logprobs = logits - logits.max()
    logprobs -= np.log(np.exp(logprobs).sum())
    ids = np.argsort(-logprobs, kind="stable")
    return {
        "own": float(logprobs[token]),
        "rank": int(np.flatnonzero(ids == token)[0]) + 1,
        "ids": ids[:top].tolist(),
        "top": logprobs[ids[:top]].tolist(),
    }


def main():
    graph, threads = sys.argv[1:]
    request = json.load(sys.stdin)
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    answers = []
    for text in request["texts"]:
        prompt, answer = text["prompt"], text["answer"]
        decode, one = [], Text(session)
        logits = one.run(prompt, 1)
        for i, token in enumerate(answer):
            decode.append(row(logits[-1], token, request["top"]))
            if i + 1 < len(answer):
                logits = one.run([token], 1)
        tokens = prompt + answer
        whole = Text(session).run(tokens, len(tokens))
        prefill = [row(whole[i], tokens[i + 1], request["top"]) for i in range(len(tokens) - 1)]
        answers.append({"decode": decode, "prefill": prefill})
    json.dump(answers, sys.stdout)


main()
