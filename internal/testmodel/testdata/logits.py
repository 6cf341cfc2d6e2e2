"""Runs model directories in Python's onnxruntime and writes their logits.

logits.py TOKENS DIR...: TOKENS is a JSON list of ids. Writes into each DIR, float32, one row of the vocabulary a position:
  whole.f32   the whole prompt in one run, all logits kept
  last.f32    the whole prompt in one run, num_logits_to_keep left out
  steps.f32   the first half in one run, then a token a run over the past that the run before gave
"""
import json
import sys

import numpy as np
import onnxruntime as ort

tokens = np.array([json.loads(sys.argv[1])], np.int64)
options = ort.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
for folder in sys.argv[2:]:
    session = ort.InferenceSession(folder + "/model.onnx", options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    past = {
        i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32)
        for i in session.get_inputs()
        if i.name.startswith("past_key_values.")
    }

    def run(past, begin, end, **more):
        feeds = {"input_ids": tokens[:, begin:end], "attention_mask": np.ones((1, end), np.int64), **past, **more}
        out = dict(zip(names, session.run(names, feeds)))
        return out["logits"][0], {n: out[n.replace("past_key_values", "present")] for n in past}

    length = tokens.shape[1]
    everything = np.array([length], np.int64)
    run(past, 0, length, num_logits_to_keep=everything)[0].tofile(folder + "/whole.f32")
    run(past, 0, length)[0].tofile(folder + "/last.f32")
    half = length // 2
    rows, past = run(past, 0, half, num_logits_to_keep=np.array([half], np.int64))
    steps = [rows]
    for i in range(half, length):
        rows, past = run(past, i, i + 1)
        steps.append(rows)
    np.concatenate(steps).tofile(folder + "/steps.f32")
