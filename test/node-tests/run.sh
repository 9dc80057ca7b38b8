#!/usr/bin/env bash
# Serves node tests of Debian's libonnx-testdata without a manifest: test/node-tests/main.mjs. Installs the
# package where it is missing (as root). Needs built packages (npm run build). Prints "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${ONNX_TESTDATA:-/usr/share/libonnx-testdata/data}
if [ ! -d "$data/node" ]; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends libonnx-testdata
fi
exec node test/node-tests/main.mjs
