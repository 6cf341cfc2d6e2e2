"""Renders chat templates as transformers' apply_chat_template does, with Python's jinja2, or with transformers itself where
the first argument says so.

Reads {"now": "2026-01-02T03:04:05", "templates": {name: source}, "cases": [{"template": name, "variables": {...}}]} from
standard input, writes a list of {"text": ...}, {"raised": ...} (the template's raise_exception) or {"error": ...}.
"""

import datetime
import json
import sys

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Raised(TemplateError):
    pass


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


REASONING = ("reasoning_content", "thinking", "reasoning")


def normal(message):
    """Leaves keys without a value out, and gives reasoning all its names."""
    message = {key: value for key, value in message.items() if value is not None}
    reasoning = next((message[name] for name in REASONING if name in message), None)
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def with_transformers(job):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from transformers.utils import chat_template_utils

    now = datetime.datetime.fromisoformat(job["now"])

    class Clock(datetime.datetime):
        @classmethod
        def now(cls):
            return now

    chat_template_utils.datetime = Clock
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))

    def render(case):
        variables = dict(case["variables"])
        tokenizer.bos_token, tokenizer.eos_token = variables.pop("bos_token"), variables.pop("eos_token")
        try:
            template, messages = job["templates"][case["template"]], variables.pop("messages")
            if not messages:  # apply_chat_template looks at the first; what it calls for the rest takes none too
                variables |= tokenizer.special_tokens_map
                return {"text": chat_template_utils.render_jinja_template([[]], chat_template=template, **variables)[0][0]}
            return {"text": tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **variables)}
        except Exception as e:
            kind = "raised" if type(e) is TemplateError else "error"
            return {kind: e.message if kind == "raised" else f"{type(e).__name__}: {e}"}

    json.dump([render(case) for case in job["cases"]], sys.stdout)


def main():
    job = json.load(sys.stdin)
    if sys.argv[1:] == ["transformers"]:
        return with_transformers(job)
    now = datetime.datetime.fromisoformat(job["now"])
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime

    def render(case):
        try:
            if case["template"] not in compiled:
                compiled[case["template"]] = env.from_string(job["templates"][case["template"]])
            variables = dict(case["variables"])
            if "messages" in variables:
                variables["messages"] = [normal(m) for m in variables["messages"]]
            return {"text": compiled[case["template"]].render(**variables)}
        except Raised as e:
            return {"raised": e.message}
        except Exception as e:  # what a template does wrong is any of Python's
            return {"error": f"{type(e).__name__}: {e}"}

    compiled = {}
    json.dump([render(case) for case in job["cases"]], sys.stdout)


main()
