# Sourced by checks that need Java. `have_java` tells whether there are javac and Maven; where they are missing it gets
# them from Debian first, if that is possible.
have_java() {
  command -v javac >/dev/null && command -v mvn >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jdk-headless maven || true
  fi
  command -v javac >/dev/null && command -v mvn >/dev/null
}
