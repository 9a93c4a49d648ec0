#!/bin/sh
# Installs torch, then this package with the extras asked for, at the versions in constraints.txt.
# The Makefile and the images under docker/ all install through this one script.
#
#   scripts/install.sh [--cuda-torch] [--no-editable] TARGET EXTRAS [PIP OPTION...]
#
#   TARGET   a virtual environment (made when missing) or a Python executable
#   EXTRAS   extras of pyproject.toml with commas between, e.g. train,serve,cpu,dev
#
# Without --cuda-torch no CUDA package is downloaded: on Linux the build "+cpu" of torch is taken,
# from where pip is already told to look (a wheel in a find-links folder will do), else from
# PyTorch's own CPU index; everything else comes from PyPI. If neither has it the script fails,
# because what PyPI calls plain torch brings gigabytes of CUDA with it. Elsewhere than on Linux
# PyPI's torch has no CUDA.
#
# On a GPU: to serve, the extra "gpu" with the CPU build of torch; to train, --cuda-torch with the
# extra "cpu". Never both in one environment: PyPI's torch links CUDA 13, the extra "gpu" CUDA 12.
#
# Environment: PYTHON makes a missing environment (python3); TORCH_CPU_INDEX is a mirror of
# PyTorch's CPU index; pip's own variables work as ever.
set -eu

say() { printf 'install: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
usage() { die "usage: scripts/install.sh [--cuda-torch] [--no-editable] TARGET EXTRAS [PIP OPTION...]"; }

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
pins=$root/constraints.txt
cuda_torch=no
editable=-e
while [ $# -gt 0 ]; do
    case $1 in
        --cuda-torch) cuda_torch=yes ;;
        --no-editable) editable= ;;
        -*) usage ;;
        *) break ;;
    esac
    shift
done
[ $# -ge 2 ] || usage
target=$1 extras=$2
shift 2 # what is left goes to pip as it is

case ,$extras, in
    *,gpu,*)
        [ $cuda_torch = no ] || die "--cuda-torch and the extra 'gpu' clash (CUDA 13 and 12)" ;;
esac

python=$target
if [ -d "$target" ] || [ ! -e "$target" ]; then
    [ -x "$target/bin/python" ] || "${PYTHON:-python3}" -m venv "$target"
    python=$target/bin/python
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed"

version=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$pins")
if [ $cuda_torch = yes ]; then
    torch="torch===$version" # three signs: a "+cpu" wheel must not satisfy it
elif [ "$(uname -s)" = Linux ]; then
    torch="torch==$version+cpu"
else
    torch="torch==$version"
fi

# The second step is held to the very build that the first one put in.
held=$(mktemp)
trap 'rm -f "$held"' EXIT
printf '%s\n' "$torch" >"$held"

torch_alone() { "$python" -m pip install --no-deps --only-binary torch "$@" "$torch"; }
case $torch in
    *+cpu)
        torch_alone "$@" 2>/dev/null || {
            index=${TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
            say "pip finds no $torch; asking $index"
            torch_alone "$@" --index-url "$index" || die "no $torch to be had: not going on with a CUDA build"
        } ;;
    *) torch_alone "$@" ;;
esac

# $editable is one option or none
# shellcheck disable=SC2086
"$python" -m pip install -c "$pins" -c "$held" "$@" $editable "$root[$extras]"

# Belt and braces: a new dependency that brings CUDA in by itself is noticed here.
case $cuda_torch,$extras, in
    no,*,gpu,*|no,gpu,*|yes,*) ;;
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
