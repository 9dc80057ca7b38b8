#!/usr/bin/env bash
# When somebody speaks in a recording: client.sh GATEWAY KEY_FILE MODEL RECORDING.wav
# Needs grpcurl, jq, and OpenSSL 3.
set -euo pipefail
gateway=$1 key_file=$2 model=$3 recording=$4
folder=$(mktemp -d) # for its owner only
trap 'rm -rf "$folder"' EXIT

base64url() { base64 -w0 | tr '+/' '-_' | tr -d '='; }

# Good for one server and five minutes; so long its streams may last.
token() {
  {
    jq -jc '{alg: "EdDSA", kid}' "$key_file" | base64url && printf .
    jq -jc --arg aud "$gateway" '{sub: .principal, roles, $aud, exp: (now + 300 | floor)}' "$key_file" | base64url
  } >"$folder/signed"
  # A private key as OpenSSL reads it is the 32 bytes of `d` behind these.
  {
    printf '\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20'
    jq -r '.d + "="' "$key_file" | tr -- '-_' '+/' | base64 -d
  } >"$folder/key"
  openssl pkeyutl -sign -rawin -keyform DER -inkey "$folder/key" -in "$folder/signed" -out "$folder/signature"
  printf '%s.%s' "$(<"$folder/signed")" "$(base64url <"$folder/signature")"
}

samples=$(tail -c +45 "$recording" | base64 -w0) # 16 bits each, behind the header
length=$(($(stat -c %s "$recording") / 2 - 22))

printf '{"model": "%s", "inputs": [{"name": "audio", "dtype": "DATA_TYPE_INT16", "shape": [%d], "data": "%s"}]}' \
  "$model" "$length" "$samples" |
  # The header is not among the arguments, which other users of the machine could read.
  TOKEN=$(token) grpcurl -plaintext -expand-headers -H 'authorization: Bearer ${TOKEN}' \
    -max-msg-sz 16777216 -max-time 120 -d @ "$gateway" cabstand.v1.HosterService/rpc_inference_stream |
  jq -r --unbuffered '.record // {} | if .chunk then "\(.position // 0) \(.chunk.outputs[0].data)" else .endOfTurn.reason // empty end' |
  while read -r position data; do
    case $position in
      END_REASON_COMPLETED) exit ;;
      END_REASON_*) echo "the turn was not finished: $position" >&2 && exit 1 ;;
      *) printf '%s %.4f\n' "$position" "$(base64 -d <<<"$data" | od -An -tf4)" ;;
    esac
  done
