#!/usr/bin/env bash
# check.sh VENVS: format, lint, types (each folder in the environment that runs it), import boundaries, templates,
# shell syntax.
set -uo pipefail
cd "$(dirname "$0")/../.."
venvs=$1 failed=()
run() { # NAME COMMAND…
  local name=$1 started=$SECONDS
  shift
  if output=$("$@" 2>&1); then
    echo "check: $name ok ($((SECONDS - started)) s)"
  else
    echo "$output"
    failed+=("$name")
  fi
}
types() { # ENVIRONMENT FOLDER…
  local environment=$1
  shift
  run "types, $environment" "$venvs/$environment/bin/python" -m mypy --cache-dir ".mypy_cache/$environment" "$@"
}
run format "$venvs/airflow/bin/ruff" format --check .
run lint "$venvs/airflow/bin/ruff" check .
types airflow include dags plugins/nexus_airflow plugins/nexus_plugin.py infrastructure/packaging infrastructure/images tools \
  tests/unit tests/dags tests/mutants tests/support tests/end_to_end/lifecycle_dags
types infrastructure infrastructure/cloudformation tests/infrastructure
types spark spark_jobs benchmarks/corpus tests/spark
types local_aws tests/third_party --ignore-missing-imports
types spark tests/peers --ignore-missing-imports # what these read with is in an environment of its own
types training training tests/training tests/serving/make_model.py
types serving serving benchmarks/serving.py tests/serving --exclude make_model
types local_aws local_aws local_stack demo benchmarks/s3.py benchmarks/bare_jobs.py benchmarks/orchestration.py \
  tests/local_aws tests/local_stack tests/demo tests/benchmarks tests/end_to_end --exclude lifecycle_dags
run boundaries "$venvs/airflow/bin/python" -m pytest -q -p no:cacheprovider tests/unit/test_import_boundaries.py
run templates "$venvs/infrastructure/bin/python" -m infrastructure.cloudformation.check --quick
for script in infrastructure/*/*.sh .ci/run; do run "syntax, $script" bash -n "$script"; done
if ((${#failed[@]})); then
  printf 'check: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
