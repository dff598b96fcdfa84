# shellcheck shell=bash
# What the scripts share. Sourced; the working directory is the project's.

say() { printf '%s\n' "$*" >&2; }
die() {
    say "$(basename "$0"): $*"
    exit 1
}

# What the comment at a script's head says.
usage() { # FILE
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$1"
}

# ctest, two tests to a core: most of them wait most of their time.
run_tests() { # BUILD_DIR [CTEST-OPTION]...
    ctest --test-dir "$1" --output-on-failure --no-tests=error -j $((2 * $(nproc))) "${@:2}"
}

# Runs as root: directly, or by sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo here; run it as root"
    fi
}
