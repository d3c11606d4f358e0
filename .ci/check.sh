#!/usr/bin/env bash
# Sets up what the tests need, then checks everything. The README's second command; `.ci/run` is this and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

.ci/setup.sh

export CARGO_TERM_COLOR=never
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
# The absence of a dependency is checked, not hoped for: `volume` has no async runtime.
if cargo tree --package volume --invert tokio --locked 2>/dev/null | grep -q '^tokio'; then
    echo "volume depends on tokio" >&2
    exit 1
fi
RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items --locked
# One failure hides no other.
cargo test --workspace --locked --no-fail-fast
