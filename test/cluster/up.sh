#!/usr/bin/env bash
# Starts a cluster of one node on this machine, for trials of deploy/kubernetes and deploy/helm, with the image
# cabstand:local of the Docker engine. Needs root, what build.sh made, and of Debian etcd-server, containerd,
# containernetworking-plugins, nftables and dnsmasq-base. Its addresses are on bridges that it makes; down.sh takes
# all away. It is open to whoever is on this machine: for nothing else.
#
#   export KUBECONFIG=/var/tmp/cabstand-cluster/kubeconfig
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export CLUSTER=${CLUSTER:-/var/tmp/cabstand-cluster} IP=10.10.0.1 PODS=10.244.0.0/24
run=/run/cabstand-cluster
mkdir -p "$CLUSTER"/{etcd,pki,logs,kubelet,containerd,cni} $run
export KUBECONFIG=$CLUSTER/kubeconfig

[ -e /sys/class/net/cabstand0 ] || { ip link add cabstand0 type bridge && ip address add $IP/24 dev cabstand0; }
ip link set cabstand0 up
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.bridge.bridge-nf-call-iptables=1
# Docker forwards nothing but its own.
for way in -s -d; do iptables -C FORWARD $way $PODS -j ACCEPT 2>/dev/null || iptables -I FORWARD $way $PODS -j ACCEPT; done

[ -e "$CLUSTER/pki/sa.key" ] || openssl genrsa -out "$CLUSTER/pki/sa.key" 2048 2>/dev/null
[ -e "$CLUSTER/pki/token" ] || (umask 077 && openssl rand -hex 16 >"$CLUSTER/pki/token")
token=$(cat "$CLUSTER/pki/token")
(umask 077 && echo "$token,admin,admin,system:masters" >"$CLUSTER/pki/tokens.csv")
cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
clusters: [{ name: trial, cluster: { server: 'https://$IP:6443', insecure-skip-tls-verify: true } }]
users: [{ name: admin, user: { token: $token } }]
contexts: [{ name: trial, context: { cluster: trial, user: admin } }]
current-context: trial
YAML
cat >"$CLUSTER/cni/pods.conflist" <<JSON
{ "cniVersion": "0.4.0", "name": "pods", "plugins": [{ "type": "bridge", "bridge": "cabstand1", "isGateway": true,
  "hairpinMode": true, "ipam": { "type": "host-local", "ranges": [[{ "subnet": "$PODS" }]],
  "routes": [{ "dst": "0.0.0.0/0" }] } }] }
JSON
cat >"$CLUSTER/containerd.toml" <<TOML
version = 2
root = "$CLUSTER/containerd"
state = "$run"
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pause:local"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$CLUSTER/cni"
TOML
cat >"$CLUSTER/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$run/containerd.sock
failSwapOn: false
clusterDNS: [$IP]
clusterDomain: cluster.local
authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }
authorization: { mode: AlwaysAllow }
enforceNodeAllocatable: []
imageGCHighThresholdPercent: 100
evictionHard: { nodefs.available: 1%, memory.available: 100Mi }
# Without the right to lower its own score for the kernel's killer it goes on.
featureGates: { KubeletInUserNamespace: true }
YAML

start() {
  local name=$1 pid=$CLUSTER/$1.pid
  shift
  [ -e "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null && return
  setsid "$@" >"$CLUSTER/logs/$name.log" 2>&1 </dev/null &
  echo $! >"$pid"
}
until_true() {
  for _ in $(seq 240); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done
  echo "not in two minutes: $*; see $CLUSTER/logs" >&2
  exit 1
}

etcd=http://127.0.0.1:23790
start etcd etcd --data-dir "$CLUSTER/etcd" --listen-client-urls $etcd --advertise-client-urls $etcd \
  --listen-peer-urls http://127.0.0.1:23800
start apiserver "$CLUSTER/bin/kube-apiserver" --etcd-servers=$etcd --cert-dir="$CLUSTER/pki" --bind-address=$IP \
  --advertise-address=$IP --token-auth-file="$CLUSTER/pki/tokens.csv" --authorization-mode=Node,RBAC \
  --service-cluster-ip-range=10.96.0.0/16 --kubelet-preferred-address-types=InternalIP \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$CLUSTER/pki/sa.key" \
  --service-account-signing-key-file="$CLUSTER/pki/sa.key"
until_true kubectl get --raw /readyz
start controllers "$CLUSTER/bin/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false \
  --service-account-private-key-file="$CLUSTER/pki/sa.key"
start scheduler "$CLUSTER/bin/kube-scheduler" --kubeconfig="$KUBECONFIG" --leader-elect=false
start containerd containerd --config "$CLUSTER/containerd.toml"
containers=(ctr -a $run/containerd.sock -n k8s.io)
until_true "${containers[@]}" version
tar -C "$CLUSTER/bin" -c pause | docker import -c 'ENTRYPOINT ["/pause"]' - pause:local >/dev/null
docker save cabstand:local pause:local | "${containers[@]}" images import - >/dev/null
start kubelet "$CLUSTER/bin/kubelet" --config="$CLUSTER/kubelet.yaml" --kubeconfig="$KUBECONFIG" \
  --root-dir="$CLUSTER/kubelet" --node-ip=$IP --hostname-override=node-1
start proxy "$CLUSTER/bin/kube-proxy" --kubeconfig="$KUBECONFIG" --hostname-override=node-1 --proxy-mode=nftables \
  --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 --conntrack-tcp-timeout-close-wait=0
start names bash "$here/names.sh"
until_true kubectl wait --for=condition=Ready node/node-1 --timeout=1s
