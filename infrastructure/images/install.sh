#!/bin/sh
# The steps of every image build, separate so that Docker can cache them. Runs inside the build, in /opt/nexus.
#   install.sh certificates                       trust infrastructure/images/ca/*.crt
#   install.sh packages NAME…                     Debian packages
#   install.sh environment NAME PYTHON FOLDER     .venvs/NAME from FOLDER/requirements.lock
set -eu
step=$1
shift
bundle=/etc/ssl/certs/ca-certificates.crt
case $step in
certificates)
  for certificate in infrastructure/images/ca/*.crt; do
    if [ -f "$certificate" ]; then cat "$certificate" >>"$bundle"; fi
  done
  ;;
packages)
  apt-get update -q
  apt-get install -y -q --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/*
  ;;
environment)
  name=$1 version=$2 folder=$3
  export PATH="$PWD/.venvs/tools/bin:$PATH" UV_PYTHON_INSTALL_DIR=/opt/python UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
  export PIP_FIND_LINKS="$PWD/infrastructure/images/wheels"
  if [ ! -x .venvs/tools/bin/uv ]; then
    python3.12 -m venv .venvs/tools
    .venvs/tools/bin/pip install -q --disable-pip-version-check -r infrastructure/setup/tools.txt
  fi
  # the base image has one Python; uv installs the other
  command -v "python$version" >/dev/null || uv python install -q "$version"
  infrastructure/setup/environment.sh "$PWD/.venvs/$name" "$version" "$folder/requirements.lock"
  ;;
*)
  echo "install.sh: unknown step '$step'" >&2
  exit 2
  ;;
esac
