#!/usr/bin/env bash
# Makes the base images that the Dockerfile and the compose files name, from the engine's root file
# system, unless they are there: Python, HAProxy, Prometheus and Java are Debian's, Apache Kafka's jars
# are those that the tests run on. Nothing is packaged for Jaeger: its stand-in counts what it is sent.
set -euo pipefail
root=$1 run=$2 kept=$3
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../../.." && pwd)
cd "$source"
image() { grep -ho "\b$1:[^ ]*" Dockerfile compose.yaml | head -1; }
names=$(for name in python apache/kafka haproxy prom/prometheus jaegertracing/jaeger; do image "$name"; done)
key=$(cat "$here"/* <(echo "$names") | sha256sum | cut -c1-16)
[ "$(cat "$kept/bases" 2> /dev/null)" = "$key" ] && exit

tar -C "$root" --one-file-system --exclude=./oldroot --exclude='./tmp/*' --exclude=./usr/bin/docker* \
  --exclude=./usr/sbin/dockerd --exclude=./usr/bin/containerd* --exclude=./usr/libexec/docker \
  --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=".$HOME" --exclude=".$source" -c . \
  | docker import - fabric-jobs-base > /dev/null
mkdir "$run/bases"
cp "$here"/* "$run/bases/"
mkdir "$run/bases/libs"
.venv/bin/python -c 'from tests.support.apache_kafka import java_command
print(*java_command("kafka-tools")[-1].split(":"), sep="\n")' | xargs cp -t "$run/bases/libs"
cd "$run/bases"
for name in $names; do
  target=${name%%:*}
  docker build -q --target "${target##*/}" -t "$name" . > /dev/null
done
echo "$key" > "$kept/bases"
