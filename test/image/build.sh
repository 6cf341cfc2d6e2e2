#!/usr/bin/env bash
# Builds the image of the Dockerfile without a Docker engine, by buildah, and prints the folder that then holds its root file system
# (rootfs) and its configuration (config.json). The images that it begins from are made by debootstrap, the builder's with this machine's
# Go and certificates. TARGET=cuda builds that target. Everything lies in ORTSERVE_HOME/image, which may be removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=${TARGET:-cpu}
suite=bookworm # the Dockerfile's

fail() { echo "test-image: $*" >&2; exit 1; }
[ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ] || fail "it wants Linux and root, for mounts and chroot"
missing=()
for tool in buildah debootstrap bwrap setpriv docker-compose; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
  command -v apt-get >/dev/null || fail "missing: ${missing[*]}"
  packages=("${missing[@]/bwrap/bubblewrap}")
  echo "installing ${packages[*]/setpriv/util-linux}" >&2
  { apt-get update && apt-get install -y --no-install-recommends "${packages[@]/setpriv/util-linux}"; } >/dev/null 2>&1 ||
    fail "apt-get cannot install ${missing[*]}; install them by hand"
fi
go=$(go env GOROOT) || fail "missing: go"

home=${ORTSERVE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ortserve}
dir=$home/image
mkdir -p "$dir/tmp"
exec 9>"$dir/lock"
flock 9
export TMPDIR=$dir/tmp # buildah keeps its caches there
tool=(buildah --root "$dir/storage" --runroot "$dir/run" --storage-driver overlay)
: >"$dir/build.log"
rm -rf "$dir"/tmp/base.* # of a run that was interrupted
"${tool[@]}" rm --all >/dev/null
log() {
  echo "== $*" >>"$dir/build.log"
  "$@" >>"$dir/build.log" 2>&1 || { tail -n 30 "$dir/build.log" >&2; fail "failed; the whole log is $dir/build.log"; }
}

# base NAME PACKAGES [go]: an image made by debootstrap, unless it is there.
base() {
  local name=$1 root container cert
  "${tool[@]}" inspect --type image "localhost/$name" >/dev/null 2>&1 && return
  echo "making the base $name" >&2
  root=$(mktemp -d "$TMPDIR/base.XXXXXX")
  log debootstrap --variant=minbase --include="$2" "$suite" "$root"
  # As Docker's slim images: no caches, no manuals, no translations.
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{locale,man,info}/*
  printf '%s\n' 'Dir::Cache::pkgcache "";' 'Dir::Cache::srcpkgcache "";' 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };' \
    >"$root/etc/apt/apt.conf.d/image"
  printf 'path-exclude /usr/share/%s/*\n' locale man info >"$root/etc/dpkg/dpkg.cfg.d/image"
  container=$("${tool[@]}" from scratch)
  log "${tool[@]}" add "$container" "$root" /
  if [ -n "${3:-}" ]; then
    log "${tool[@]}" add "$container" "$go" /usr/local/go
    for cert in /usr/local/share/ca-certificates/*.crt; do # a proxy's of one's own
      [ ! -e "$cert" ] || log "${tool[@]}" add "$container" "$cert" /usr/local/share/ca-certificates/
    done
    log "${tool[@]}" run --isolation chroot "$container" -- update-ca-certificates
    log "${tool[@]}" config --env PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOPATH=/go --env GOTOOLCHAIN=local \
      --env GOPROXY="$(go env GOPROXY)" "$container"
  fi
  log "${tool[@]}" commit --rm "$container" "localhost/$name"
  rm -rf "$root"
}

key=$({ cat test/image/build.sh; go version; cat /usr/local/share/ca-certificates/*.crt 2>/dev/null || :; } | sha256sum | cut -c1-12)
base "ortserve-run-base:$key" dash
base "ortserve-build-base:$key" ca-certificates,gcc,libc6-dev go

args=(bud --format docker --isolation chroot --target "$target" --tag "ortserve:$target"
  --build-arg BUILD_BASE="localhost/ortserve-build-base:$key" --build-arg RUN_BASE="localhost/ortserve-run-base:$key"
  --build-arg VERSION="$(git describe --tags --always --dirty 2>/dev/null || echo test)"
  --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo test)")
echo "building the image's target $target; what it says is in $dir/build.log" >&2
log "${tool[@]}" "${args[@]}" .

out=$dir/$target
rm -rf "$out"
mkdir -p "$out"
container=$("${tool[@]}" from "localhost/ortserve:$target")
mount=$("${tool[@]}" mount "$container")
cp -a "$mount" "$out/rootfs"
"${tool[@]}" inspect --type image "localhost/ortserve:$target" >"$out/config.json"
log "${tool[@]}" rm "$container"
"${tool[@]}" images --format '{{.Name}}:{{.Tag}}' | grep -- '-base:' | grep -v ":$key\$" | xargs -r "${tool[@]}" rmi >/dev/null || :
log "${tool[@]}" rmi --prune
echo "$out"
