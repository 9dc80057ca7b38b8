#!/usr/bin/env bash
# The compose subnet in real containers: builds the image, starts everything, waits until the demo
# client has streamed a session, checks health, metrics and users, and takes it all down again.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Where no engine runs and no registry is in reach, CONTAINER_LAB names a script that provides both.
lab=${CONTAINER_LAB:-../shared/container-lab/up.sh}
if ! docker info >/dev/null 2>&1 || ! docker image inspect node:24-bookworm-slim >/dev/null 2>&1; then
  if [ -e "$lab" ]; then
    bash "$lab" >/dev/null
    PATH=/usr/bin:$PATH
  fi
fi
docker info >/dev/null 2>&1 || { echo 'no Docker engine answers: start one, or set CONTAINER_LAB' >&2; exit 1; }
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
export COMPOSE_PROJECT_NAME=cabstand-test

down() { "${compose[@]}" down --volumes --timeout 20 >/dev/null 2>&1 || true; }
fail() {
  echo "FAILED: $1" >&2
  "${compose[@]}" ps >&2 || true
  "${compose[@]}" logs --tail 40 >&2 || true
  exit 1
}
trap down EXIT
down

echo 'building the image …'
docker build --quiet --network host -f deploy/Dockerfile -t cabstand:local . >/dev/null || fail 'the build'
"${compose[@]}" up -d router hoster1 hoster2 prometheus || fail 'the start'
"${compose[@]}" up --no-build --exit-code-from demo demo || fail 'the demo client'

for service in router hoster1 hoster2; do
  id=$("${compose[@]}" ps -q "$service")
  state=$(docker inspect -f '{{.State.Health.Status}}' "$id")
  [ "$state" = healthy ] || fail "$service is $state"
  user=$(docker exec "$id" id -u)
  [ "$user" != 0 ] || fail "$service runs as root"
done

echo 'waiting for Prometheus to scrape all three …'
up() {
  node -e '
    fetch("http://127.0.0.1:9090/api/v1/query?query=sum(up)")
      .then((r) => r.json())
      .then((b) => process.exit(Number(b.data.result[0]?.value[1]) === 3 ? 0 : 1))
      .catch(() => process.exit(1));'
}
for _ in $(seq 60); do up && break; sleep 1; done
up || fail 'Prometheus does not see three targets up'

echo 'metrics and alert rules as promtool sees them …'
prometheus=$("${compose[@]}" ps -q prometheus)
promtool() { docker exec -i "$prometheus" promtool "$@"; }
promtool check config /etc/prometheus/prometheus.yml || fail 'the configuration of Prometheus'
promtool test rules /etc/prometheus/alerts.test.yml || fail 'the alert rules'
page() {
  node -e '
    fetch(`http://127.0.0.1:${process.argv[1]}/metrics`)
      .then((r) => r.text())
      .then((text) => process.stdout.write(text));' "$1"
}
for port in 8050 8051 8052; do
  page "$port" | promtool check metrics || fail "the metrics on port $port"
done

echo 'a session for each bundled model …'
infer() { "${compose[@]}" run --rm -T "$@"; }
infer demo infer --router router:50050 --credentials /keys --model g2p --text taxi || fail 'g2p'
infer -v "$PWD/test/assets:/assets:ro" demo infer --router router:50050 --credentials /keys \
  --model silero-vad --wav /assets/speech.wav --json | tail -n 1 || fail 'silero-vad'
infer -v "$PWD/test/assets:/assets:ro" demo infer --router router:50050 --credentials /keys \
  --model text-orientation --image /assets/text-upside-down.png || fail 'text-orientation'

if grep -rEq 'BEGIN (EC |RSA )?PRIVATE KEY|"d": *"' docker-compose.yml deploy; then fail 'a secret in the files'; fi
echo 'containers: ok'
