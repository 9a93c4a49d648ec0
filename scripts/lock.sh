#!/bin/sh
# Writes constraints.txt anew: every extra of pyproject.toml resolved together, for all systems.
# Versions already there are kept where they still fit.
#
#   scripts/lock.sh [--upgrade] [--upgrade-package NAME]
#
# uv does the resolving, in an environment that is thrown away. torch stands there without "+cpu",
# so that both builds satisfy the line; the CUDA packages of the list are only the pins for those
# who ask scripts/install.sh for CUDA.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet uv==0.13.9
if [ -f "$root/constraints.txt" ]; then
    grep -v '^#' "$root/constraints.txt" >"$work/pins.txt"
fi
"$work/venv/bin/uv" pip compile "$root/pyproject.toml" --all-extras --universal --python-version 3.11 \
    --fork-strategy fewest --system-certs --no-annotate --no-header --quiet -o "$work/pins.txt" "$@" >/dev/null
{
    echo "# Exact versions of everything that any extra of pyproject.toml installs."
    echo "# Made by scripts/lock.sh; scripts/install.sh installs under it. Do not edit by hand."
    cat "$work/pins.txt"
} >"$root/constraints.txt"
