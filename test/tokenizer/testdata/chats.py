"""Chats without control tokens in them, as transformers' apply_chat_template renders them and tokenizers encodes them.

    python chats.py FOLDER MESSAGES SEED

Each line of the output is {"messages": […], "ids": […]}. The folder has tokenizer.json and chat_template.jinja, or a
tokenizer_config.json with "chat_template".
"""

import json
import os
import random
import sys

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from corpus import Corpus


def source(folder):
    path = os.path.join(folder, "chat_template.jinja")
    if os.path.exists(path):
        with open(path, encoding="utf-8", newline="") as f:
            return f.read()
    with open(os.path.join(folder, "tokenizer_config.json"), encoding="utf-8") as f:
        return json.load(f)["chat_template"]


def refuse(message):
    raise TemplateError(message)


def main(folder, count, seed):
    t = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    controls = [x.content for x in t.get_added_tokens_decoder().values() if x.special or "<" in x.content or "[" in x.content]
    # transformers.utils.chat_template_utils sets its environment up like this.
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda x, **options: json.dumps(x, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(source(folder))
    texts = Corpus(seed).texts(1 << 60)
    r = random.Random(seed)

    def content():
        while True:
            text = next(texts)
            start = r.randrange(len(text) + 1)
            text = text[start : start + r.choice([0, 3, 20, 60, 200])]
            if not any(c in text for c in controls):
                return text

    system = True
    while count > 0:
        messages = [{"role": "system", "content": content()}] if system and r.random() < 0.3 else []
        for _ in range(r.randrange(3)):
            messages += [{"role": "user", "content": content()}, {"role": "assistant", "content": content()}]
        messages.append({"role": "user", "content": content()})
        try:
            text = template.render(
                messages=messages, add_generation_prompt=True, bos_token="<bos>", eos_token="</s>", tools=None
            )
        except TemplateError:
            if messages[0]["role"] != "system":
                raise
            system = False  # this model has no system messages
            continue
        count -= len(messages)
        ids = t.encode(text, add_special_tokens=False).ids
        print(json.dumps({"messages": messages, "ids": ids}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
