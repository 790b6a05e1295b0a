#!/usr/bin/env bash
# base.sh TAG: make a base image without an image registry, from Debian by debootstrap and this machine's
# Python 3.11 and 3.12 (the image has this machine's release of Debian, or bookworm on another distribution).
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=$1
command -v debootstrap >/dev/null || {
  echo "base image: debootstrap is missing; get it with: apt-get install debootstrap" >&2
  exit 1
}
release=bookworm
if . /etc/os-release && [[ $ID == debian ]]; then release=$VERSION_CODENAME; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
libraries=ca-certificates,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libuuid1
debootstrap --variant=minbase --include="$libraries" "$release" "$folder" >"$folder.log" 2>&1 || {
  tail -20 "$folder.log" >&2
  exit 1
}
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* "$folder.log"
for version in 3.11 3.12; do
  python=$(realpath "$(uv python find --no-python-downloads "$version")")
  python=$(realpath "$("$python" -c 'import sys; print(sys.base_prefix)')")
  mkdir -p "$folder/opt/python/$version"
  tar -C "$python" --exclude='site-packages/*' --exclude=__pycache__ --exclude="./lib/python$version/test" -c . |
    tar -C "$folder/opt/python/$version" -x --no-same-owner
  echo "/opt/python/$version/lib" >>"$folder/etc/ld.so.conf.d/python.conf"
done
chroot "$folder" ldconfig
path=/opt/python/3.12/bin:/opt/python/3.11/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
tar -C "$folder" -c . | docker import --change "ENV PATH=$path" - "$tag"
