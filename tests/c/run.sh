#!/bin/sh
# The C core by itself, without Python: built as the package builds it, with sanitizers, and emulated: AVX-512 where there
# is none, and AArch64. What this machine lacks is skipped, and said so. CC=... chooses the compiler of the first three builds.
set -eu
tests=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
source=$tests/../../src_c

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# The flags of setup.py, and warnings as errors. Files for other processors are empty, which -Wpedantic would refuse.
flags="-std=gnu11 -ffp-contract=off -fno-math-errno -fvisibility=hidden -pthread -Wall -Wextra -Werror"

# And those that only gcc knows,
loops="-fsplit-loops -ftree-vectorize -fvect-cost-model=dynamic -fno-align-jumps"
# or gcc for x86
of_gcc="-mtune-ctrl=^inter_unit_moves_from_vec -mmemset-strategy=vector_loop:512:noalign,libcall:-1:noalign -mmemcpy-strategy=vector_loop:512:noalign,libcall:-1:noalign"

# Instruction sets that nothing here runs
absent=

# build NAME COMPILER FLAG...: the program $scratch/NAME. The equations to compare with, and what is absent, are compiled without
# what looks for mistakes, which took half of all the time to look there.
build() {
    program=$scratch/$1 compiler=$2
    shift 2
    # shellcheck disable=SC2086
    if "$compiler" $of_gcc -x c -c /dev/null -o "$program.o" 2>/dev/null; then set -- "$@" $of_gcc; fi
    # shellcheck disable=SC2086
    for equations in naive naive_gated; do
        "$compiler" $flags -O3 -c "$tests/$equations.c" -I"$source" -o "$program.$equations.o"
    done
    set -- "$@" -I"$source"
    for file in "$source"/*/*.c; do
        name=$(basename "$file" .c)
        # shellcheck disable=SC2086
        case " $absent " in
        *" $name "*) "$compiler" $flags -O1 -c "$file" -I"$source" -o "$program.$name.o" ;;
        *) set -- "$@" "$file" ;;
        esac
    done
    for file in "$tests"/*.c; do
        case $file in */naive*) ;; *) set -- "$@" "$file" ;; esac
    done
    # shellcheck disable=SC2086
    "$compiler" $flags "$@" "$program".*.o -lm -o "$program"
}

# passes COMMAND...: what the driver prints is shown, and kept in $scratch/log.
passes() {
    "$@" | tee "$scratch/log"
    grep -q '^driver: [0-9]* checks passed' "$scratch/log"
}

has() { command -v "$1" >/dev/null 2>&1; }

begun=$(date +%s)
section() { printf '%s\n' "--- $* (after $(($(date +%s) - begun)) s)"; }

cc=${CC:-cc}
for compiler in "$cc" gcc clang; do
    if ! has "$compiler"; then
        echo "skipped: $compiler, it is missing"
        continue
    fi
    # cc is one of the others, mostly.
    version=$("$compiler" --version | sed 's/^[^ ]* //;q')
    case "${versions:-}" in *"|$version|"*) continue ;; esac
    versions="${versions:-}|$version|"
    section "$compiler"
    # shellcheck disable=SC2086
    if "$compiler" -Werror $loops -x c -c /dev/null -o "$scratch/loops.o" 2>/dev/null; then set -- $loops; else set --; fi
    build native "$compiler" -O2 "$@" -g0
    passes "$scratch/native"
    mv "$scratch/log" "$scratch/native.log"
done

absent=$(sed -n 's/^\([a-z0-9]*\): not on this machine.*/\1/p' "$scratch/native.log" | tr '\n' ' ')

# Of what a debugger wants to know, lines are enough (-g1): variables take gcc half a minute more.
section "addresses and undefined behavior"
build sanitized "$cc" -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all
UBSAN_OPTIONS=print_stacktrace=1 "$scratch/sanitized"

section "data races"
printf 'int main(void) { return 0; }\n' >"$scratch/empty.c"
if "$cc" -fsanitize=thread "$scratch/empty.c" -o "$scratch/empty" 2>/dev/null && "$scratch/empty" 2>/dev/null; then
    # What it adds to the code confuses gcc's warnings.
    build races "$cc" -w -O1 -g1 -fsanitize=thread -DWITHOUT_FORK
    # What threads share is above the kernels, and for generic ones it is what it is for AVX2: there, less of everything.
    isas=$(sed -n 's/^\([a-z0-9]*\): [0-9]* checks, .*/\1/p' "$scratch/native.log")
    for isa in $isas; do
        case "$isa of $isas" in "generic of "*avx2*) less=--quick ;; *) less= ;; esac
        # shellcheck disable=SC2086
        TSAN_OPTIONS=halt_on_error=1 "$scratch/races" --threads $less --isa "$isa"
    done
else
    echo "skipped: ThreadSanitizer does not work here"
fi

section "AVX-512 emulated"
# The core believes that this processor has everything. The flag is for -O1 to clear the vectors' upper parts, too.
emulated="-O1 -fexpensive-optimizations -g0 -mavx2 -mfma -Wno-psabi -D__builtin_cpu_supports(feature)=1"
if ! [ -e /usr/include/simde/x86/avx512.h ]; then
    echo "skipped: SIMDe (libsimde-dev) is missing"
elif ! grep -q '^avx2: [0-9]* checks' "$scratch/native.log"; then
    echo "skipped: AVX2 is missing, too"
elif ! grep -q '^avx512: not on this machine' "$scratch/native.log"; then
    echo "only compiled: it is tested above"
    # shellcheck disable=SC2086
    "$cc" $flags $emulated -c "$source/isa/avx512.c" -I"$tests/emulated" -I"$source" -o "$scratch/emulated.o"
else
    absent=
    # shellcheck disable=SC2086
    build emulated "$cc" $emulated -I"$tests/emulated"
    passes "$scratch/emulated" --isa avx512
    grep -q '^avx512: [0-9]* checks' "$scratch/log"
fi

absent=
section "AArch64"
if has aarch64-linux-gnu-gcc && has qemu-aarch64; then
    build aarch64 aarch64-linux-gnu-gcc -O3 -g0 -static -DWITHOUT_FORK
    passes qemu-aarch64 "$scratch/aarch64" --quick
    for isa in generic neon; do grep -q "^$isa: [0-9]* checks" "$scratch/log"; done
else
    echo "skipped: aarch64-linux-gnu-gcc or qemu-aarch64 is missing"
fi
