"""Answers texts with frames as reference.py writes them: on standard input each text comes as length and bytes, and bytes
that are not UTF-8 are read with errors="replace".

    python answer.py tokenizer.json
"""

import struct
import sys

from tokenizers import Tokenizer

from reference import write


def main(path):
    t = Tokenizer.from_file(path)
    while head := sys.stdin.buffer.read(4):
        text = sys.stdin.buffer.read(*struct.unpack("<I", head)).decode("utf-8", "replace")
        ids = t.encode(text, add_special_tokens=False).ids
        write(sys.stdout.buffer, (text, t.decode(ids, skip_special_tokens=False), t.decode(ids)), (ids, t.encode(text).ids))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
