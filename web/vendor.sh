#!/usr/bin/env bash
# Brings the libraries that the pages load, with their licences, as npm has them. The comments that point to source maps are left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/static/vendor"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# take NAME PACKAGE@VERSION FILE
take() {
	rm -rf "$tmp/package"
	tar -xzf "$tmp/$(cd "$tmp" && npm pack --silent "$2")" -C "$tmp"
	grep -v '^//# sourceMappingURL=' "$tmp/package/$3" >"$1.js"
	cp "$tmp/package/LICENSE" "$1.LICENSE"
	chmod 644 "$1.js" "$1.LICENSE"
}

take marked marked@18.2.1 lib/marked.esm.js
take purify dompurify@3.4.18 dist/purify.es.mjs
take highlight @highlightjs/cdn-assets@11.12.0 es/highlight.min.js
