#!/usr/bin/env bash
# Installs what the end-to-end tests talk to: Debian's runc, buildah, skopeo, busybox-static and docker-registry, if this is root's
# machine, and BuildKit, which is built from its Go module into .cache/e2e. The last line is the directory with its commands.
# Where one of them cannot be had or run, it says so and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
buildkit=v0.34.2
bin=$PWD/.cache/e2e/buildkit-$buildkit

missing=()
for pair in runc:runc buildah:buildah skopeo:skopeo docker-registry:docker-registry busybox:busybox-static; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "install first: ${missing[*]}" >&2
    exit 1
  fi
  echo "== apt-get install ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  }
fi

if [ ! -x "$bin/buildkitd" ] || [ ! -x "$bin/buildctl" ]; then
  echo "== building BuildKit $buildkit" >&2
  work=$(mktemp -d)
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  (cd "$work" && printf 'module tools\n\ngo 1.26\n' >go.mod && go mod download "github.com/moby/buildkit@$buildkit")
  cp -r "$(go env GOMODCACHE)/github.com/moby/buildkit@$buildkit" "$work/src"
  chmod -R u+w "$work/src"
  mkdir -p "$bin"
  (cd "$work/src" && go build -o "$bin/" ./cmd/buildkitd ./cmd/buildctl)
fi
if ! unshare --mount --pid --fork true 2>/dev/null; then
  echo "no namespaces can be made here, which BuildKit builds in" >&2
  exit 1
fi
echo "$bin"
