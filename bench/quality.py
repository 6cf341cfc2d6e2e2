"""How much a stored form of a model's weights loses, and how fast it decodes.

    python bench/quality.py REFERENCE MODEL...

Each is a model directory that `ortserve import` wrote; REFERENCE is the same file imported with --bits 32. Needs
onnxruntime, numpy and tokenizers. The text is bench/testdata/prose.txt and the head of LICENSE, or the first WINDOWS (42) windows of the file
that TEXT names: windows of 512 tokens, all logits of a window in one run. For each model:

  nll      mean of -log p(token), natural logarithm; the reference's is in the first line
  kl       mean of KL(reference || model) a position: what the form changes, without the text's own noise
  top1     share of positions whose likeliest token is the reference's
  decode   tokens a second of a loop of runs over a shared KV buffer at 64 to 160 tokens of context, batch 1
  prefill  tokens a second of a 256-token prompt with one row of logits
  MB       the weights' file

Speeds are those of the fastest of 10 rounds; models take turns within a round; ROUNDS=0 leaves them out. CONTEXT (64) is the context
that decode begins at. THREADS (2) sets the threads.
"""
import os
import pathlib
import sys
import time

import numpy as np
import onnxruntime as ort
import tokenizers

WINDOW, STEPS, PROMPT = 512, 96, 256
CONTEXT, ROUNDS, WINDOWS = (int(os.environ.get(k, v)) for k, v in [("CONTEXT", "64"), ("ROUNDS", "10"), ("WINDOWS", "42")])
CAPACITY = max(512, CONTEXT + STEPS)
root = pathlib.Path(__file__).parent


def open_session(folder):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(os.environ.get("THREADS", "2"))
    return ort.InferenceSession(folder + "/model.onnx", options, providers=["CPUExecutionProvider"])


def kv_inputs(session):
    return [i for i in session.get_inputs() if i.name.startswith("past_key_values.")]


def empty(kv, rows):
    dtype = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}[kv.type]
    return np.zeros((1, kv.shape[1], rows, kv.shape[3]), dtype)


def log_probabilities(session, window):
    past = {i.name: empty(i, 0) for i in kv_inputs(session)}
    feeds = {"input_ids": np.array([window]), "attention_mask": np.ones((1, len(window)), np.int64), **past}
    x = session.run(["logits"], {**feeds, "num_logits_to_keep": np.array([len(window)])})[0][0, :-1]
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Loop:
    """Runs over one KV buffer, as a server does: past and present are the same memory."""

    def __init__(self, session):
        self.session, self.binding = session, session.io_binding()
        self.kv = {
            i.name: ort.OrtValue.ortvalue_from_numpy(empty(i, CAPACITY))
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
    if "TEXT" in os.environ:
        text = pathlib.Path(os.environ["TEXT"]).read_text()
    else:
        text = (root / "testdata/prose.txt").read_text() + "\n" + (root.parent / "LICENSE").read_text()[:7000]
    ids = tokenizers.Tokenizer.from_file(folders[0] + "/tokenizer.json").encode(text, add_special_tokens=False).ids
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids) - WINDOW, WINDOW)][:WINDOWS]
    count = sum(len(w) - 1 for w in windows)
    sessions = [open_session(f) for f in folders]
    nll, kl, top = np.zeros(len(folders)), np.zeros(len(folders)), np.zeros(len(folders))
    for w in windows:
        reference = None
        for n, session in enumerate(sessions):
            got = log_probabilities(session, w)
            if reference is None:
                reference, p, first = got, np.exp(got), got.argmax(-1)
            nll[n] -= got[np.arange(len(w) - 1), w[1:]].sum() / count
            kl[n] += (p * (reference - got)).sum() / count
            top[n] += (first == got.argmax(-1)).sum() / count
    print(f"{count} tokens, reference nll {nll[0]:.4f}", flush=True)
    for n, folder in list(enumerate(folders))[1:]:
        size = os.path.getsize(folder + "/model.onnx.data") / 1e6
        print(f"{folder}: nll {nll[n]:.4f} kl {kl[n]:.4f} top1 {top[n]:.3f} {size:.0f} MB", flush=True)
    if ROUNDS:
        for folder, d, p in zip(folders[1:], *speeds([Loop(s) for s in sessions[1:]], ids)):
            print(f"{folder}: decode {d:.0f} prefill {p:.0f}")


main()
