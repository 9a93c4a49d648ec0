#!/bin/sh
# Installs this package with the extras asked for, at the versions in constraints.txt, and torch
# before it where one of them needs torch. The Makefile and the images under docker/ all install
# through this one script.
#
#   scripts/install.sh [--no-editable] TARGET EXTRAS [PIP OPTION...]
#
#   TARGET   a virtual environment (made when missing) or a Python executable
#   EXTRAS   extras of pyproject.toml with commas between, e.g. train,serve,cpu,dev
#
# It prints a line a step. All that pip says is in install.log, in the environment; where a step
# fails, its end is printed and the file named.
#
# Without the extra "gpu" no CUDA package is downloaded: on Linux the build "+cpu" of torch is taken,
# from where pip is already told to look (a wheel in a find-links folder will do), else from
# PyTorch's own CPU index; everything else comes from PyPI. If neither has it the script fails,
# because what PyPI calls plain torch brings gigabytes of CUDA with it. Elsewhere than on Linux
# PyPI's torch has no CUDA.
#
# On a GPU: train,serve,gpu, or what of it is needed. "gpu" stands in the place of "cpu": both have
# the same packages, in two builds.
#
# Environment: PYTHON makes a missing environment (python3); TORCH_CPU_INDEX is a mirror of
# PyTorch's CPU index; pip's own variables work as ever.
set -eu

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { die "usage: scripts/install.sh [--no-editable] TARGET EXTRAS [PIP OPTION...]"; }

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
pins=$root/constraints.txt
editable=-e
while [ $# -gt 0 ]; do
    case $1 in
        --no-editable) editable= ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
[ $# -ge 2 ] || usage
target=$1 extras=$2
shift 2 # what is left goes to pip as it is

case ,$extras, in *,gpu,*) cuda=yes ;; *) cuda=no ;; esac
python=$target
if [ -d "$target" ] || [ ! -e "$target" ]; then
    [ -x "$target/bin/python" ] || {
        say "making the environment $target"
        "${PYTHON:-python3}" -m venv "$target"
    }
    python=$target/bin/python
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed"

# pip itself goes on without an extra that it does not know.
needs_torch=$("$python" - "$root/pyproject.toml" "$extras" <<'EOF'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    known = tomllib.load(file)["project"]["optional-dependencies"]
asked = sys.argv[2].split(",")
if unknown := [extra for extra in asked if extra not in known]:
    sys.exit(f"install: no extra {', '.join(map(repr, unknown))}; there are {', '.join(known)}")
if {"gpu", "cpu"} <= set(asked):
    sys.exit("install: 'gpu' clashes with 'cpu': two builds of the same packages")
if "train" in asked and not {"gpu", "cpu"} & set(asked):
    sys.exit("install: 'train' wants 'cpu' or 'gpu' beside it")
needed = any(requirement.startswith("torch>") for extra in asked for requirement in known[extra])
print("yes" if needed else "no")
EOF
)

log=$("$python" -c 'import sys; print(sys.prefix)')/install.log
: >"$log"
held=$(mktemp)
trap 'rm -f "$held"' EXIT

failed() { # WHAT
    tail -n 20 "$log" >&2
    die "$1 failed; all that was said is in $log"
}

pip_install() { "$python" -m pip install "$@" >>"$log" 2>&1; }

# The last step is held to the very build of torch that this one puts in.
install_torch() {
    version=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$pins")
    if [ $cuda = yes ]; then
        torch="torch===$version" # three signs: a "+cpu" wheel must not satisfy it
    elif [ "$(uname -s)" = Linux ]; then
        torch="torch==$version+cpu"
    else
        torch="torch==$version"
    fi
    printf '%s\n' "$torch" >"$held"
    say "installing $torch"
    pip_install --no-deps --only-binary torch "$@" "$torch" && return
    case $torch in *+cpu) ;; *) failed "installing $torch" ;; esac
    index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
    say "pip finds no $torch; asking $index"
    pip_install --no-deps --only-binary torch "$@" --index-url "$index" "$torch" ||
        failed "installing $torch, without going on to a CUDA build,"
}

if [ "$needs_torch" = yes ]; then
    install_torch "$@"
fi

say "installing bbqrec[$extras] and what it needs"
# $editable is one option or none
# shellcheck disable=SC2086
pip_install -c "$pins" -c "$held" "$@" $editable "$root[$extras]" || failed "installing bbqrec[$extras]"

# Belt and braces: a new dependency that brings CUDA in by itself is noticed here.
case $cuda in
    yes) say "done" ;;
    *)
        "$python" - <<'EOF'
import sys
from importlib.metadata import distributions

cuda = sorted(d.name for d in distributions() if d.name.startswith(("nvidia-", "cuda-", "triton")))
if cuda:
    sys.exit("install: CUDA packages in a CPU set-up: " + ", ".join(cuda))
EOF
        say "done; no CUDA package is installed" ;;
esac
