#!/usr/bin/env bash
# In place of a cluster's DNS: tells dnsmasq the names of pods that have a headless service, and of services. Run by up.sh.
set -euo pipefail
names=$CLUSTER/names
: >"$names"
dnsmasq --keep-in-foreground --no-resolv --no-hosts --local=/cluster.local/ --local=/svc/ --addn-hosts="$names" \
  --listen-address="$IP" --bind-interfaces --local-ttl=1 --pid-file= --user=root &
server=$!
trap 'kill $server' EXIT
trap exit TERM
while sleep 0.5; do
  kubectl get pods,services -A -o json | node -e '
    for (const { metadata, spec, status } of JSON.parse(require("fs").readFileSync(0, "utf8")).items) {
      const { name, namespace } = metadata;
      const tell = (ip, host) => console.log(`${ip} ${host}.${namespace}.svc.cluster.local`);
      if (status.podIP && spec.subdomain) tell(status.podIP, `${spec.hostname ?? name}.${spec.subdomain}`);
      if (spec.clusterIP && spec.clusterIP !== "None") tell(spec.clusterIP, name);
    }' >"$names.new" || continue
  cmp -s "$names" "$names.new" || { cp "$names.new" "$names" && kill -HUP $server; }
done
