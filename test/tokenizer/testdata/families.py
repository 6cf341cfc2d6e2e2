"""Writes one tokenizer.json a family into a folder: the pipelines of the published files over vocabularies that are
trained here, and pipelines that nobody publishes but the format allows.

    python families.py FOLDER
"""

import json
import os
import sys

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from corpus import Corpus

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")
DEEPSEEK = [
    r"\p{N}{1,3}",
    r"[一-龥぀-ゟ゠-ヿ]+",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
]

LLAMA3_CHAT = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def trained(size, pre_tokenizer, normalizer=None, alphabet=(), special=()):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizer
    if normalizer:
        t.normalizer = normalizer
    t.train_from_iterator(
        Corpus(1).texts(1_500_000),
        trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=list(alphabet), special_tokens=list(special), show_progress=False
        ),
    )
    return json.loads(t.to_str())["model"]


def added(content, special=True, **flags):
    return dict(
        dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=special), **flags
    )


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def bytelevel(**flags):
    return dict({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}, **flags)


def template(before, after=()):
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": x, "type_id": 0}} for x, _ in before]
        + [{"Sequence": {"id": "A", "type_id": 0}}]
        + [{"SpecialToken": {"id": x, "type_id": 0}} for x, _ in after],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {x: {"id": x, "ids": [i], "tokens": [x]} for x, i in [*before, *after]},
    }


def main(folder):
    byte_vocabulary = trained(
        6000, pre_tokenizers.ByteLevel(add_prefix_space=False), alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    piece_vocabulary = trained(
        6000,
        pre_tokenizers.Metaspace(),
        special=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)],
    )
    piece_vocabulary.update(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    decoder = bytelevel(use_regex=True, add_prefix_space=True)
    pieces = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}

    def write(name, model, pre_tokenizer=None, tokens=(), normalizer=None, post=None, decode=decoder, **changes):
        model = dict(model, **changes)
        known, out, next_id = model["vocab"], [], len(model["vocab"])
        for token in tokens:
            if token["content"] in known:
                out.append(dict(token, id=known[token["content"]]))
            else:
                out.append(dict(token, id=next_id))
                next_id += 1
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        with open(f"{folder}/{name}/tokenizer.json", "w") as f:
            json.dump(
                {
                    "version": "1.0",
                    "truncation": None,
                    "padding": None,
                    "added_tokens": out,
                    "normalizer": normalizer,
                    "pre_tokenizer": pre_tokenizer,
                    "post_processor": post,
                    "decoder": decode,
                    "model": model,
                },
                f,
                ensure_ascii=False,
            )

    chat = [added(f"<|{x}|>") for x in ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id")]
    im = [added(x) for x in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")] + [
        added(x, special=False) for x in ("<think>", "</think>", "<tool_call>")
    ]
    n = len(byte_vocabulary["vocab"])

    write("llama3", byte_vocabulary, sequence(split(LLAMA3), bytelevel()), chat, ignore_merges=True,
          post={"type": "Sequence", "processors": [bytelevel(), template([("<|begin_of_text|>", n)])]})
    write("gpt4", byte_vocabulary, sequence(split(LLAMA3, "Removed", True), bytelevel()), im)
    write("cl100k", byte_vocabulary, sequence(split(CL100K), bytelevel()), im)
    write("qwen2", byte_vocabulary, sequence(split(QWEN2), bytelevel()), im, {"type": "NFC"})
    write("qwen35", byte_vocabulary, sequence(split(QWEN35), bytelevel()), im, {"type": "NFC"})
    write("gpt2", byte_vocabulary, bytelevel(use_regex=True), im[:1])
    write("gpt2-prefix", byte_vocabulary, bytelevel(use_regex=True, add_prefix_space=True), im[:1],
          post={"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True, "add_prefix_space": True})
    write("gpt2-split", byte_vocabulary, sequence(split(GPT2, "Contiguous"), bytelevel()), im[:1])
    write("o200k", byte_vocabulary, sequence(split(O200K), bytelevel()), im, ignore_merges=True)
    write("tekken", byte_vocabulary, sequence(split(TEKKEN), bytelevel()), im, ignore_merges=True)
    write("deepseek", byte_vocabulary, sequence(*map(split, DEEPSEEK), bytelevel()),
          [added("<｜User｜>", False, normalized=True), added("<｜begin▁of▁sentence｜>"), added("<｜Assistant｜>", False, normalized=True)],
          {"type": "Sequence", "normalizers": []})
    write("starcoder", byte_vocabulary, sequence({"type": "Digits", "individual_digits": True}, bytelevel(use_regex=True)), im)
    write("falcon", byte_vocabulary,
          sequence({"type": "Punctuation", "behavior": "Contiguous"}, bytelevel(use_regex=True), {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]")), im)
    write("nfkc", byte_vocabulary, bytelevel(use_regex=True), im, {"type": "NFKC"})
    write("odd", byte_vocabulary, sequence(split(r"\p{L}+", "MergedWithNext"), split(r"[^\s]+", "MergedWithPrevious"), bytelevel()),
          [added("<l>", lstrip=True), added("<r>", rstrip=True), added("<w>", single_word=True), added("<lr>", lstrip=True, rstrip=True),
           added("Wörd", False, single_word=True, normalized=True), added("  ", False), added("\n\n", False, rstrip=True)],
          {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True}]})
    write("words", byte_vocabulary, sequence({"type": "Whitespace"}, split("e", "MergedWithNext", True), bytelevel(add_prefix_space=True)), im,
          {"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "Nmt"}]})
    write("blanks", byte_vocabulary, sequence({"type": "WhitespaceSplit"}, {"type": "CharDelimiterSplit", "delimiter": "."}, {"type": "FixedLength", "length": 7}, bytelevel()), im)

    sp = [added(x) for x in ("<unk>", "<s>", "</s>")]
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]}
    write("llama2", piece_vocabulary, None, sp, prepend, template([("<s>", 1)]), pieces)
    write("llama2-old", piece_vocabulary, None, [dict(x, normalized=True) for x in sp], prepend, template([("<s>", 1)], [("</s>", 2)]), pieces)
    write("gemma", piece_vocabulary, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
          sp + [added("\n" * k, False) for k in range(1, 8)] + [added("▁" * k, False) for k in range(2, 8)] + [added("<start_of_turn>"), added("<h1>", False)],
          spaces, template([("<s>", 1)]), {"type": "Sequence", "decoders": pieces["decoders"][:3]})
    for scheme in ("always", "first", "never"):
        meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": scheme != "first"}
        write("metaspace-" + scheme, piece_vocabulary, meta, sp + [added("<x>", lstrip=True)], None, template([("<s>", 1)]), meta)
    write("unknown", piece_vocabulary, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}, sp, None, None,
          {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}, byte_fallback=False)
    write("unknown-each", piece_vocabulary, None, sp, prepend, None, None, byte_fallback=False, fuse_unk=False, ignore_merges=True)
    write("dropped", piece_vocabulary, None, [], prepend, None, {"type": "BPEDecoder", "suffix": "e"}, byte_fallback=False, unk_token=None)
    with open(f"{folder}/llama3/chat_template.jinja", "w") as f:
        f.write(LLAMA3_CHAT)


if __name__ == "__main__":
    main(sys.argv[1])
