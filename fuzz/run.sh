#!/usr/bin/env bash
# Runs every fuzz target, one after the other: `fuzz/run.sh SECONDS [TARGET…]`. Ends with status 1 if one of them found something, which
# lies in fuzz/artifacts then. What was learnt stays in fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?say for how many seconds each target shall run}
shift
[ $# -gt 0 ] || mapfile -t set_of_targets < <(cd fuzz_targets && basename -s .rs -a ./*.rs)
[ $# -gt 0 ] || set -- "${set_of_targets[@]}"

python3 seeds.py
# The stable compiler is told to take the flags of the unstable one.
export RUSTC_BOOTSTRAP=1
# Ten programs, built for a few minutes of use each.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=false
build=(--fuzz-dir . --target-dir ../target/fuzz --sanitizer none)
cargo fuzz build "${build[@]}"

# The archives are unpacked in memory, where there is such a place.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
failed=()
for target; do
    dictionary=()
    [[ $target != *zip* ]] || dictionary=(-dict=zip.dict)
    echo "== $target"
    cargo fuzz run "${build[@]}" "$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=0 "${dictionary[@]}" || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { echo "found something: ${failed[*]}" >&2; exit 1; }
