"""Renders chat templates as transformers' apply_chat_template does, with Python's jinja2.

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


def main():
    job = json.load(sys.stdin)
    now = datetime.datetime.fromisoformat(job["now"])
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime

    def render(case):
        try:
            if case["template"] not in compiled:
                compiled[case["template"]] = env.from_string(job["templates"][case["template"]])
            return {"text": compiled[case["template"]].render(**case["variables"])}
        except Raised as e:
            return {"raised": e.message}
        except Exception as e:  # what a template does wrong is any of Python's
            return {"error": f"{type(e).__name__}: {e}"}

    compiled = {}
    json.dump([render(case) for case in job["cases"]], sys.stdout)


main()
