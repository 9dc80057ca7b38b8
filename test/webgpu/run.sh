#!/usr/bin/env bash
# Runs test/webgpu/main.mjs on whatever GPU the machine has; without one, SOFTWARE_GPU names a script
# that installs a software Vulkan driver and prints the variables that select it. Needs built packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
software=${SOFTWARE_GPU:-../shared/software-gpu/install.sh}
if ! ls /dev/dri/renderD* >/dev/null 2>&1 && [ -e "$software" ]; then
  eval "$(bash "$software")"
fi
exec node test/webgpu/main.mjs
