#!/usr/bin/env bash
# Checks everything: first what needs nothing but Rust, then the tests, with real clients, which `.ci/setup.sh` installs. Where it can't,
# they are left out, and it says so; with CI=true that is an error. The README's second command; `.ci/run` is this and nothing else.
# `--quick` is for the time between two commits: see `--help`.
set -euo pipefail
cd "$(dirname "$0")/.."

help='Usage: .ci/check.sh [--quick]

Without an argument it checks everything, as CI does: formatting, lints, documentation, and all tests. It installs first what the tests need
(.ci/setup.sh). This takes some twenty minutes.

--quick installs nothing and takes a few minutes: formatting, lints, the unit tests of all packages, and tests/ of each package whose folder
has changed since main, committed or not. It leaves out the tests that need other programs (clients, the container) or more than a minute.
The first run after a full check compiles dependencies again, since one package alone needs fewer of their features.'
quick=false
for argument in "$@"; do
    case $argument in
    --quick) quick=true ;;
    -h | --help)
        echo "$help"
        exit
        ;;
    *)
        printf 'unknown argument: %s\n\n%s\n' "$argument" "$help" >&2
        exit 2
        ;;
    esac
done

# The compiler that rust-toolchain.toml names does as well under another name, where it can't be fetched.
ours=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! rustc --version >/dev/null 2>&1 && rustc +stable --version 2>/dev/null | grep -q "^rustc $ours "; then
    export RUSTUP_TOOLCHAIN=stable
fi
export CARGO_TERM_COLOR=never
cargo fmt --all --check
if ! $quick; then
    # It waits for downloads most of the time, and the compiler does not: both at once. It is not ended in the middle.
    said=$(mktemp)
    trap 'wait; rm -f "$said"' EXIT
    .ci/setup.sh >"$said" 2>&1 &
    installing=$!
fi
cargo clippy --workspace --all-targets --locked -- -D warnings
# The absence of a dependency is checked, not hoped for: `volume` has no async runtime.
if cargo tree --package volume --invert tokio --locked 2>/dev/null | grep -q '^tokio'; then
    echo "volume depends on tokio" >&2
    exit 1
fi

# Tests that need what `.ci/setup.sh` installs, by the names of their modules or, where others beside them need nothing, by their own.
need_chromium=(clients:: the_module_does_what_its_types_say no_call_fails_in_fifty_rounds a_page_wakes_the_server_once
    the_example_shows_the_run)
need_setup=("${need_chromium[@]}" chain:: image:: metrics:: preview:: resume:: transfers:: wormhole:: breaks:: interop:: own::
    the_modules_types_are_true what_rsync_brings what_unzip_brings each_coding_gives_the_file_back)
if $quick; then
    setup=0
    # Two besides take more than a minute each.
    left_out=("${need_setup[@]}" a_console_keeps_the_server_awake a_download_took_as_long_as_it_took)
else
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items --locked
    cargo test --workspace --no-run --locked
    setup=0
    wait $installing || setup=$?
    cat "$said"
    [ $setup -eq 0 ] || [ "${CI-}" != true ] || exit 1
    case $setup in
    0) left_out=() ;;
    42) left_out=("${need_chromium[@]}") ;;
    *) left_out=("${need_setup[@]}") ;;
    esac
fi

# The packages with tests of their own whose folders have changed since `main`, committed or not.
touched() {
    local base folder package
    base=$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD) || return
    { git diff --name-only --no-renames "$base" && git ls-files --others --exclude-standard; } | cut -d / -f 1 | sort -u |
        while read -r folder; do
            case $folder in
            server) package=sounding-server ;;
            tui) package=sounding ;;
            volume | wormhole | zipstream | transfers) package=$folder ;;
            *) continue ;;
            esac
            [ ! -d "$folder/tests" ] || echo "$package"
        done
}

# What the tests make goes with them: files in a folder of this run's, whose sockets' addresses must stay short; mounts and processes, which
# are told by a variable that all of them have, are looked for.
TMPDIR=$(mktemp --directory /tmp/sounding.XXXX)
trap 'rm -rf "$TMPDIR" ${said+"$said"}' EXIT
chmod 1777 "$TMPDIR"
export TMPDIR SOUNDING_TEST_RUN=$TMPDIR
mounts=$(cut -d ' ' -f 2 /proc/self/mounts)
# Most tests wait for another program, or for a time to pass: two for each processor.
export RUST_TEST_THREADS=${RUST_TEST_THREADS-$(($(nproc) * 2))}
# One failure hides no other.
skip=(${left_out[@]+"${left_out[@]/#/--skip=}"})
if $quick; then
    packages=$(touched)
    failed=false
    # Of the fuzz targets, clippy has seen that they compile; they have no tests.
    cargo test --workspace --exclude fuzz --locked --no-fail-fast --lib --bins || failed=true
    # One at a time: each has its own features of the dependencies, whatever else was touched.
    for package in $packages; do
        options=("${skip[@]}")
        # These two need no other program, and have modules of the same names.
        case $package in volume | zipstream) options=() ;; esac
        cargo test --package "$package" --locked --no-fail-fast --test '*' -- ${options[@]+"${options[@]}"} || failed=true
    done
    ! $failed || exit 1
else
    cargo test --workspace --locked --no-fail-fast -- ${skip[@]+"${skip[@]}"}
fi
left=$(
    diff <(echo "$mounts") <(cut -d ' ' -f 2 /proc/self/mounts) | sed -n 's/^> /the mount /p'
    env --unset=SOUNDING_TEST_RUN grep --files-with-matches --no-messages "SOUNDING_TEST_RUN=$TMPDIR" /proc/[0-9]*/environ || true
)
[ -z "$left" ] || { echo "the tests have left $left" >&2; exit 1; }
if $quick; then
    packages=${packages:-none}
    echo "quick: passed; packages whose tests/ ran: ${packages//$'\n'/, }. Before you hand your work over, run .ci/check.sh." >&2
fi
[ $setup -eq 0 ] || echo "left out, for want of what .ci/setup.sh could not install: the tests in ${left_out[*]}" >&2
