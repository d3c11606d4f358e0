#!/usr/bin/env bash
# Installs what the tests with real clients need (server/tests/it/clients.rs, resume.rs): programs of the system by apt, and in
# target/clients a Python environment and Node packages. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=server/tests/clients
have=target/clients
mkdir -p "$have"

missing=()
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
need unzip unzip
need node nodejs
need npm npm
need python3 python3
# Debian's own, which the tests start by this path.
[ -x /usr/bin/chromium ] || missing+=(chromium)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

# Each list is copied beside what was installed by it, last of all: while they agree, there is nothing to do.
if ! cmp -s "$wanted/requirements.txt" "$have/requirements.txt" || ! "$have/venv/bin/python" -c '' 2>/dev/null; then
    rm -rf "$have/venv" "$have/requirements.txt"
    python3 -m venv "$have/venv"
    "$have/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$wanted/requirements.txt"
    cp "$wanted/requirements.txt" "$have/requirements.txt"
fi
if ! cmp -s "$wanted/package-lock.json" "$have/installed-lock.json" || [ ! -d "$have/node_modules" ]; then
    rm -f "$have/installed-lock.json"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$have/"
    npm ci --prefix "$have" --no-audit --no-fund --ignore-scripts
    cp "$wanted/package-lock.json" "$have/installed-lock.json"
fi
