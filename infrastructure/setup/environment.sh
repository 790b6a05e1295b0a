#!/usr/bin/env bash
# environment.sh VENV PYTHON LOCK: make one virtual environment and install exactly its lock.
# torch is installed by pip, which finds a CPU build where one is offered; uv would fetch the CUDA build.
set -euo pipefail
venv=$1 python=$2 lock=$3
name=$(basename "$venv")
if ! interpreter=$(uv python find --no-python-downloads "$python" 2>/dev/null); then
  echo "set-up: environment '$name' needs Python $python and none was found; put python$python on PATH" >&2
  exit 1
fi
echo "set-up: $name (Python $python, $(grep -c . "$lock") packages)"
uv venv -q --clear --python "$interpreter" "$venv"
if torch=$(grep -E '^torch==' "$lock"); then
  uv pip install -q --python "$venv/bin/python" pip
  "$venv/bin/python" -m pip install -q --disable-pip-version-check "$torch" 'setuptools<82'
fi
# --no-deps: the lock is complete, and nothing else may be installed
uv pip install -q --python "$venv/bin/python" --no-deps -r "$lock"
touch "$venv/.ready"
