"""How much a stored form of a model's weights loses, and how fast it decodes.

    python bench/quality.py REFERENCE MODEL...

Each is a model directory that `ortserve import` wrote; REFERENCE is the same file imported with --bits 32. Needs
onnxruntime, numpy and tokenizers. The text is bench/testdata/prose.txt and the head of LICENSE: windows of 512 tokens, all
logits of a window in one run. For each model:

  nll      mean of -log p(token), natural logarithm; the reference's is in the first line
  kl       mean of KL(reference || model) a position: what the form changes, without the text's own noise
  top1     share of positions whose likeliest token is the reference's
  decode   tokens a second of a loop of runs over a shared KV buffer at 64 to 160 tokens of context, batch 1
  prefill  tokens a second of a 256-token prompt with one row of logits
  MB       the weights' file

Speeds are those of the fastest of 10 rounds; models take turns within a round. THREADS (2) sets the threads.
"""
import os
import pathlib
import sys
import time

import numpy as np
import onnxruntime as ort
import tokenizers

WINDOW, CAPACITY, CONTEXT, STEPS, PROMPT, ROUNDS = 512, 512, 64, 96, 256, 10
root = pathlib.Path(__file__).parent


def open_session(folder):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(os.environ.get("THREADS", "2"))
    return ort.InferenceSession(folder + "/model.onnx", options, providers=["CPUExecutionProvider"])


def kv_inputs(session):
    return [i for i in session.get_inputs() if i.name.startswith("past_key_values.")]


def log_probabilities(session, windows):
    past = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32) for i in kv_inputs(session)}
    for w in windows:
        feeds = {"input_ids": np.array([w]), "attention_mask": np.ones((1, len(w)), np.int64), **past}
        x = session.run(["logits"], {**feeds, "num_logits_to_keep": np.array([len(w)])})[0][0, :-1]
        x -= x.max(-1, keepdims=True)
        yield x - np.log(np.exp(x).sum(-1, keepdims=True))


class Loop:
    """Runs over one KV buffer, as a server does: past and present are the same memory."""

    def __init__(self, session):
        self.session, self.binding = session, session.io_binding()
        self.kv = {
            i.name: ort.OrtValue.ortvalue_from_numpy(np.zeros((1, i.shape[1], CAPACITY, i.shape[3]), np.float32))
            for i in kv_inputs(session)
        }
        for name, value in self.kv.items():
            self.binding.bind_ortvalue_input(name, value)
            self.binding.bind_ortvalue_output(name.replace("past_key_values", "present"), value)

    def run(self, ids, length):
        mask = np.zeros((1, CAPACITY), np.int64)
        mask[0, :length] = 1
        self.binding.bind_cpu_input("input_ids", np.array([ids], np.int64))
        self.binding.bind_cpu_input("attention_mask", mask)
        self.binding.bind_output("logits")
        self.session.run_with_iobinding(self.binding)


def speeds(loops, ids):
    decode, prefill = [0.0] * len(loops), [0.0] * len(loops)
    for _ in range(ROUNDS):
        for n, loop in enumerate(loops):
            begin = time.perf_counter()
            loop.run(ids[:PROMPT], PROMPT)
            prefill[n] = max(prefill[n], PROMPT / (time.perf_counter() - begin))
            loop.run(ids[:CONTEXT], CONTEXT)
            begin = time.perf_counter()
            for i in range(CONTEXT, CONTEXT + STEPS):
                loop.run(ids[i : i + 1], i + 1)
            decode[n] = max(decode[n], STEPS / (time.perf_counter() - begin))
    return decode, prefill


def main():
    folders = sys.argv[1:]
    text = (root / "testdata/prose.txt").read_text() + "\n" + (root.parent / "LICENSE").read_text()[:7000]
    ids = tokenizers.Tokenizer.from_file(folders[0] + "/tokenizer.json").encode(text, add_special_tokens=False).ids
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids) - WINDOW, WINDOW)]
    targets = [np.array(w[1:]) for w in windows]
    count = sum(len(t) for t in targets)
    reference = list(log_probabilities(open_session(folders[0]), windows))

    def nll(rows):
        return -sum(x[np.arange(len(t)), t].sum() for x, t in zip(rows, targets)) / count

    print(f"{count} tokens, reference nll {nll(reference):.4f}", flush=True)
    loops = []
    for folder in folders[1:]:
        session = open_session(folder)
        got = list(log_probabilities(session, windows))
        kl = sum((np.exp(r) * (r - g)).sum() for r, g in zip(reference, got)) / count
        top = sum((r.argmax(-1) == g.argmax(-1)).sum() for r, g in zip(reference, got)) / count
        size = os.path.getsize(folder + "/model.onnx.data") / 1e6
        print(f"{folder}: nll {nll(got):.4f} kl {kl:.4f} top1 {top:.3f} {size:.0f} MB", flush=True)
        loops.append(Loop(session))
    for folder, d, p in zip(folders[1:], *speeds(loops, ids)):
        print(f"{folder}: decode {d:.0f} prefill {p:.0f}")


main()
