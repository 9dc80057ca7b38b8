#!/usr/bin/env bash
# Makes stubs of proto/ for Go (as buf.gen.yaml says) and Java, and asks a subnet with each, in one program with
# the packages that define google.rpc, grpc.health.v1 and reflection for everybody. (Python: test/interop.) Needs
# built services (npm run build); Go comes as a package where there is none, Java and Maven from Debian where that
# is possible. Prints "N passed, N failed"; exits with 1 if anything failed, with 3 if Java was not to be had.
#
# What is built is kept beside that of test/interop, named after what it is made from.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

made_from=$(
  {
    cat buf.gen.yaml buf.yaml
    find proto test/stubs/go test/stubs/java -type f -print0 | sort -z | xargs -0 cat
  } | sha256sum | cut -c1-16
)
. test/interop/keep.sh
. test/interop/have-go.sh
. test/interop/have-java.sh
programs=$cache/stubs-$made_from

if [ ! -e "$programs/go" ]; then
  begin "$programs/go"
  have_go "$cache"
  cp test/stubs/go/* "$draft"
  node_modules/.bin/buf generate -o "$draft"
  (cd "$draft" && go build -o stubs .)
  finish "$programs/go"
fi

java=
if have_java; then java=$programs/java; fi
if [ -n "$java" ] && [ ! -e "$java" ]; then
  begin "$java"
  cp -r test/stubs/java/. "$draft"
  (cd "$draft" && mvn --quiet --batch-mode "-Dproto=$root/proto" package)
  finish "$java"
fi

status=0
node test/interop/with-subnet.mjs node test/stubs/ask.mjs "$programs" || status=$?
if [ "$status" = 0 ] && [ -z "$java" ]; then status=3; fi
exit "$status"
