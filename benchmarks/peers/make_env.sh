#!/usr/bin/env bash
# Makes the peers' virtual environment, apart from the project's own: some 1.8 GB, most of it PyTorch and JAX for the CPU.
#
#   benchmarks/peers/make_env.sh [DIRECTORY]     # benchmarks/peers/.venv by default
#
# $PYTHON may name the Python 3.11 to use. Started again, it only looks whether everything is there.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="${1:-$here/.venv}"
requirements="$here/requirements.txt"
torch="$(grep '^torch==' "$requirements")"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)

[[ -x $venv/bin/python ]] || "${PYTHON:-python3.11}" -m venv "$venv"
echo "making $venv; the packages take a few minutes"
# First, and the build for the CPU: PyPI's own would bring 4 GB of CUDA. Where the configured index has no such
# build, PyTorch's has.
"${pip[@]}" --no-deps "$torch+cpu" ||
  "${pip[@]}" --no-deps --index-url https://download.pytorch.org/whl/cpu "$torch+cpu"
"${pip[@]}" -r "$requirements"
"$venv/bin/python" -m pip check
echo "$venv is ready"
