#!/usr/bin/env bash
# The Python package as its users get it: builds the wheel, installs it into fresh environments with the oldest and
# the newest protobuf, checks types and style, and runs its tests and a short schedule of faults, of gateways too,
# against real services (npm run build). Needs Python 3.10 or later (PYTHON, by default python3). Prints "N passed, N failed".
#
# Environments are kept in CABSTAND_PYTHON_CACHE, by default in the temporary folder, named after what they are made
# of; the wheel is installed into them anew each time.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
made_from=$({ "$python" --version; cat pyproject.toml check.sh; } | sha256sum | cut -c1-16)
cache=${CABSTAND_PYTHON_CACHE:-${TMPDIR:-/tmp}/cabstand-python-$(id -u)}/$made_from
mkdir -p -m 700 "$cache"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

step() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok   $name"
  else
    failed=$((failed + 1))
    echo "FAIL $name"
  fi
}

# environment NAME PACKAGE…: a virtual environment with these packages.
environment() {
  local folder=$cache/$1
  shift
  [ -e "$folder/ready" ] && return
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  touch "$folder/ready"
}

pip_in() {
  "$cache/$1/bin/python" -m pip --disable-pip-version-check "${@:2}"
}

environment build 'hatchling>=1.26' grpcio-tools==1.71.2 'setuptools<81'
environment newest 'protobuf>=7,<8' grpcio numpy 'cryptography>=42' \
  mypy==2.4.1 pytest==9.2.0 pytest-asyncio==1.5.0 ruff==0.17.6 types-protobuf types-grpcio googleapis-common-protos
# The oldest that the package allows, where this Python still has them.
environment oldest 'protobuf==5.29.*' grpcio==1.71.2 numpy 'cryptography>=42' googleapis-common-protos

# Without isolation: the build environment has what pyproject.toml asks for.
PATH=$cache/build/bin:$PATH pip_in build wheel --quiet --no-deps --no-build-isolation --wheel-dir "$scratch" .
wheel=$(echo "$scratch"/cabstand-*.whl)
for name in newest oldest; do
  pip_in "$name" install --quiet --no-deps --force-reinstall "$wheel"
done

imports() {
  # Nothing of Google's is brought along, whichever comes first.
  (cd "$scratch" && "$cache/$1/bin/python" -W error -c 'import cabstand, cabstand.sync; from google.rpc import error_details_pb2') &&
    (cd "$scratch" && "$cache/$1/bin/python" -W error -c 'from google.rpc import error_details_pb2; import cabstand')
}

# Files of the wheel beside its modules.
complete() {
  "$python" -c 'import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
wanted = ["cabstand/py.typed", "cabstand/_proto/cabstand/v1/hoster_pb2.py", "cabstand/_proto/cabstand/v1/hoster_pb2.pyi"]
missing = [one for one in wanted if one not in names] + ([] if any(one.endswith("licenses/LICENSE") for one in names) else ["LICENSE"])
google = [one for one in names if "google" in one]
sys.exit(f"missing {missing}, should not be there {google}" if missing or google else 0)' "$wheel"
}

newest=$cache/newest/bin/python
step 'the wheel has stubs, types and licence' complete
step 'imports with the oldest protobuf' imports oldest
step 'imports with the newest protobuf' imports newest
step 'types' "$newest" -m mypy
step 'style' "$newest" -m ruff check .
step 'format' "$newest" -m ruff format --check .
# From the installed package: src is not on the path.
step 'tests' "$newest" -m pytest -q
step 'faults' "$newest" -m tests.faults --faults "${FAULTS:-15}" --seed "${SEED:-1}" --streams 6 --gateways 2

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
