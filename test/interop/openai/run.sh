#!/usr/bin/env bash
# Asks a gateway with the openai package of Python as it is published: needs Python 3.10 or later, and built services
# (npm run build). Prints "N passed, N failed"; non-zero if anything failed. Packages are kept as those of
# test/interop/run.sh are.
set -euo pipefail
cd "$(dirname "$0")/../../.."

. test/interop/keep.sh
. test/interop/have-packages.sh
have_packages openai test/interop/openai/requirements.txt
export PYTHONPATH=test/interop

models=$(mktemp -d)
trap 'drop; rm -rf "$models"' EXIT
cp -r test/language-models/llama test/encoder-models/sentence-bert "$models"
cat > "$models/llama/1/chat_template.jinja" << 'END'
{{ bos_token }}{% for tool in tools or [] %}{{ tool.function.name }}, {% endfor %}
{%- for m in messages %}{{ m.role + ': ' + (m.content or (m.tool_calls | tojson)) + '</s>' }}{% endfor %}assistant:
END

# Engines stay close to their readers: they have something left to compute when they die.
export SUBNET_OPTIONS='{ "models": "'"$models"'", "hosterConfig": { "limits": { "journal_records": 16 } }, "readyMs": 180000 }'
export GATEWAY='{ "http": { "listen": "127.0.0.1:0" } }'
node test/interop/with-subnet.mjs "$python" test/interop/openai/checks.py
