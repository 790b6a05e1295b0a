#!/usr/bin/env bash
# images.sh NAME…: build the images of this commit, push them, and note their digests for the stacks.
#
# NAME is training, export or serving. ENVIRONMENT names the environment, and the AWS CLI's own variables choose
# account and region. BASE_IMAGE replaces the base of the training image, such as by SageMaker's for GPUs.
# The bills of materials are written to build/images/.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
  echo "images: $1" >&2
  exit 1
}

# Print the digest of the image of this commit, or None if the repository lacks it.
pushed_digest() {
  aws ecr batch-get-image --repository-name "$1" --image-ids "imageTag=$commit" \
    --query 'images[0].imageId.imageDigest' --output text
}

build() {
  local name=$1 uri=$2
  local dockerfile=$name folder=$name
  if [ "$name" = export ]; then dockerfile=training folder=training/export; fi
  local arguments=(--file "infrastructure/images/$dockerfile.Dockerfile")
  if [ "$dockerfile" = training ]; then
    arguments+=(--build-arg "ENVIRONMENT=$name" --build-arg "LOCK_FOLDER=$folder")
    if [ -n "${BASE_IMAGE:-}" ]; then arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE"); fi
  fi
  # SageMaker reads no image index, which an image with a bill of materials would be. So the bill is a second output.
  docker buildx build "${arguments[@]}" --provenance=false \
    --output "type=image,name=$uri:$commit,push=true,oci-mediatypes=false" .
  docker buildx build "${arguments[@]}" --sbom=true --output "type=local,dest=build/images/$name" .
  mv "build/images/$name/sbom.spdx.json" "build/images/$name.spdx.json"
  rm -rf "build/images/$name"
}

# Wait for the scan that a push starts, and fail if it finds something critical.
check_scan() {
  local repository=$1 digest=$2 critical
  aws ecr wait image-scan-complete --repository-name "$repository" --image-id "imageDigest=$digest"
  critical=$(aws ecr describe-image-scan-findings --repository-name "$repository" --image-id "imageDigest=$digest" \
    --query 'imageScanFindings.findingSeverityCounts.CRITICAL || `0`' --output text)
  [ "$critical" = 0 ] || fail "$repository@$digest: aws ecr describe-image-scan-findings lists $critical critical ones"
}

[ $# -gt 0 ] || fail "name the images: training, export, serving"
for name in "$@"; do
  case $name in training | export | serving) ;; *) fail "there is no image '$name', only training, export, serving" ;; esac
done
[ -n "${ENVIRONMENT:-}" ] || fail "set ENVIRONMENT to the name of the environment"
[ -z "$(git status --porcelain)" ] || fail "there are changes without a commit, and an image is named after its commit"
commit=$(git rev-parse HEAD)
registry=$(aws ecr describe-repositories --repository-names "nexus-llm-$ENVIRONMENT-$1" \
  --query 'repositories[0].repositoryUri' --output text)
registry=${registry%%/*}
aws ecr get-login-password | docker login --username AWS --password-stdin "$registry"
docker buildx inspect nexus-llm >/dev/null 2>&1 || docker buildx create --name nexus-llm --driver docker-container
export BUILDX_BUILDER=nexus-llm
mkdir -p build/images

for name in "$@"; do
  repository=nexus-llm-$ENVIRONMENT-$name
  uri=$registry/$repository
  # tags cannot be overwritten: what a repeated build would push is there already
  if [ "$(pushed_digest "$repository")" = None ]; then build "$name" "$uri"; fi
  digest=$(pushed_digest "$repository")
  [ "$digest" != None ] || fail "$uri:$commit is not there after the push"
  check_scan "$repository" "$digest"
  aws ssm put-parameter --name "/nexus-llm/$ENVIRONMENT/images/$name" --type String --overwrite \
    --value "$uri@$digest" >/dev/null
  echo "images: $uri@$digest"
done
