#!/usr/bin/env bash
# Stops what up.sh started. What was built is kept; what was stored is not.
set -uo pipefail
CLUSTER=${CLUSTER:-/var/tmp/cabstand-cluster}
containers=(ctr -a /run/cabstand-cluster/containerd.sock -n k8s.io)
end() {
  for name; do [ ! -e "$CLUSTER/$name.pid" ] || kill "$(cat "$CLUSTER/$name.pid")" 2>/dev/null; done
}
end names proxy kubelet scheduler controllers
for task in $("${containers[@]}" tasks ls -q); do "${containers[@]}" tasks delete --force "$task" >/dev/null; done
end containerd apiserver etcd
sleep 2
nft delete table ip kube-proxy 2>/dev/null
nft delete table ip6 kube-proxy 2>/dev/null
for way in -s -d; do iptables -D FORWARD $way 10.244.0.0/24 -j ACCEPT; done
mounts() { awk -v a="$CLUSTER/" -v b=/run/cabstand-cluster/ 'index($2, a) == 1 || index($2, b) == 1 { print $2 }' /proc/mounts; }
for mounted in $(mounts | sort -r); do umount "$mounted"; done
for space in /run/netns/cni-*; do [ ! -e "$space" ] || ip netns delete "${space##*/}"; done
ip link delete cabstand0
ip link delete cabstand1
rm -rf "$CLUSTER"/*.pid "$CLUSTER"/{etcd,kubelet,containerd} /run/cabstand-cluster
exit 0
