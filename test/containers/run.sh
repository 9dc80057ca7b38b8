#!/usr/bin/env bash
# The compose subnet in real containers: builds the image, starts everything, waits until the demo
# client has streamed a session, checks health, metrics and users, kills a hoster under a stream, asks for
# what the dashboard shows, and takes it all down again.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Where no engine runs and no registry is in reach, CONTAINER_LAB names a script that provides both.
lab=${CONTAINER_LAB:-../shared/container-lab/up.sh}
base=$(sed -n 's/^ARG NODE_IMAGE=//p' deploy/Dockerfile)
pulled() { docker image inspect "$base" >/dev/null 2>&1 || docker pull --quiet "$base" >/dev/null 2>&1; }
build_args=()
if ! docker info >/dev/null 2>&1 || ! pulled; then
  [ ! -e "$lab" ] || bash "$lab" >/dev/null
  PATH=/usr/bin:$PATH
  echo "$base cannot be pulled here: images of the same names, made here, stand in for those of the digests"
  build_args=(--build-arg NODE_IMAGE=node:24-bookworm-slim)
  export PROMETHEUS_IMAGE=prom/prometheus:latest
fi
docker info >/dev/null 2>&1 || { echo 'no Docker engine answers: start one, or set CONTAINER_LAB' >&2; exit 1; }
if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
export COMPOSE_PROJECT_NAME=cabstand-test COMPOSE_FILE=docker-compose.yml:test/containers/language-model.yml

ca=$(mktemp)
down() { "${compose[@]}" down --volumes --timeout 20 >/dev/null 2>&1 || true; }
fail() {
  echo "FAILED: $1" >&2
  "${compose[@]}" ps >&2 || true
  "${compose[@]}" logs --tail 40 >&2 || true
  exit 1
}
trap 'down; rm -f "$ca"' EXIT
down

echo 'building the image …'
docker build --quiet --network host "${build_args[@]}" -f deploy/Dockerfile -t cabstand:local . >/dev/null || fail 'the build'

echo 'what the image holds …'
inside() { docker run --rm --network none --entrypoint "$1" cabstand:local "${@:2}"; }
inside cat /app/sbom.cdx.json | node -e '
  const { bomFormat, components } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const found = components.some(({ name }) => name === "onnxruntime-node");
  process.exit(bomFormat === "CycloneDX" && found ? 0 : 1);' || fail 'the list of packages in the image'
extra=$(inside find /app '(' -name '*.map' -o -name '*.d.ts' -o -path '*/bin/napi-v6/*/*.node' \
  ! -path "*/linux/$(inside node -p process.arch)/*" ')' -print -quit)
[ -z "$extra" ] || fail "the image has $extra"

"${compose[@]}" up -d router hoster1 hoster2 gateway prometheus || fail 'the start'
"${compose[@]}" up --no-build --exit-code-from demo demo || fail 'the demo client'

# Nothing but the file system may be why: the user is one who owns the folder.
read_only() {
  local said
  ! said=$(docker exec -u "$1" "$2" sh -c "echo x >> $3" 2>&1) && [[ $said == *'Read-only file system'* ]]
}
for service in router hoster1 hoster2 gateway; do
  id=$("${compose[@]}" ps -q "$service")
  state=$(docker inspect -f '{{.State.Health.Status}}' "$id")
  [ "$state" = healthy ] || fail "$service is $state"
  user=$(docker exec "$id" id -u)
  [ "$user" != 0 ] || fail "$service runs as root"

  # What is mounted and not there cannot be read: looked at by a root whom no mode keeps from a file.
  look() { docker run --rm --network none -u root --volumes-from "$id" --entrypoint find cabstand:local "$@"; }
  files=$(look /keys -type f -printf '%P\n' | sort | xargs)
  seal=
  [[ $service != hoster* ]] || seal=' seal.key.json'
  own="$service.key.json$seal admin.token tls/ca.crt tls/$service.crt tls/$service.key"
  [ "$files" = "$(printf '%s\n' keys.json $own | sort | xargs)" ] || fail "$service has these keys: $files"
  docker exec "$id" sh -c 'echo x > /tmp/x && rm /tmp/x' || fail "$service cannot write to /tmp"
  for file in /app/x /usr/bin/x; do read_only root "$id" $file || fail "$service can write $file"; done
  for file in /keys/x /keys/keys.json; do read_only node "$id" $file || fail "$service can write $file"; done
  status=$(docker exec "$id" cat /proc/1/status)
  grep -q '^CapEff:[[:space:]]*0*$' <<<"$status" || fail "$service has capabilities"
  grep -q '^CapBnd:[[:space:]]*0*$' <<<"$status" || fail "$service may gain capabilities"
  grep -q '^NoNewPrivs:[[:space:]]*1$' <<<"$status" || fail "$service may gain privileges"
  limits=$(docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$id")
  [[ $limits =~ ^[1-9][0-9]*\ [1-9][0-9]*$ ]] || fail "$service has the limits $limits"
done

files=$("${compose[@]}" run --rm -T --entrypoint find demo /keys -type f -printf '%P\n' 2>/dev/null | sort | xargs)
[ "$files" = 'client.key.json keys.json tls/ca.crt tls/client.crt tls/client.key' ] \
  || fail "the demo client has these keys: $files"

offline=${COMPOSE_PROJECT_NAME}_keys-offline
docker run --rm --entrypoint ls -v "$offline:/offline:ro" -u root cabstand:local /offline/admin.key.json >/dev/null \
  || fail 'the offline keys are not where they should be'
[ -z "$(docker ps -q --filter "volume=$offline")" ] || fail 'a container that runs mounts the offline keys'

echo 'plain text is refused, and the keys stay when the job runs again …'
if "${compose[@]}" run --rm -T -e CABSTAND_TLS= demo nodes >/dev/null 2>&1; then fail 'the router takes plain text'; fi
router=$("${compose[@]}" ps -q router)
before=$(docker exec "$router" sha256sum /keys/keys.json /keys/router.key.json)
"${compose[@]}" run --rm -T keys >/dev/null || fail 'the second run of the job keys'
[ "$before" = "$(docker exec "$router" sha256sum /keys/keys.json /keys/router.key.json)" ] || fail 'the keys changed'

echo 'waiting for Prometheus to scrape all four …'
up() {
  node -e '
    fetch("http://127.0.0.1:9090/api/v1/query?query=sum(up)")
      .then((r) => r.json())
      .then((b) => process.exit(Number(b.data.result[0]?.value[1]) === 4 ? 0 : 1))
      .catch(() => process.exit(1));'
}
for _ in $(seq 60); do up && break; sleep 1; done
up || fail 'Prometheus does not see four targets up'

echo 'metrics and alert rules as promtool sees them …'
prometheus=$("${compose[@]}" ps -q prometheus)
promtool() { docker exec -i "$prometheus" promtool "$@"; }
promtool check config /etc/prometheus/prometheus.yml || fail 'the configuration of Prometheus'
promtool test rules /etc/prometheus/alerts.test.yml || fail 'the alert rules'
files=$(docker exec "$prometheus" find /keys -type f -printf '%P\n' | sort | xargs)
[ "$files" = 'admin.token ca.crt' ] || fail "Prometheus has these keys: $files"
token=$(docker exec "$prometheus" cat /keys/admin.token)
docker exec "$prometheus" cat /keys/ca.crt >"$ca"
# Ends with 41 where it is refused; without a second argument no token is sent.
page() {
  NODE_EXTRA_CA_CERTS=$ca node -e '
    const [port, token] = process.argv.slice(1);
    fetch(`https://127.0.0.1:${port}/metrics`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    }).then(async (r) => {
      process.stdout.write(await r.text());
      process.exitCode = r.ok ? 0 : r.status === 401 ? 41 : 1;
    });' "$@"
}
for port in 8050 8051 8052 8060; do
  page "$port" "$token" | promtool check metrics || fail "the metrics on port $port"
  status=0
  page "$port" >/dev/null || status=$?
  [ "$status" = 41 ] || fail "port $port shows metrics to anybody"
done

echo 'a session for each bundled model …'
infer() { "${compose[@]}" run --rm -T "$@"; }
infer demo infer --model g2p --text taxi || fail 'g2p'
infer -v "$PWD/test/assets:/assets:ro" demo infer \
  --model silero-vad --wav /assets/speech.wav --json | tail -n 1 || fail 'silero-vad'
infer -v "$PWD/test/assets:/assets:ro" demo infer \
  --model text-orientation --image /assets/text-upside-down.png || fail 'text-orientation'
infer demo infer --model llama --text taxi >/dev/null || fail 'the language model'

echo 'a hoster is killed under a stream, and an engine …'
node test/containers/failover.mjs "${compose[@]}" || fail 'the stream'
echo 'what the dashboard shows of it …'
node test/containers/panels.mjs http://127.0.0.1:9090 || fail 'the dashboard'

if grep -rEq 'BEGIN (EC |RSA )?PRIVATE KEY|"d": *"' docker-compose.yml deploy; then fail 'a secret in the files'; fi
echo 'containers: ok'
