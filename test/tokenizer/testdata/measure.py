"""Measures tokenizers on request, on one thread: each line on standard input names a way, each line out is the processor time
in seconds that one pass over the text took.

    RAYON_NUM_THREADS=1 python measure.py tokenizer.json TEXT-FILE
"""

import random
import sys
import time

from tokenizers import Tokenizer

from corpus import Corpus, read


def text(size):
    """Code and prose in many languages, half and half, in parts of some kilobytes."""
    corpus = Corpus(7)
    code = "".join(map(read, corpus.files[: len(corpus.files) // 3]))
    prose = "\n".join(s for _, sentences in corpus.languages for s in sentences)
    rnd, parts = random.Random(7), []
    while size > 0:
        source = rnd.choice([code, prose])
        start = rnd.randrange(len(source) - 5000)
        parts.append(source[start : start + 5000])
        size -= len(parts[-1].encode())
    return "".join(parts)


def main(path, file):
    t = Tokenizer.from_file(path)
    whole = read(file)
    pieces = [whole[i : i + 2000] for i in range(0, len(whole), 2000)]
    ids = t.encode(whole, add_special_tokens=False).ids
    ways = {
        "pieces": lambda: [t.encode(p, add_special_tokens=False) for p in pieces],
        "whole": lambda: t.encode(whole, add_special_tokens=False),
        "batch": lambda: t.encode_batch_fast(pieces, add_special_tokens=False),
        "decode": lambda: t.decode(ids),
    }
    for line in sys.stdin:
        start = time.process_time()
        ways[line.strip()]()
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--text":
        sys.stdout.buffer.write(text(int(sys.argv[2])).encode())
    else:
        main(*sys.argv[1:])
