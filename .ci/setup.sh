#!/usr/bin/env bash
# Installs what the tests with real clients need (server/tests/it/clients/mod.rs, resume.rs, wormhole/tests/it, tui/tests/it), and those of
# the container (chain.rs, image.rs): programs of the system by apt, in target/clients Python environments and Node packages, and in
# target/image the base of the image. Quick when all is there. Where something can't be had, it says what, and ends with 42 if that is
# Chromium alone, else with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=server/tests/clients
have=target/clients
mkdir -p "$have"

# Packages to install, and what can't be had here.
missing=() left_out=()
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || missing+=("$2")
}
need curl curl
need wget wget
need lftp lftp
need rclone rclone
need brotli brotli
need zstd zstd
need rsync rsync
need zip zip
need bindfs bindfs
need unzip unzip
need node nodejs
need npm npm
need python3 python3
# Debian's own, which the tests start by this path.
[ -x /usr/bin/chromium ] || missing+=(chromium)
[ -x /usr/bin/wormhole ] || missing+=(magic-wormhole)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ -x /usr/sbin/nginx ] || missing+=(nginx)
[ -x /usr/bin/supervisord ] || missing+=(supervisor)
need ip iproute2
need buildah buildah
need podman podman
need runc runc
need mmdebstrap mmdebstrap
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Ubuntu has Chromium as a snap only, which the tests can't start.
install_missing() {
    as_root apt-get update
    local package found=()
    for package in "${missing[@]}"; do
        case $(LC_ALL=C apt-cache policy "$package") in
        *'Candidate: (none)'* | '') left_out+=("$package") ;;
        *) found+=("$package") ;;
        esac
    done
    [ ${#found[@]} -gt 0 ] || return 0
    # nginx and supervisord are for the tests alone, so no service starts now. Packages start theirs by these two commands, which do nothing
    # while apt-get runs. Nothing is written outside this folder: a `policy-rc.d` would stop other packages' services too.
    local idle
    idle=$(realpath "$have")/no-services
    mkdir -p "$idle"
    ln -sf /bin/true "$idle/invoke-rc.d"
    ln -sf /bin/true "$idle/deb-systemd-invoke"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        -o "DPkg::Path=$idle:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "${found[@]}"
    # Debian's packages are enabled when they are installed, so the next boot would start them.
    case "${CI-} ${found[*]}" in
    true\ *) ;;
    *nginx* | *supervisor*)
        [ ! -d /run/systemd/system ] ||
            echo "nginx or supervisor is new here and will start at the next boot; to prevent that: sudo systemctl disable nginx supervisor" >&2
        ;;
    esac
}
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null || { [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; }; then
        echo "for these packages apt-get is needed, and root or sudo: ${missing[*]}" >&2
        exit 1
    fi
    install_missing
fi

# Unpacked, not installed: the package would start a service.
if [ ! -x "$have/prometheus/usr/bin/promtool" ]; then
    (cd "$have" && apt-get -q download prometheus) || { as_root apt-get update && (cd "$have" && apt-get -q download prometheus); }
    dpkg --extract "$have"/prometheus_*.deb "$have/prometheus"
    rm "$have"/prometheus_*.deb
fi

# The image's base, made of Debian's packages: no registry need be within reach. Root's work, as are the tests of the image, which say
# so where it is not there. It takes half a minute, in which the rest goes on.
image=target/image
make_base() {
    mkdir -p $image
    mmdebstrap --quiet --variant=minbase --format=tar --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' bookworm $image/base.tar.new \
        'deb http://deb.debian.org/debian bookworm main' 'deb http://deb.debian.org/debian-security bookworm-security main'
    mv $image/base.tar.new $image/base.tar
}
if [ "$(id -u)" -eq 0 ] && [ ! -e $image/base.tar ]; then
    make_base &
    base=$!
fi

# Each list is copied beside what was installed by it, last of all: while they agree, there is nothing to do.
environment() { # LIST ENVIRONMENT COPY
    if cmp -s "$1" "$3" && "$2/bin/python" -c '' 2>/dev/null; then
        return
    fi
    rm -rf "$2" "$3"
    python3 -m venv "$2"
    "$2/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$1"
    cp "$1" "$3"
}
environment "$wanted/requirements.txt" "$have/venv" "$have/requirements.txt"
environment wormhole/tests/clients/requirements.txt "$have/wormhole-venv" "$have/wormhole-requirements.txt"
if ! cmp -s "$wanted/package-lock.json" "$have/installed-lock.json" || [ ! -d "$have/node_modules" ]; then
    rm -f "$have/installed-lock.json"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$have/"
    npm ci --prefix "$have" --no-audit --no-fund --ignore-scripts
    cp "$wanted/package-lock.json" "$have/installed-lock.json"
fi
[ -z "${base-}" ] || wait "$base" || left_out+=("the base of the container's image")
if [ ${#left_out[@]} -gt 0 ]; then
    echo "could not be had here: ${left_out[*]}" >&2
    [ "${left_out[*]}" = chromium ] && exit 42
    exit 1
fi
