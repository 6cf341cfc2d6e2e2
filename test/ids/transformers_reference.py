"""What transformers answers in float32 with the default model's weights, as the gguf package dequantizes them: testdata/transformers.json.

    python transformers_reference.py MODEL.gguf TEXT >testdata/transformers.json

Needs torch 2.9.1, transformers 5.23.0 and gguf 0.19.0. Greedy decoding over transformers' own cache; for each step the 20 likeliest
tokens and their log-probabilities, and how much the largest is above the second. The last field is the mean of -log p(token) over the
first windows of TEXT, which is Isaac.Newton-Opticks.txt of Go's src/testdata (public domain): windows of 512 tokens, each by itself.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

STEPS, TOP, WINDOW, WINDOWS = 24, 20, 512, 42

CHAT = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [CHAT.format(q) for q in (
    "What is the capital of France?",
    "Explain in one sentence why the sky is blue.",
    "Write a Python function that adds two numbers.",
    "Was ist der höchste Berg der Welt?",
    "Why do cats purr? 🐈",
    "Name the planets of the solar system in order, then say which of them is the largest and how many moons it has. " * 6,
)] + [
    "The quick brown fox",
    "It was the best of times, it was the worst of times,",
    "def fibonacci(n):\n    ",
    "1, 1, 2, 3, 5, 8,",
]


@torch.no_grad()
def answer(model, ids):
    steps, cache, tokens = [], None, ids
    for _ in range(STEPS):
        out = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        top = torch.log_softmax(out.logits[0, -1].double(), -1).topk(TOP)
        steps.append({"ids": top.indices.tolist(), "logprobs": [round(v, 6) for v in top.values.tolist()]})
        tokens = [steps[-1]["ids"][0]]
    return steps


@torch.no_grad()
def mean_nll(model, ids):
    total = count = 0
    for i in range(WINDOWS):
        w = torch.tensor(ids[i * WINDOW : (i + 1) * WINDOW])
        logs = torch.log_softmax(model(w[None]).logits[0, :-1].double(), -1)
        total -= logs.gather(1, w[1:, None]).sum().item()
        count += len(w) - 1
    return {"tokens": count, "nll": round(total / count, 6)}


def main():
    path, text = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    encode = lambda t: tokenizer.encode(t, add_special_tokens=False)
    rows = [{"prompt": ids, "steps": answer(model, ids)} for ids in map(encode, PROMPTS)]
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
    print('{"answers":[\n%s],\n"text":%s}' % (lines, json.dumps(mean_nll(model, encode(text)[: WINDOW * WINDOWS]))))


main()
