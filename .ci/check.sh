#!/usr/bin/env bash
# Checks everything: first what needs nothing but Rust, then the tests, with real clients, which `.ci/setup.sh` installs. Where it can't,
# they are left out, and it says so; with CI=true that is an error. The README's second command; `.ci/run` is this and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR=never
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
# The absence of a dependency is checked, not hoped for: `volume` has no async runtime.
if cargo tree --package volume --invert tokio --locked 2>/dev/null | grep -q '^tokio'; then
    echo "volume depends on tokio" >&2
    exit 1
fi
RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items --locked

set +e
.ci/setup.sh
setup=$?
set -e
[ $setup -eq 0 ] || [ "${CI-}" != true ] || exit 1
# By the names of their modules.
case $setup in
0) left_out=() ;;
42) left_out=(clients::) ;;
*) left_out=(chain:: clients:: image:: metrics:: preview:: resume:: transfers:: wormhole:: breaks:: interop:: own::) ;;
esac
# What the tests make goes with them: files in a folder of this run's, whose sockets' addresses must stay short; mounts and processes, which
# are told by a variable that all of them have, are looked for.
TMPDIR=$(mktemp --directory /tmp/sounding.XXXX)
trap 'rm -rf "$TMPDIR"' EXIT
chmod 1777 "$TMPDIR"
export TMPDIR SOUNDING_TEST_RUN=$TMPDIR
mounts=$(cut -d ' ' -f 2 /proc/self/mounts)
# One failure hides no other.
cargo test --workspace --locked --no-fail-fast -- ${left_out[@]+"${left_out[@]/#/--skip=}"}
left=$(
    diff <(echo "$mounts") <(cut -d ' ' -f 2 /proc/self/mounts) | sed -n 's/^> /the mount /p'
    env --unset=SOUNDING_TEST_RUN grep --files-with-matches --no-messages "SOUNDING_TEST_RUN=$TMPDIR" /proc/[0-9]*/environ || true
)
[ -z "$left" ] || { echo "the tests have left $left" >&2; exit 1; }
[ $setup -eq 0 ] || echo "left out, for want of what .ci/setup.sh could not install: the tests in ${left_out[*]}" >&2
