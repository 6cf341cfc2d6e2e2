#!/usr/bin/env bash
# Prints the path of an haproxy, which on Debian it installs if it is missing and it may.
set -euo pipefail
if ! command -v haproxy; then
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "there is no haproxy; install it" >&2; exit 1; }
  { apt-get update && apt-get install -y --no-install-recommends haproxy; } >/dev/null 2>&1 || { echo "apt-get cannot install haproxy" >&2; exit 1; }
  command -v haproxy
fi
