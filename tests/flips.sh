#!/usr/bin/env bash
# Turns comparisons round, one at a time, in a copy of the sources, and runs the unit tests that must notice. A flip that
# no test notices fails the run. About half a minute a flip:
#
#     bash tests/flips.sh                      # token verification, the envelope, the journal
#     bash tests/flips.sh src/format/frame.rs  # any other source file
set -euo pipefail
cd "$(dirname "$0")/.."
files=("$@")
[ $# -gt 0 ] || files=(src/token/verify.rs src/token/decide.rs src/format/envelope.rs src/format/frame.rs
    src/storage/journal/walk.rs src/storage/journal/tail.rs src/audit/verify.rs)

# The copy always stands in the same place, so that only what was flipped is built again.
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR
copy=$CARGO_TARGET_DIR/flips
rm -rf "$copy" && mkdir -p "$copy"
cp -r Cargo.toml Cargo.lock README.md src derive docs tests benches examples fuzz torture "$copy"
(cd "$copy" && cargo test --quiet --lib --no-run) || { echo "the copy does not build as it is"; exit 1; }

# Line number and flipped line of every comparison outside comments, attributes and constants.
flips() {
    awk '
        /^#\[cfg\(test\)\]/ { exit }
        /^ *(\/\/|#)/ || /const _/ || /assert/ { next }
        {
            flipped = $0
            if (sub(/ == /, " != ", flipped) || sub(/ != /, " == ", flipped) || sub(/ <= /, " > ", flipped) ||
                sub(/ >= /, " < ", flipped) || sub(/ < /, " >= ", flipped) || sub(/ > /, " <= ", flipped)) {
                print NR "\t" flipped
            }
        }' "$1"
}

noticed=0 missed=()
for file in "${files[@]}"; do
    # The tests of the room, and of the door to it.
    room=$(dirname "${file#src/}"); room=${room%%/*}
    while IFS=$'\t' read -r line flipped; do
        awk -v at="$line" -v to="$flipped" 'NR == at { print to; next } { print }' "$file" > "$copy/$file"
        if ! (cd "$copy" && cargo test --quiet --lib --no-run) >"$copy/log" 2>&1; then
            echo "-- $file:$line does not compile when flipped: skipped"
        elif (cd "$copy" && timeout 600 cargo test --quiet --lib "$room::") >"$copy/log" 2>&1; then
            echo "!! $file:$line: no test notices $flipped"
            missed+=("$file:$line")
        else
            noticed=$((noticed + 1))
            echo "ok $file:$line: $(grep -m1 -oE '^    [a-z_:]+$' "$copy/log" | tr -d ' ')"
        fi
    done < <(flips "$file")
    cp "$file" "$copy/$file"
done
echo "$noticed flips noticed, ${#missed[@]} missed"
[ "$noticed" -gt 0 ] && [ ${#missed[@]} -eq 0 ]
