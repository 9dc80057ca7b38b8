#!/usr/bin/env bash
# Holds the Go client against services of this repository: needs built services (npm run build). Where the machine has
# no Go, it gets one of its own. Prints "N passed, N failed"; non-zero if anything failed, or was skipped.
#
# FAULTS is how many faults the streams go through, SEED the seed of their schedule (0 draws one).
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=${CABSTAND_INTEROP_CACHE:-${TMPDIR:-/tmp}/cabstand-interop-$(id -u)}
. test/interop/have-go.sh
have_go "$cache"
go version
export GOFLAGS=-mod=mod GOWORK=off

passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
check() {
  local name=$1
  shift
  local start=$SECONDS
  if "$@" >"$log" 2>&1 && ! grep -q -e '--- SKIP' "$log"; then
    passed=$((passed + 1))
    grep -h -E 'faults map|times a stream went on|through gateways|seed' "$log" || true
    echo "$name: ok ($((SECONDS - start)) s)"
  else
    failed=$((failed + 1))
    cat "$log"
    echo "$name: FAILED ($((SECONDS - start)) s)"
  fi
}

race=()
# The race detector needs a C compiler.
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; then race=(-race); fi

check 'the generated code is fresh' clients/go/generate.sh --check
cd clients/go
unformatted() { [ -z "$(gofmt -l .)" ]; }
check 'gofmt' unformatted
tidy() { go mod tidy && git diff --exit-code go.mod go.sum; }
check 'go mod tidy' tidy
check 'go vet' go vet ./...
check 'staticcheck' go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
check "unit tests ${race[*]}" go test "${race[@]}" -count=1 -v .
check "services ${race[*]}" go test "${race[@]}" -count=1 -v ./e2e -run TestSubnet -timeout 20m
check "conformance ${race[*]}" go test "${race[@]}" -count=1 -v ./e2e -run TestConformance -timeout 20m
check 'faults' go test "${race[@]}" -count=1 -v ./e2e -run TestFaults -timeout 2h \
  -faults "${FAULTS:-15}" -seed "${SEED:-1}" -gateways 2
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
