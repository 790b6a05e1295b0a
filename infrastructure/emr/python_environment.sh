#!/usr/bin/env bash
# python_environment.sh ARCHIVE: an EMR bootstrap action. Unpacks the jobs' packed Python environment on the
# master node, where drivers of client mode run; containers get the same archive by spark-submit --archives.
set -euo pipefail
archive=$1
info=${INSTANCE_INFO:-/mnt/var/lib/info/instance.json}
target=${TARGET:-/opt/nexus/environment}
if ! grep -Eq '"isMaster" *: *true' "$info"; then exit 0; fi
sudo mkdir -p "$target"
aws s3 cp --no-progress "$archive" - | sudo tar -xz -C "$target"
"$target/bin/python" --version
