# shellcheck shell=bash
# Roots of Debian releases, made with debootstrap, in .cache/roots. Sourced after lib.sh; the working directory is the project's.

# Sets `root` to that of RELEASE, and makes it where there is none. The sources are to be mounted at its /weir, its
# /weir-build over their build folder.
make_root() { # RELEASE
    local release=$1 log=.cache/roots/$1.log mirror=${WEIR_MIRROR:-http://deb.debian.org/debian}
    [[ $release =~ ^[a-z]+$ ]] || die "\"$release\" is no name of a Debian release"
    root=$PWD/.cache/roots/$release
    as_root true # asks for the password here, where it is seen
    scripts/install root
    mkdir -p build .cache/roots
    if [ ! -d "$root" ]; then
        say "making a root of Debian $release from $mirror, once; it takes a minute"
        as_root rm -rf "$root.new"
        as_root debootstrap --variant=minbase --include=ca-certificates "$release" "$root.new" "$mirror" >"$log" 2>&1 </dev/null || {
            tail -n 10 "$log" >&2
            die "debootstrap failed; the whole log is $log"
        }
        # The way that this machine takes to its mirrors.
        apt-config dump Acquire | as_root tee "$root.new/etc/apt/apt.conf.d/90machine" >/dev/null
        as_root mkdir "$root.new/weir" "$root.new/weir-build"
        as_root mv "$root.new" "$root"
    fi
    [ ! -e /etc/resolv.conf ] || as_root cp -L /etc/resolv.conf "$root/etc/resolv.conf"
}
