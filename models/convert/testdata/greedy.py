"""Continues prompts greedily over model directories with Python's onnxruntime: a plain loop, past from the run before.

greedy.py REQUEST...: each REQUEST is a JSON file {"dir", "prompts": [ids...], "steps"}. Writes REQUEST.out: for each prompt the
ids, and all logits after the prompt.
"""
import json
import sys

import numpy as np
import onnxruntime as ort

types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
options = ort.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = 1
for path in sys.argv[1:]:
    request = json.load(open(path))
    session = ort.InferenceSession(request["dir"] + "/model.onnx", options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    empty = {
        i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), types[i.type])
        for i in session.get_inputs()
        if i.name.startswith("past_key_values.")
    }
    answers = []
    for prompt in request["prompts"]:
        step, length, past, ids, first = prompt, 0, empty, [], None
        while len(ids) < request["steps"]:
            length += len(step)
            feeds = {"input_ids": np.array([step], np.int64), "attention_mask": np.ones((1, length), np.int64), **past}
            out = dict(zip(names, session.run(names, feeds)))
            past = {n: out[n.replace("past_key_values", "present")] for n in past}
            row = out["logits"][0, -1]
            first = row.tolist() if first is None else first
            step = [int(row.argmax())]
            ids += step
        answers.append({"ids": ids, "logits": first})
    json.dump(answers, open(path + ".out", "w"))
