"""Runs a model directory with onnxruntime-genai, a round for each line of standard input.

A line is {"batch": B, "prompt": P, "tokens": N, "seed": S}: B sequences of P random tokens, N more decoded greedily. The
answer is a line too: seconds of the prompts' run and of the N - 1 steps after the first token. The first line written tells
the version.
"""
import json
import sys
import time

import numpy as np
import onnxruntime_genai as og

model = og.Model(sys.argv[1])
vocab = json.load(open(sys.argv[1] + "/genai_config.json"))["model"]["vocab_size"]
print(json.dumps({"version": og.__version__}), flush=True)
for line in sys.stdin:
    task = json.loads(line)
    batch, prompt, tokens = task["batch"], task["prompt"], task["tokens"]
    length = prompt + tokens
    params = og.GeneratorParams(model)
    params.set_search_options(batch_size=batch, max_length=length, min_length=length, do_sample=False)
    # ids away from the vocabulary's ends, where control tokens are
    ids = np.random.default_rng(task["seed"]).integers(1000, vocab - 1000, (batch, prompt), dtype=np.int32)
    generator = og.Generator(model, params)
    begin = time.perf_counter()
    generator.append_tokens(ids)
    generator.generate_next_token()
    first = time.perf_counter()
    for _ in range(tokens - 1):
        generator.generate_next_token()
    end = time.perf_counter()
    got = [len(generator.get_sequence(i)) for i in range(batch)]
    if got != [length] * batch:
        sys.exit(f"sequences of {got} tokens, {length} are expected")
    del generator
    print(json.dumps({"prefill_s": first - begin, "decode_s": end - first}), flush=True)
