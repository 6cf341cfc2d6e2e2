"""What Hugging Face's tokenizers make of a corpus, as frames on standard output.

    python reference.py tokenizer.json BYTES SEED

A frame is a text, its decoded ids and the decoded ids without special tokens, each as length and UTF-8, then the ids
without and with what the post-processor adds, each as count and ids; all numbers are little-endian uint32.
"""

import struct
import sys

from tokenizers import Tokenizer

from corpus import Corpus


def write(out, texts, lists):
    for x in texts:
        x = x.encode()
        out.write(struct.pack("<I", len(x)) + x)
    for x in lists:
        out.write(struct.pack(f"<{len(x) + 1}I", len(x), *x))


def main(path, size, seed):
    t = Tokenizer.from_file(path)
    added = [x.content for _, x in sorted(t.get_added_tokens_decoder().items())]
    out = sys.stdout.buffer
    for i, text in enumerate(Corpus(seed, added).texts(size)):
        ids = t.encode(text, add_special_tokens=False).ids
        full = t.encode(text).ids if i % 16 == 0 else ids
        decoded = t.decode(ids, skip_special_tokens=False)
        plain = t.decode(ids) if i % 4 == 0 else decoded
        write(out, (text, decoded, plain), (ids, full))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
