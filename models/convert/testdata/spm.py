"""Writes spm.json with the sentencepiece package (0.2.3): two small vocabularies as Llama's is made (BPE, single digits,
bytes for what is not in it), one that puts a blank before texts and one that does not, and the ids of texts.

Trained on this program's README.md and LICENSE and on a few other letters. Types of tokens are GGUF's.
"""
import io
import json
import pathlib

import sentencepiece

here = pathlib.Path(__file__).parent
root = here.parent.parent.parent
corpus = (root / "README.md").read_text() + (root / "LICENSE").read_text() + "Über den Häusern. Le café où l'on va. Ветер дул с запада. " * 20
texts = [
    "The capital of France is Paris.", "", " ", "a", "  two  blanks, and three   more ", "1234 + 5.5 = 1239.5", "line\nline\n\n\tend\n",
    "Häuser, cafés, ветер", "日本語 and 🙂 are bytes", "licenses licensed licensing; redistribution", "model=served://host:9112/v1",
]
out = []
for prefix in (True, False):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus.split("\n")), model_writer=model, model_type="bpe", vocab_size=700, character_coverage=0.9995,
        byte_fallback=True, split_digits=True, add_dummy_prefix=prefix, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, minloglevel=2)
    p = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(p.get_piece_size())
    kind = lambda i: 2 if p.is_unknown(i) else 3 if p.is_control(i) else 6 if p.is_byte(i) else 1
    out.append({
        "prefix": prefix, "tokens": [p.id_to_piece(i) for i in ids], "scores": [p.get_score(i) for i in ids],
        "types": [kind(i) for i in ids], "texts": texts, "ids": [p.encode(s) for s in texts], "decoded": [p.decode(p.encode(s)) for s in texts],
    })
(here / "spm.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")
