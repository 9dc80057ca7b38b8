#!/usr/bin/env bash
# The chart and deploy/kubernetes at a real API server of Kubernetes, with etcd and nothing else: it takes objects, checks
# them as in a cluster, with admission, and runs none. No step of CI: making the server takes minutes.
#
#   test/charts/api-server.sh          # needs Go, kubectl, and etcd (Debian: etcd-server), and a run of test/charts/run.sh
#
# Prints "N passed, N failed"; non-zero if anything failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=${CABSTAND_INTEROP_CACHE:-${TMPDIR:-/tmp}/cabstand-interop-$(id -u)}
. test/interop/have-go.sh
have_go "$cache"
KUBERNETES=v1.37.2 STAGING=v0.37.0
PATH=$(printf '%s\n' "$cache"/charts-* | tail -1):$PATH
server=${KUBE_APISERVER:-$cache/kube-apiserver-$KUBERNETES}
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait || true; rm -rf "$work"' EXIT

if [ ! -x "$server" ]; then
  # Its module names its parts by folders that are no part of what is published: here by their versions.
  mod=$(go mod download -json k8s.io/kubernetes@$KUBERNETES | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  sed -E "s#^module .*#module example.org/server#; s#=> \./staging/src/(k8s.io/[a-z-]+)#=> \1 $STAGING#" "$mod" >"$work/go.mod"
  echo "require k8s.io/kubernetes $KUBERNETES" >>"$work/go.mod"
  (cd "$work" && GOFLAGS=-mod=mod GOWORK=off go build -ldflags='-s -w' -o kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver)
  mv "$work/kube-apiserver" "$server"
fi

free() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
client=$(free) peer=$(free) port=$(free)
etcd --data-dir "$work/etcd" --log-level error --listen-client-urls "http://127.0.0.1:$client" \
  --advertise-client-urls "http://127.0.0.1:$client" --listen-peer-urls "http://127.0.0.1:$peer" \
  --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" \
  >"$work/etcd.log" 2>&1 &
pids+=($!)
openssl genrsa -out "$work/accounts.key" 2048 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,admin,system:masters" >"$work/tokens.csv"
"$server" --etcd-servers "http://127.0.0.1:$client" --secure-port "$port" --bind-address 127.0.0.1 \
  --cert-dir "$work/tls" --token-auth-file "$work/tokens.csv" --authorization-mode RBAC \
  --service-account-issuer https://example.org --service-account-key-file "$work/accounts.key" \
  --service-account-signing-key-file "$work/accounts.key" --service-cluster-ip-range 10.0.0.0/24 \
  >"$work/server.log" 2>&1 &
pids+=($!)

export KUBECONFIG=$work/config
kubectl config set-cluster here --server "https://127.0.0.1:$port" --insecure-skip-tls-verify >/dev/null
kubectl config set-credentials admin --token "$token" >/dev/null
kubectl config set-context here --cluster here --user admin --namespace cabstand >/dev/null
kubectl config use-context here >/dev/null
deadline=$((SECONDS + 300))
until [ "$(kubectl get --raw /readyz 2>/dev/null)" = ok ]; do
  kill -0 "${pids[1]}" && [ $SECONDS -lt $deadline ] || { tail -20 "$work/server.log" >&2; exit 1; }
  sleep 1
done
kubectl version | grep Server

passed=0 failed=0
check() {
  local name=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    passed=$((passed + 1))
    echo "ok   $name"
  else
    failed=$((failed + 1))
    cat "$work/said"
    echo "FAIL $name"
  fi
}
kubectl apply -f deploy/kubernetes/overlays/example/namespace.yaml >/dev/null
# What a controller makes in a cluster.
kubectl create serviceaccount default >/dev/null
of() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }
operator=$(of "$(sed -n 's/.*\bOPERATOR=\(v[0-9.]*\).*/github.com\/prometheus-operator\/prometheus-operator@\1/p' test/charts/run.sh)")
keda=$(of "$(sed -n 's/.*\bKEDA=\(v[0-9.]*\).*/github.com\/kedacore\/keda\/v2@\1/p' test/charts/run.sh)")
for crd in "$operator"/example/prometheus-operator-crd/monitoring.coreos.com_{podmonitors,prometheusrules}.yaml \
  "$keda/config/crd/bases/keda.sh_scaledobjects.yaml"; do
  kubectl apply --server-side -f "$crd" >/dev/null
done
kubectl wait --for condition=established --timeout 60s crd --all >/dev/null

# Warnings are what the server finds deprecated, or Pod Security would refuse.
take() { kubectl apply --server-side --dry-run=server --validate=strict --warnings-as-errors -f -; }
for folder in base overlays/example; do
  made() { kubectl kustomize "deploy/kubernetes/$folder" | take; }
  check "$folder" made
done
check 'monitoring/keda.yaml' take <deploy/kubernetes/monitoring/keda.yaml

chart=deploy/helm/cabstand
values() { helm template taxis $chart --kube-version ${KUBERNETES#v} --namespace cabstand "$@" 2>/dev/null; }
from_values() { values "$@" | take; }
check 'chart: defaults' from_values
check 'chart: no keys' from_values --set auth.mode=none,hoster.drain.enabled=true
check 'chart: a Deployment, HTTP, HPA' from_values --set gateway.kind=Deployment,gateway.http.enabled=true,hoster.autoscaling.type=hpa
check 'chart: everything' from_values --set hoster.drain.enabled=true,hoster.gpu.enabled=true,hoster.gpu.runtimeClassName=nvidia \
  --set hoster.autoscaling.type=keda,hoster.models.claim=models,podMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true

# Pods, as controllers would make them, in a namespace that enforces the restricted standard.
pods() {
  values "$@" | node -e '
    const { parseAllDocuments } = require("yaml");
    for (const document of parseAllDocuments(require("fs").readFileSync(0, "utf8"), { version: "1.1" })) {
      const { kind, metadata, spec } = document.toJS() ?? {};
      if (kind !== "StatefulSet" && kind !== "Deployment") continue;
      const { metadata: { labels, annotations }, spec: pod } = spec.template;
      const made = { apiVersion: "v1", kind: "Pod", metadata: { name: `${metadata.name}-0`, labels, annotations }, spec: pod };
      console.log(`---\n${JSON.stringify(made)}`);
    }'
}
from_pods() { pods "$@" | take; }
check 'pods, which Pod Security takes as restricted' from_pods
root_pods() { ! { pods | sed 's/"runAsNonRoot":true/"runAsNonRoot":false/' | take; } && grep -q 'violates PodSecurity' "$work/said"; }
check 'and not as root' root_pods

release() { helm "$@" taxis $chart --namespace cabstand; }
check 'helm install' release install
check 'helm upgrade' release upgrade --set hoster.replicas=5,hoster.drain.enabled=true,gateway.http.enabled=true
five() { [ "$(kubectl get statefulset hoster -o jsonpath='{.spec.replicas}')" = 5 ]; }
check 'and there are five hosters' five
check 'helm rollback' helm rollback taxis 1 --namespace cabstand
check 'helm uninstall' helm uninstall taxis --namespace cabstand
check 'kubectl apply' kubectl apply -k deploy/kubernetes/overlays/example
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
