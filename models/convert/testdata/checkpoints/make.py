"""Makes the checkpoints in this folder: random weights in bfloat16, as transformers' save_pretrained writes them, and what
transformers answers with them in float32.

    make.py OUT        needs transformers 4.57.6, tokenizers 0.22.1 and torch 2.9.1 (a CPU is enough)

expected.json: prompts and chats with the ids that tokenizer.json gives, 32 greedy ids, by how much the largest logit was above
the second at each step, and the five largest logits after the prompt.
"""
import json
import pathlib
import sys

import numpy as np

COMMON = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, vocab_size=512, max_position_embeddings=2048, initializer_range=0.3)
LLAMA3_ROPE = dict(rope_theta=10000.0, rope_scaling=dict(
    rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=512))

# name -> architecture, tokenizer, seed, settings
MODELS = {
    "llama": ("Llama", "llama3", 1, dict(head_dim=16, tie_word_embeddings=False, **LLAMA3_ROPE)),
    "llama-tied": ("Llama", "llama3", 2, dict(head_dim=16, tie_word_embeddings=True, **LLAMA3_ROPE)),
    "qwen2": ("Qwen2", "qwen", 3, dict(tie_word_embeddings=True, rope_theta=1e6)),
    # as in the real Qwen3: heads x head_dim is not the hidden size
    "qwen3": ("Qwen3", "qwen", 4, dict(head_dim=32, tie_word_embeddings=True, rope_theta=1e6)),
    "mistral": ("Mistral", "mistral", 5, dict(head_dim=16, tie_word_embeddings=False, rope_theta=10000.0, sliding_window=32)),
}

CORPUS = """
The sea is salty because rivers carry small amounts of dissolved minerals from rocks on land, and the water leaves
again by evaporation while the salt stays behind. In the beginning there was a keeper of the lighthouse who wrote the
weather into a book every morning; when the wind was from the west, he wrote it twice. She said that they'd have
thought about it, but he'll never know what it's worth. "Why not?" asked the child, and nobody answered.
What is the capital of France? The capital of France is Paris. What is 17 times 3? It is 51. Numbers: 1, 2, 3, 5, 8,
13, 21, 34, 55, 89, 144, 233, 1000, 2024, 65536. The temperature fell to -12.5 degrees; prices rose by 30%.
You are a helpful assistant. Answer briefly. Write a short poem about the rain. Here are three things to remember:
first, the thing that works; second, the thing that does not work; third, the thing that nobody has tried.
def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)

for i in range(10):
    print(i, fib(i))

func main() { fmt.Println("hello, world") }
{"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}
Der Wind kam von Westen, und die Leute am Ufer sagten, dass es morgen regnen werde. Über den Häusern lag Nebel.
Le vent venait de l'ouest et les gens disaient qu'il pleuvrait demain. El viento del mar no se detiene nunca.
Ветер дул с запада, и люди говорили, что завтра будет дождь. 海水为什么是咸的？因为河流把盐带到海里。 おはようございます。
The other people were working together on something that would have been interesting to another generation.
""" * 2

LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
MISTRAL_SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
                 r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
                 r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")

LLAMA3_TEMPLATE = """{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
QWEN_TEMPLATE = """{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
MISTRAL_TEMPLATE = """{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate user/assistant') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {%- if loop.last and system_message is defined %}
            {{- '[INST]' + system_message + '\\n\\n' + message['content'] + '[/INST]' }}
        {%- else %}
            {{- '[INST]' + message['content'] + '[/INST]' }}
        {%- endif %}
    {%- else %}
        {{- message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}
"""

# name -> regex, template, special tokens, are these first?, plain added tokens, bos, eos, pad, ids that end a turn
TOKENIZERS = {
    "llama3": dict(split=LLAMA3_SPLIT, template=LLAMA3_TEMPLATE, first=False, plain=[],
                   special=["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                            "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
                            "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
                            "<|reserved_special_token_3|>"],
                   bos="<|begin_of_text|>", eos="<|eot_id|>", pad="<|finetune_right_pad_id|>",
                   stops=["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]),
    "qwen": dict(split=QWEN_SPLIT, template=QWEN_TEMPLATE, first=False,
                 special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                 plain=["<tool_call>", "</tool_call>", "<think>", "</think>"],
                 bos=None, eos="<|im_end|>", pad="<|endoftext|>", stops=["<|im_end|>", "<|endoftext|>"]),
    "mistral": dict(split=MISTRAL_SPLIT, template=MISTRAL_TEMPLATE, first=True, plain=[],
                    special=["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
                             "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "<pad>"],
                    bos="<s>", eos="</s>", pad="<pad>", stops=["</s>"]),
}


def make_tokenizer(kind, size):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    t = TOKENIZERS[kind]
    tok = Tokenizer(models.BPE())
    if kind == "qwen":
        tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(t["split"]), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    first = t["special"] if t["first"] else []
    added = ([] if t["first"] else t["special"]) + t["plain"]
    tok.train_from_iterator([CORPUS], trainers.BpeTrainer(
        vocab_size=size - len(added), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=first,
        show_progress=False))
    tok.add_tokens([AddedToken(s, special=s in t["special"], normalized=False) for s in added])
    assert tok.get_vocab_size() == size, tok.get_vocab_size()
    byte_level = processors.ByteLevel(trim_offsets=False)
    if t["bos"]:
        tok.post_processor = processors.Sequence([byte_level, processors.TemplateProcessing(
            single=f"{t['bos']} $A", pair=f"{t['bos']} $A {t['bos']} $B:1",
            special_tokens=[(t["bos"], tok.token_to_id(t["bos"]))])])
    else:
        tok.post_processor = byte_level
    data = json.loads(tok.to_str())
    data["model"]["ignore_merges"] = kind != "qwen"
    tok = Tokenizer.from_str(json.dumps(data))
    names = {k: t[k] for k in ("bos", "eos", "pad") if t[k]}
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, model_max_length=COMMON["max_position_embeddings"], clean_up_tokenization_spaces=False,
        chat_template=t["template"], **{k + "_token": v for k, v in names.items()},
        **({"unk_token": "<unk>"} if "<unk>" in t["special"] else {})), t


def models(out):
    import torch
    import transformers

    for name, (arch, kind, seed, settings) in MODELS.items():
        folder = pathlib.Path(out, name)
        tokenizer, t = make_tokenizer(kind, COMMON["vocab_size"])
        ids = lambda names: [tokenizer.convert_tokens_to_ids(n) for n in names]
        bos, pad, stops = ids([t["bos"]])[0] if t["bos"] else None, ids([t["pad"]])[0], ids(t["stops"])
        config = getattr(transformers, arch + "Config")(
            **COMMON, **settings, bos_token_id=bos, eos_token_id=stops if len(stops) > 1 else stops[0], pad_token_id=pad)
        torch.manual_seed(seed)
        model = getattr(transformers, arch + "ForCausalLM")(config).eval()
        with torch.no_grad():  # what an initializer leaves at 0 or 1 would hide mistakes
            for n, p in model.named_parameters():
                if n.endswith("bias"):
                    p.normal_(0, 0.3)
                elif p.dim() == 1:
                    p.normal_(1, 0.2)
            if hasattr(model.model, "embed_tokens") and pad is not None:
                model.model.embed_tokens.weight[pad].normal_(0, 0.3)
        model.generation_config = transformers.GenerationConfig(
            bos_token_id=bos, eos_token_id=stops if len(stops) > 1 else stops[0], pad_token_id=pad,
            do_sample=True, temperature=0.6, top_p=0.9)
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        print(name, sum(p.numel() for p in model.parameters()), "parameters", "eos", stops)


STEPS = 32
PROMPTS = [
    "Hi",
    "What is 17 times 3?",
    "def fib(n):\n    if n < 2:",
    "Die Leute am Ufer sagten, dass es morgen",
    "海水为什么是咸的？ Ветер дул с запада 🌧️",
    "Here are three things to remember: first, the thing that works; second, the thing that does not work; third,",
    "In the beginning there was a keeper of the lighthouse who wrote the weather into a book every morning; when the "
    "wind was from the west, he wrote it twice. \"Why not?\" asked the child, and nobody answered. Numbers: 1, 2, 3, 5, 8, 13,",
    "The sea is salty because rivers carry small amounts of dissolved minerals from rocks on land, and the water leaves "
    "again by evaporation while the salt stays behind.\n\n" * 3 + "{\"name\": \"get_weather\", \"arguments\": {\"city\":",
]
CHATS = [
    [{"role": "user", "content": "Why is the sea salty? Answer briefly."}],
    [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "What is 17 times 3?"},
     {"role": "assistant", "content": "It is 51."}, {"role": "user", "content": "Write a short poem about the rain."}],
]


def stop_ids(folder):
    eos = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    return eos if isinstance(eos, list) else [eos]


def answer(graph, tokenizer, ids, stops):
    out, rows = graph.greedy(ids)
    best = np.sort(rows, axis=1)
    margins = best[:, -1] - best[:, -2]
    stop = next((i for i, t in enumerate(out) if t in stops), len(out))
    top = np.argsort(-rows[0], kind="stable")[:5]
    return rows, dict(ids=[int(i) for i in ids], greedy=out, stop=stop, text=tokenizer.decode(out[:stop], skip_special_tokens=True),
                      margins=[round(float(m), 4) for m in margins], top=[[int(i), round(float(rows[0, i]), 4)] for i in top])


def compact(value, depth=0):
    """JSON with one line a prompt: easy to read, small to store."""
    pad = " " * (depth + 1)
    if isinstance(value, dict) and depth < 1:
        return "{\n" + ",\n".join(f"{pad}{json.dumps(k)}: {compact(v, depth + 1)}" for k, v in value.items()) + "\n}\n"
    if isinstance(value, dict) and depth < 2 or isinstance(value, list) and value and isinstance(value[0], dict):
        if isinstance(value, list):
            return "[\n" + ",\n".join(pad + json.dumps(v, ensure_ascii=False) for v in value) + "\n" + pad[:-1] + "]"
        return "{\n" + ",\n".join(f"{pad}{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()) + "\n" + pad[:-1] + "}"
    return json.dumps(value, ensure_ascii=False)


def expected(out):
    import torch
    import transformers
    from tokenizers import Tokenizer

    for folder in sorted(f for f in pathlib.Path(out).iterdir() if (f / "config.json").exists()):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        template = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer, stops = Tokenizer.from_file(str(folder / "tokenizer.json")), stop_ids(folder)

        class Plain:  # the loop without a cache: slow, and nothing can be wrong with it
            def greedy(self, prompt):
                ids, rows = list(prompt), []
                with torch.no_grad():
                    for _ in range(STEPS):
                        rows.append(model(torch.tensor([ids]), use_cache=False).logits[0, -1].numpy())
                        ids.append(int(rows[-1].argmax()))
                return ids[len(prompt):], np.stack(rows)

        result = dict(model=folder.name, by=f"transformers {transformers.__version__} float32", stops=stops, steps=STEPS, prompts=[], chats=[])
        for text in PROMPTS:
            result["prompts"].append(dict(prompt=text, **answer(Plain(), tokenizer, tokenizer.encode(text).ids, stops)[1]))
        for messages in CHATS:
            rendered = template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = tokenizer.encode(rendered, add_special_tokens=False).ids
            result["chats"].append(dict(messages=messages, rendered=rendered, **answer(Plain(), tokenizer, ids, stops)[1]))
        (folder / "expected.json").write_text(compact(result))
        print(folder.name, "written")


models(sys.argv[1])
expected(sys.argv[1])
