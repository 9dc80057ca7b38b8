#!/usr/bin/env bash
# Holds the chart against deploy/kubernetes and against the schemas of Kubernetes. Needs a build, and the Go module
# proxy the first time: Helm, kubeconform and, where there is no kubectl, kustomize are made from there, and kept.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=${CABSTAND_INTEROP_CACHE:-${TMPDIR:-/tmp}/cabstand-interop-$(id -u)}
. test/interop/have-go.sh
have_go "$cache"

HELM=v3.22.0 KUBECONFORM=v0.8.0 KUSTOMIZE_VERSION=v5.8.3
KUBERNETES=v1.34.4 OPERATOR=v0.85.0 KEDA=v2.21.0
tools=$cache/charts-$HELM-$KUBECONFORM-$KUSTOMIZE_VERSION
export PATH=$tools:$PATH SCHEMAS=$cache/schemas-$KUBERNETES-$OPERATOR-$KEDA
export KUBE_VERSION=${KUBERNETES#v}

# `go install` puts a program there once it is whole.
have() { [ -x "$tools/$(basename "$1")" ] || GOBIN=$tools CGO_ENABLED=0 go install -ldflags='-s -w' "$1@$2"; }
mkdir -p -m 700 "$cache"
have helm.sh/helm/v3/cmd/helm $HELM
have github.com/yannh/kubeconform/cmd/kubeconform $KUBECONFORM
if ! kubectl kustomize --help >/dev/null 2>&1; then
  # The program has the name of the module without its version.
  [ -x "$tools/kustomize" ] || have sigs.k8s.io/kustomize/kustomize/v5 $KUSTOMIZE_VERSION
  export KUSTOMIZE='kustomize build'
fi

if [ ! -d "$SCHEMAS" ]; then
  of() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }
  draft=$(mktemp -d "$cache/draft.XXXXXX")
  crds=$(of github.com/prometheus-operator/prometheus-operator@$OPERATOR)/example/prometheus-operator-crd
  node test/charts/schemas.mjs "$draft" \
    "$(of k8s.io/kubernetes@$KUBERNETES)/api/openapi-spec/swagger.json" \
    "$crds/monitoring.coreos.com_podmonitors.yaml" "$crds/monitoring.coreos.com_prometheusrules.yaml" \
    "$(of github.com/kedacore/keda/v2@$KEDA)/config/crd/bases/keda.sh_scaledobjects.yaml"
  mv "$draft" "$SCHEMAS"
fi
exec node --test --test-reporter=spec test/charts/same.test.mjs test/charts/values.test.mjs
