#!/usr/bin/env bash
# Resolve every environment as of the date below. Move the dates, run `make lock`, run `make test`.
set -euo pipefail
cd "$(dirname "$0")/../.."
airflow_as_of=2026-09-01 # when MWAA's constraints for Airflow 3.3.1 were current
as_of=2026-11-20
compile() { # FOLDER PYTHON DATE [OPTION…]
  local folder=$1 python=$2 date=$3
  shift 3
  uv pip compile -q --upgrade --no-annotate --no-header --python-version "$python" --exclude-newer "$date" "$@" \
    "$folder/requirements-local.txt" -o "$folder/requirements.lock"
  # a local version (+cpu) names one machine's wheel, and CUDA libraries come with torch itself
  sed -i -E 's/^(torch==[^+]+)\+.*/\1/; /^(nvidia-|cuda-|triton)/d' "$folder/requirements.lock"
}
compile . 3.12 "$airflow_as_of" -c infrastructure/mwaa/constraints.txt
compile spark_jobs 3.11 "$as_of"
compile serving 3.11 "$as_of"
compile tests/peers 3.11 "$as_of" --excludes tests/peers/left_out.txt ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"}
compile tools/mutants 3.11 "$as_of"
compile local_aws 3.12 "$as_of"
compile tests/third_party 3.12 "$as_of"
compile infrastructure/cloudformation 3.12 "$as_of"
compile training 3.11 "$as_of" ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"}
compile training/export 3.11 "$as_of" ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"}
# optimum-intel requires torchvision, but cannot be imported with it and the CPU build of torch
sed -i '/^torchvision==/d' training/export/requirements.lock
