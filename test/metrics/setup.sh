#!/usr/bin/env bash
# Brings Prometheus and promtool where they are not on the path: Debian's package, by apt.
set -euo pipefail
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "test-metrics: install Prometheus: prometheus and promtool are not on the path" >&2
	exit 1
fi
echo "installing prometheus" >&2
{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus; } >/dev/null 2>&1 || {
	echo "test-metrics: apt-get cannot install prometheus; install it by hand" >&2
	exit 1
}
