#!/usr/bin/env bash
# Streams the bundled models with a Python client that has nothing but the protos, and asks reflection as
# grpcurl, buf and descriptor pools do: needs Python 3.10 or later, and built services (npm run build).
# grpcurl is built, by a Go of its own where there is none. Prints "N passed, N failed"; non-zero if
# anything failed.
#
# Packages and stubs are kept in a folder of their own (CABSTAND_INTEROP_CACHE, by default in the
# temporary folder), named after what they are made from: a second run uses them again.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
made_from=$(
  {
    "$python" --version
    cat test/interop/requirements.txt
    find proto/cabstand -name '*.proto' -print0 | sort -z | xargs -0 cat
  } | sha256sum | cut -c1-16
)
cache=${CABSTAND_INTEROP_CACHE:-${TMPDIR:-/tmp}/cabstand-interop-$(id -u)}
environment=$cache/$made_from

if [ ! -e "$environment/ready" ]; then
  echo "preparing $environment"
  mkdir -p -m 700 "$cache"
  # Beside it first: what was interrupted is never taken for ready.
  draft=$(mktemp -d "$cache/draft.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  "$python" -m venv "$draft/venv"
  "$draft/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps -r test/interop/requirements.txt
  mkdir "$draft/stubs"
  "$draft/venv/bin/python" -m grpc_tools.protoc -I proto \
    --python_out="$draft/stubs" --grpc_python_out="$draft/stubs" \
    proto/cabstand/v1/*.proto
  touch "$draft/ready"
  rm -rf "$environment"
  mv "$draft" "$environment"
  trap - EXIT
fi

# Reflection is held against what people use; Go's own way is how grpcurl comes everywhere.
grpcurl=$cache/grpcurl-1.9.3
if [ ! -x "$grpcurl/grpcurl" ]; then
  echo "building $grpcurl"
  . test/interop/have-go.sh
  have_go "$cache"
  draft=$(mktemp -d "$cache/draft.XXXXXX")
  trap 'rm -rf "$draft"' EXIT
  GOBIN=$draft go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
  rm -rf "$grpcurl"
  mv "$draft" "$grpcurl"
  trap - EXIT
fi

# Not by the environment's own scripts: it was moved.
PATH=$grpcurl:$PWD/node_modules/.bin:$PATH PYTHONPATH=$environment/stubs \
  exec node test/interop/with-subnet.mjs \
  "$environment/venv/bin/python" test/interop/checks.py
