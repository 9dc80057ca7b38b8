#!/usr/bin/env bash
# Builds the parts of a Kubernetes cluster from their Go modules into $CLUSTER/bin (default /var/tmp/cabstand-cluster):
# a quarter of an hour and 3 GB. What is there is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
. test/interop/have-go.sh
cluster=${CLUSTER:-/var/tmp/cabstand-cluster}
here=$PWD/test/cluster
KUBERNETES=1.34.4
mkdir -p "$cluster/bin" "$cluster/source"
have_go "$cluster"
export CGO_ENABLED=0

cd "$cluster/source"
found=$(go mod download -json k8s.io/kubernetes@v$KUBERNETES | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
# Its go.mod takes its libraries from beside it, where the module has none: they are modules of the same version.
sed -e 's#^module .*#module cluster#' -e "s#=> ./staging/src/\(k8s.io/[a-z-]*\)#=> \1 v0.${KUBERNETES#1.}#" \
  "$found/go.mod" >go.mod
echo "require k8s.io/kubernetes v$KUBERNETES" >>go.mod
cp "$found/go.sum" go.sum
chmod u+w go.sum
for part in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
  [ -x "$cluster/bin/$part" ] || go build -mod=mod -trimpath \
    -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v$KUBERNETES" \
    -o "$cluster/bin/$part" "k8s.io/kubernetes/cmd/$part"
done
go build -o "$cluster/bin/pause" "$here/pause/main.go"
