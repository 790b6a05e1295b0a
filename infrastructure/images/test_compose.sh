#!/usr/bin/env bash
# test_compose.sh: build the images, start docker-compose.yaml, pass one triggered DAG run in it, take it down.
# The images of the jobs and of the server, which compose does not start, are built and import what they run.
# BASE_IMAGE=… uses that base; by default python:3.12-slim-bookworm, or one made by base.sh where it cannot
# be pulled. Installs nothing on this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing() {
  echo "test-compose: $1" >&2
  exit 1
}
command -v docker >/dev/null || missing "docker is missing; get it with: apt-get install docker.io"
if command -v docker-compose >/dev/null; then compose=(docker-compose)
elif docker compose version >/dev/null 2>&1; then compose=(docker compose)
else missing "docker-compose is missing; get it with: apt-get install docker-compose"; fi
docker info >/dev/null 2>&1 || missing "no Docker engine answers; start one (as root: dockerd &) and call again"

images=infrastructure/images
project=nexus-test-compose
say() { printf 'test-compose: %s (%d s)\n' "$1" "$SECONDS"; }
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
NEXUS_SECRET=$(random)
NEXUS_FERNET_KEY=$(head -c32 /dev/urandom | base64 | tr '+/' '-_')
NEXUS_AIRFLOW_PORT=${NEXUS_AIRFLOW_PORT:-18080}
export NEXUS_SECRET NEXUS_FERNET_KEY NEXUS_AIRFLOW_PORT
run() { "${compose[@]}" -p "$project" "$@"; }
clean_up() {
  status=$?
  if ((status)); then run logs --no-color --tail=60 || true; fi
  run down -v --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$images"/ca/host.crt "$images"/wheels/*.whl
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# the images trust the same certificates and use the same wheels as this machine
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [[ -f $certificates ]]; then cp "$certificates" "$images/ca/host.crt"; fi
if [[ -d ${PIP_FIND_LINKS:-} ]]; then cp "$PIP_FIND_LINKS"/torch-*.whl "$images/wheels/" 2>/dev/null || true; fi

if [[ -z ${BASE_IMAGE:-} ]]; then
  BASE_IMAGE=python:3.12-slim-bookworm
  if ! docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 && ! timeout 120 docker pull -q "$BASE_IMAGE" 2>/dev/null; then
    BASE_IMAGE=nexus-base:local
    docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || { say "base image by debootstrap"; "$images/base.sh" "$BASE_IMAGE"; }
  fi
fi
export BASE_IMAGE
say "building on $BASE_IMAGE"
export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0} COMPOSE_DOCKER_CLI_BUILD=${COMPOSE_DOCKER_CLI_BUILD:-0}
mkdir -p build
run build >build/compose_build.log 2>&1 || { tail -40 build/compose_build.log; exit 1; }
say "starting"
run up -d >build/compose_up.log 2>&1 || { tail -40 build/compose_up.log; exit 1; }
for part in postgres local_aws api-server; do
  for ((attempt = 0; ; attempt++)); do
    health=$(docker inspect -f '{{.State.Health.Status}}' "$(run ps -q "$part")")
    if [[ $health == healthy ]]; then break; fi
    ((attempt < 120)) || { echo "test-compose: $part is $health" >&2; exit 1; }
    sleep 2
  done
done
say "all healthy"
run exec -T local_aws python infrastructure/images/smoke.py
run down -v --remove-orphans >/dev/null 2>&1
build_alone() { # NAME MODULE…
  local name=$1 tag=$project-$1 log=build/image_$1.log
  shift
  say "building $name"
  docker build -f "$images/$name.Dockerfile" --build-arg BASE_IMAGE="$BASE_IMAGE" -t "$tag" . >"$log" 2>&1 || { tail -40 "$log"; exit 1; }
  docker run --rm --network none "$tag" python -c 'import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]' "$@"
}
build_alone training training.launcher training.loop training.evaluate training.export.safetensors
build_alone serving serving.app serving.generator
say "3 passed, 0 failed"
