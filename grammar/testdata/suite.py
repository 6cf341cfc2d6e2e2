"""Writes suite.json.gz: the JSON-Schema-Test-Suite (MIT, see suite.LICENSE) as PyPI's source distribution of jsonschema carries it.

pip download --no-deps --no-binary jsonschema jsonschema==4.26.0 && tar xzf jsonschema-4.26.0.tar.gz
python suite.py jsonschema-4.26.0/json/tests
"""

import gzip
import json
import pathlib
import sys

root = pathlib.Path(sys.argv[1])
suite = {}
for draft in "draft2020-12", "draft7":
    for path in sorted((root / draft).rglob("*.json")):
        suite[str(path.relative_to(root))] = json.loads(path.read_text())
text = json.dumps(suite, ensure_ascii=False, separators=(",", ":")).encode()
pathlib.Path(__file__).with_name("suite.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))
