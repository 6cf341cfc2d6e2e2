#!/usr/bin/env bash
# Brings what the tests of the pages need and prints it as assignments: Debian's Chromium, by apt where no Chromium is on the path, and
# axe-core out of its npm package, kept in ORTSERVE_HOME.
set -euo pipefail

fail() { echo "test-web: $*" >&2; exit 1; }
browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! browser >/dev/null; then
	{ [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } || fail "install Chromium: no chromium, chromium-browser or google-chrome is on the path"
	echo "installing chromium" >&2
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1 ||
		fail "apt-get cannot install chromium; install it by hand"
fi

version=4.14.1
dir=${ORTSERVE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ortserve}/axe-core-$version
if [ ! -f "$dir/axe.min.js" ]; then
	command -v npm >/dev/null || fail "missing: npm"
	echo "bringing axe-core $version" >&2
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	(cd "$tmp" && tar -xzf "$(npm pack --silent "axe-core@$version")" package/axe.min.js package/LICENSE) || fail "npm cannot bring axe-core"
	mkdir -p "$dir"
	mv "$tmp"/package/* "$dir"
fi
echo "ORTSERVE_CHROMIUM=$(browser) ORTSERVE_AXE=$dir/axe.min.js"
