#!/usr/bin/env bash
# spark_environment.sh [OUTPUT]: pack the Python environment of the Spark jobs for EMR and EMR Serverless, on
# Amazon Linux 2023 in a container. BASE_IMAGE=… takes that base, such as a mirror's. Needs a Docker engine.
set -euo pipefail
cd "$(dirname "$0")/../.."
output=${1:-build/package-spark-env}
base=${BASE_IMAGE:-public.ecr.aws/amazonlinux/amazonlinux:2023}
fail() {
  echo "package-spark-env: $1" >&2
  exit 1
}
command -v docker >/dev/null || fail "docker is missing; get it with: apt-get install docker.io"
docker info >/dev/null 2>&1 || fail "no Docker engine answers; start one (as root: dockerd &) and call again"
docker image inspect "$base" >/dev/null 2>&1 || timeout 300 docker pull -q "$base" >/dev/null 2>&1 ||
  fail "the base image $base cannot be had; give another one that is Amazon Linux 2023 by BASE_IMAGE=…"
tag=nexus-spark-venv:local
DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} docker build -q --build-arg "BASE_IMAGE=$base" -t "$tag" \
  -f infrastructure/images/spark_venv.Dockerfile . >/dev/null ||
  fail "the image could not be built; see: docker build -f infrastructure/images/spark_venv.Dockerfile ."
mkdir -p "$output"
container=$(docker create "$tag")
trap 'docker rm -f "$container" >/dev/null' EXIT
docker cp -q "$container:/build/pyspark_env.tar.gz" "$output/pyspark_env.tar.gz.part"
mv "$output/pyspark_env.tar.gz.part" "$output/pyspark_env.tar.gz"
sum=$(sha256sum "$output/pyspark_env.tar.gz" | cut -c1-12)
echo "$output/pyspark_env.tar.gz, sha256 $sum…; upload it to the address of python_archive in the settings"
