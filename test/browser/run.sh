#!/usr/bin/env bash
# Loads examples/microphone in a headless Chromium and kills the hosters under it: needs built services (npm run
# build). CHROMIUM names the browser; without one it is installed with apt. Prints "N passed, N failed"; non-zero
# if anything failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$browser" ]; then
  echo 'installing chromium'
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends chromium >/dev/null
  browser=$(command -v chromium)
fi
"$browser" --version
exec node test/dist/browser/main.js "$browser"
