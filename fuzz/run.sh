#!/usr/bin/env bash
# Fuzzes each target for so many seconds: fuzz/run.sh SECONDS [TARGET…]. Prints the executions of each; fails on a finding.
# Needs a nightly toolchain (libFuzzer's instrumentation) and cargo-fuzz. With SEED set, inputs are drawn from that number.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { echo "usage: fuzz/run.sh SECONDS [TARGET…]" >&2; exit 2; }
seconds=$1
shift

# No sanitizer: the crate forbids unsafe code, so a finding is a panic, a hang or too much memory. Those show without one,
# and more inputs are tried.
cargo +nightly fuzz build --sanitizer none
mapfile -t all < <(cargo +nightly fuzz list)
[ $# -ge 1 ] || set -- "${all[@]}"

target=${CARGO_TARGET_DIR:-fuzz/target}
triple=$(rustc +nightly -vV | sed -n 's/^host: //p')
found=0
for name; do
    new=$target/corpus/$name log=$target/$name.log
    mkdir -p "$new" "fuzz/artifacts/$name"
    seeds=fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    # What is found new goes to the target folder; the committed seeds stay as they are.
    # A day on disk may take many seconds where the disk is slow.
    case $name in operations*) slowest=180 ;; *) slowest=10 ;; esac
    if "$target/$triple/release/$name" -max_total_time="$seconds" -timeout="$slowest" -rss_limit_mb=1024 -print_final_stats=1 ${SEED:+"-seed=$SEED"} \
        -artifact_prefix="fuzz/artifacts/$name/" "$new" $seeds >"$log" 2>&1; then
        printf '%-16s %12s executions\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    else
        found=1
        printf '%-16s FOUND something; input in fuzz/artifacts/%s\n' "$name" "$name"
        tail -40 "$log"
    fi
done
exit "$found"
