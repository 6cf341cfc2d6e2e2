"""Text to compare tokenizers on: generated from a seed, out of what Python and the packages of
scripts/requirements/tokenizer-corpus.txt bring along. Nothing of it is stored."""

import glob
import os
import random
import re
import unicodedata

import django

DJANGO = os.path.dirname(django.__file__)
STDLIB = os.path.dirname(os.__file__)

BLANKS = "\t\n\x0b\x0c\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e" + "".join(
    map(chr, range(0x2000, 0x2010))
) + "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"

# Blocks of scripts (first, last), for words of random letters beside the real prose.
BLOCKS = [
    (0x21, 0x7E), (0xA0, 0x24F), (0x250, 0x2AF), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x52F),
    (0x530, 0x58F), (0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x780, 0x7BF), (0x900, 0x97F),
    (0x980, 0x9FF), (0xA00, 0xA7F), (0xA80, 0xAFF), (0xB00, 0xB7F), (0xB80, 0xBFF), (0xC00, 0xC7F),
    (0xC80, 0xCFF), (0xD00, 0xD7F), (0xD80, 0xDFF), (0xE00, 0xE7F), (0xE80, 0xEFF), (0xF00, 0xFFF),
    (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F), (0x13A0, 0x13FF),
    (0x1400, 0x167F), (0x1780, 0x17FF), (0x1800, 0x18AF), (0x1E00, 0x1FFF), (0x2000, 0x206F),
    (0x2070, 0x218F), (0x2190, 0x2BFF), (0x2C00, 0x2DFF), (0x3000, 0x312F), (0x3130, 0x33FF),
    (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xAB30, 0xABFF), (0xAC00, 0xD7FB), (0xE000, 0xE0FF),
    (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFFFF), (0x10000, 0x100FF), (0x10400, 0x1044F),
    (0x10D40, 0x10D8F), (0x11000, 0x1107F), (0x12000, 0x1207F), (0x13000, 0x1307F), (0x1D100, 0x1D1FF),
    (0x1D400, 0x1D7FF), (0x1F100, 0x1F2FF), (0x1F300, 0x1FAFF), (0x20000, 0x2007F), (0xE0000, 0xE01EF),
]


def read(path):
    with open(path, encoding="utf-8", errors="replace", newline="") as f:
        return f.read()


def translations():
    """The translated sentences of Django's catalogues, by language."""
    out = {}
    for path in sorted(glob.glob(DJANGO + "/**/locale/*/LC_MESSAGES/*.po", recursive=True)):
        language = path.split("/locale/")[1].split("/")[0]
        for match in re.finditer(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', read(path), re.M):
            text = "".join(re.findall(r'"(.*)"', match[1])).replace("\\n", "\n").replace('\\"', '"')
            if text:
                out.setdefault(language, []).append(text)
    return out


class Corpus:
    """An endless mixture of texts. Equal seeds give equal texts on equal packages."""

    def __init__(self, seed, added=()):
        self.random = random.Random(seed)
        self.added = list(added)
        self.languages = list(translations().items())
        self.files = sorted(
            glob.glob(STDLIB + "/*.py")
            + [
                f
                for end in ("py", "html", "js", "css", "po", "txt")
                for f in glob.glob(f"{DJANGO}/**/*.{end}", recursive=True)
            ]
        )
        self.kinds = [
            self.prose, self.prose, self.prose, self.code, self.code, self.json, self.log, self.planes,
            self.bytes, self.scripts, self.glued, self.blanks, self.soup,
        ]

    def texts(self, size):
        """Texts of together at least size bytes of UTF-8."""
        while size > 0:
            text = self.random.choice(self.kinds)()
            size -= len(text.encode())
            yield text

    def prose(self):
        _, sentences = self.random.choice(self.languages)
        glue = self.random.choice([" ", " ", "\n", "\n\n", "  "])
        text = glue.join(self.random.choices(sentences, k=self.random.choice([1, 4, 20, 60])))
        form = self.random.choice([None, None, None, "NFC", "NFD", "NFKC", "NFKD"])
        return unicodedata.normalize(form, text) if form else text

    def code(self):
        text = read(self.random.choice(self.files))
        start = self.random.randrange(max(1, len(text)))
        return text[start : start + self.random.choice([30, 300, 2000, 10000])]

    def json(self):
        import json

        def value(depth):
            kind = self.random.randrange(7 if depth < 4 else 5)
            if kind == 0:
                return self.random.choice([None, True, False])
            if kind == 1:
                return self.random.randrange(-(10 ** self.random.randrange(1, 20)), 10**9)
            if kind == 2:
                return self.random.random() * 10 ** self.random.randrange(-9, 9)
            if kind < 5:
                return self.random.choice(self.random.choice(self.languages)[1])[:80]
            items = [value(depth + 1) for _ in range(self.random.randrange(6))]
            return items if kind == 5 else {f"key_{i}": v for i, v in enumerate(items)}

        return json.dumps(
            value(0),
            indent=self.random.choice([None, 1, 2, 4, "\t"]),
            ensure_ascii=self.random.random() < 0.5,
        )

    def log(self):
        r, lines = self.random, []
        for _ in range(r.choice([1, 5, 40])):
            lines.append(
                f"2026-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}T{r.randrange(24):02}:{r.randrange(60):02}"
                f":{r.randrange(60):02}.{r.randrange(1000):03}Z {r.choice(['INFO', 'WARN', 'error', 'DEBUG'])}"
                f" [{r.choice(['http', 'worker-%d' % r.randrange(99), 'db.pool'])}] 0x{r.getrandbits(64):016x}"
                f" {r.choice(['GET', 'POST'])} /v{r.randrange(3)}/{r.getrandbits(32):x}?q={r.random():.{r.randrange(1, 17)}f}"
                f" {r.randrange(100, 600)} {r.randrange(10**7)}ms user={r.getrandbits(128):032x}"
            )
        return r.choice(["\n", "\r\n"]).join(lines) + r.choice(["", "\n"])

    def planes(self):
        points = (self.random.randrange(0x110000) for _ in range(self.random.randrange(1, 300)))
        return "".join(chr(c) for c in points if not 0xD800 <= c <= 0xDFFF)

    def bytes(self):
        return self.random.randbytes(self.random.randrange(1, 600)).decode("utf-8", "replace")

    def word(self):
        first, last = self.random.choice(BLOCKS)
        return "".join(
            chr(self.random.randint(first, last)) for _ in range(self.random.randrange(1, 12))
        )

    def scripts(self):
        out = []
        for _ in range(self.random.randrange(1, 120)):
            out.append(self.word())
            out.append(self.random.choice(["", " ", " ", " ", "'", "-", self.random.choice(BLANKS)]))
        return "".join(out)

    def glued(self):
        """Added tokens stuck to everything, whole, doubled, cut off and changed in case."""
        out, r = [], self.random
        for _ in range(r.randrange(1, 60)):
            if not self.added or r.random() < 0.4:
                out.append(r.choice([self.word(), r.choice(BLANKS) * r.randrange(1, 4), "a", "9", "'s", "é", "中"]))
                continue
            token = r.choice(self.added)
            how = r.randrange(10)
            if how == 0:
                token = token[: r.randrange(len(token) + 1)]
            elif how == 1:
                token = token[r.randrange(len(token) + 1) :]
            elif how == 2:
                token = token.swapcase()
            elif how == 3:
                token = " " + token + " "
            out.append(token)
        return "".join(out)

    def blanks(self):
        out = []
        for _ in range(self.random.randrange(1, 150)):
            out.append(self.random.choice(BLANKS) * self.random.choice([1, 1, 1, 2, 3, 9]))
            if self.random.random() < 0.4:
                out.append(self.random.choice(["a", "B", "1", "'", "/", ".", "_", "ß", "中", "e\u0301", "\u0301"]))
        return "".join(out)

    def soup(self):
        """Few characters in all orders: where patterns disagree on contractions, case and digits."""
        letters = self.random.choice(["aB1 '.", "sStTlLdD'ſ ", "AaǅʰªあA\u0301b/\r\n", "0123456789٣½ ,.", "\n \t\r", "▁ a<0x>_"])
        return "".join(self.random.choices(letters, k=self.random.choice([10, 100, 3000])))
