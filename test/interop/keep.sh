# Sourced by checks that build programs. What is built is kept in the folder $cache (CABSTAND_INTEROP_CACHE, by default
# one in the temporary folder): `begin FOLDER` makes $draft to build in, `finish FOLDER` puts it there. What was
# interrupted is never taken for ready.
cache=${CABSTAND_INTEROP_CACHE:-${TMPDIR:-/tmp}/cabstand-interop-$(id -u)}
mkdir -p -m 700 "$cache"

draft=
drop() { [ -z "$draft" ] || rm -rf "$draft"; }
trap drop EXIT
begin() { echo "building $1" && draft=$(mktemp -d "$cache/draft.XXXXXX"); }
finish() {
  mkdir -p "$(dirname "$1")"
  rm -rf "$1"
  mv "$draft" "$1"
  draft=
}
