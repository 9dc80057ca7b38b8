#!/usr/bin/env bash
# Asks hosters, and then a gateway, by the Open Inference Protocol with tritonclient as it is published, over gRPC
# and HTTP: needs Python 3.10 or later, and built services (npm run build). `hosters` or `gateway` asks those only.
# Prints "N passed, N failed" for each; non-zero if anything failed. Packages are kept as those of
# test/interop/run.sh are.
set -euo pipefail
cd "$(dirname "$0")/../../.."

. test/interop/keep.sh
. test/interop/have-packages.sh
have_packages tritonclient test/interop/tritonclient/requirements.txt
export PYTHONPATH=test/interop

# What is not asked for need not load.
http='"inference": { "http_listen": "127.0.0.1:0" }'
export SUBNET_OPTIONS='{ "hosterConfig": { "only": ["silero-vad", "g2p"], '"$http"' }, "readyMs": 180000 }'

ask() {
  node test/interop/with-subnet.mjs \
    "$python" test/interop/tritonclient/checks.py
}

failed=0
for which in ${1:-hosters gateway}; do
  echo "asking: $which"
  case $which in
    hosters) ask || failed=1 ;;
    gateway) GATEWAY="{ $http }" ask || failed=1 ;;
    *) echo "run.sh takes hosters or gateway, not $which" >&2; exit 2 ;;
  esac
done
exit "$failed"
