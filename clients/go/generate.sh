#!/usr/bin/env bash
# Makes the Go code of proto/ again. With --check it fails where what is committed is not what it makes.
set -euo pipefail
cd "$(dirname "$0")/../.."
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -r clients/go/proto "$before/"
node_modules/.bin/buf generate --template clients/go/buf.gen.yaml
if [ "${1:-}" = --check ] && ! diff -r "$before/proto" clients/go/proto >&2; then
  rm -rf clients/go/proto
  cp -r "$before/proto" clients/go/
  echo 'clients/go/proto is not what proto/ makes: run clients/go/generate.sh' >&2
  exit 1
fi
