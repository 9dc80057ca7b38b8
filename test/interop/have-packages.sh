# Sourced after keep.sh: `have_packages NAME REQUIREMENTS` installs these packages for Python into an environment of
# their own, once, and sets $python to the one that has them. PYTHON: what it is made with; default: python3.
have_packages() {
  local base=${PYTHON:-python3} made_from environment
  made_from=$({ "$base" --version; cat "$2"; } | sha256sum | cut -c1-16)
  environment=$cache/$1-$made_from
  if [ ! -e "$environment/ready" ]; then
    begin "$environment"
    "$base" -m venv "$draft/venv"
    "$draft/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$2"
    touch "$draft/ready"
    finish "$environment"
  fi
  python=$environment/venv/bin/python
}
