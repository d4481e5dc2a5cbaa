#!/usr/bin/env bash
# Runs a command with a real container engine: Docker Engine and Compose, from the packages of Debian
# trixie, in a root file system and in namespaces of their own. Needs root, mmdebstrap and
# slirp4netns. No image is pulled: each base image is made from that root file system.
#
#   engine.sh COMMAND...
#
# COMMAND runs in the engine's network namespace. Its PATH begins with two programs: `docker`, and
# `inside`, which runs a command in the root file system. When COMMAND has ended, no container,
# namespace, mount or process is left. The root file system and the engine's images stay in
# ~/.cache/fabric-jobs-containers until what they are made of changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
began=$(date +%s)
say() { echo "[$(($(date +%s) - began)) s] $*"; }

# A machine that cannot do this skips it; in CI that is a failure.
skip() {
  echo "containers: skipped, because $*"
  [ -z "${CI:-}" ] && exit 0
  exit 1
}
[ "$(id -u)" = 0 ] || skip "it needs root"
for program in mmdebstrap slirp4netns nsenter unshare; do
  hash "$program" 2> /dev/null || skip "there is no $program on PATH"
done
unshare --mount --net --pid --fork true 2> /dev/null || skip "this machine allows no new namespaces"
[ -e /dev/net/tun ] || skip "there is no /dev/net/tun"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/fabric-jobs-containers
mkdir -p "$cache"
exec 9> "$cache/lock"
flock 9 # one run at a time: a second one waits
key=$(cat "$here/rootfs.sh" | sha256sum | cut -c1-16)
kept=$cache/$key
root=$kept/root
if [ ! -d "$kept" ]; then
  find "$cache" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
  mkdir "$kept.new"
  bash "$here/rootfs.sh" "$kept.new/root" > "$cache/rootfs.log" 2>&1 || { tail -20 "$cache/rootfs.log"; exit 1; }
  mv "$kept.new" "$kept"
  say "made a root file system"
fi
mkdir -p "$kept/docker" "$kept/venv"

# What a run left that was ended by kill -9: only its folder and its empty control groups.
rm -rf /tmp/fabric-jobs-engine.*
find /sys/fs/cgroup -depth -type d -path "*/fabric-jobs-engine-*" -exec rmdir {} + 2> /dev/null || true

run=$(mktemp -d /tmp/fabric-jobs-engine.XXXXXX)
group=fabric-jobs-engine-$$
end() {
  set +e
  trap - EXIT INT TERM HUP
  [ -n "${command:-}" ] && kill "$command" 2> /dev/null && wait "$command"
  if [ -n "${daemon:-}" ]; then
    docker ps -aq 2> /dev/null | xargs -r docker rm -f -v > /dev/null 2>&1
    inside sh -c 'kill "$(cat "$0")"' "$run/docker.pid" 2> /dev/null && wait "$daemon"
  fi
  # The first process of the process namespace: with it, Linux ends every other process in it.
  [ -n "${holder:-}" ] && kill -KILL "$holder" && wait "$unshared" 2> /dev/null
  [ -n "${slirp:-}" ] && kill "$slirp" 2> /dev/null && wait "$slirp" 2> /dev/null
  find /sys/fs/cgroup -depth -type d -path "*/$group*" -exec rmdir {} + 2> /dev/null
  rm -rf "$run"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The holder of the namespaces. `pivot_root`, because in a mere chroot `docker load` fails.
cat > "$run/hold.sh" <<'HOLD'
set -eu
root=$1; shift
mount --bind "$root" "$root"
for folder in "$@"; do mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"; done
mkdir -p "$root/oldroot"
mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
echo nameserver 10.0.2.3 > "$root/etc/resolv.conf" # slirp4netns
ip link set lo up
cd "$root"; pivot_root . oldroot; cd /; umount -l /oldroot
touch "$READY"
exec sleep infinity
HOLD
READY=$run/ready setpriv --pdeathsig KILL unshare --mount --net --pid --fork --kill-child \
  bash "$run/hold.sh" "$root" "$kept/docker" "$kept/venv" "$source" "$run" 2> "$run/hold.log" &
unshared=$!
for _ in $(seq 100); do [ -e "$run/ready" ] && break; sleep 0.1; done
[ -e "$run/ready" ] || { cat "$run/hold.log"; exit 1; }
holder=$(cat "/proc/$unshared/task/$unshared/children" | tr -d ' ')
setpriv --pdeathsig KILL slirp4netns --configure --mtu 65520 "$holder" tap0 > "$run/slirp.log" 2>&1 &
slirp=$!

mkdir "$run/bin"
cat > "$run/bin/inside" <<INSIDE
#!/bin/sh
exec nsenter -t $holder -m -n -p -r -w nice sh -c 'cd "\$0" && exec "\$@"' "\$PWD" "\$@"
INSIDE
cat > "$run/bin/docker" <<DOCKER
#!/bin/sh
exec inside env HOME=/root DOCKER_HOST=unix://$run/docker.sock /usr/bin/docker "\$@"
DOCKER
chmod +x "$run/bin/"*
PATH=$run/bin:$PATH

# The daemon's own requests go to a proxy that does not exist, so that it can pull nothing.
(cd /; exec inside env HTTPS_PROXY=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 dockerd \
  --data-root "$kept/docker" --exec-root "$run/exec" --host "unix://$run/docker.sock" \
  --pidfile "$run/docker.pid" --cgroup-parent "$group") > "$run/dockerd.log" 2>&1 &
daemon=$!
for _ in $(seq 150); do (cd /; docker version > /dev/null 2>&1) && break; sleep 0.2; done
(cd /; docker version > /dev/null) || { tail -20 "$run/dockerd.log"; exit 1; }
say "Docker Engine $(cd /; docker version -f '{{.Server.Version}}'), Compose $(cd /; docker compose version --short)"

bash "$here/bases/make.sh" "$root" "$run" "$kept"
say "base images are there"
docker ps -aq | xargs -r docker rm -f -v > /dev/null # of a run that was killed
docker volume prune -af > /dev/null
# In the background, because a shell runs no trap while it waits for a command in the foreground.
nsenter -t "$holder" -n env ENGINE_FOLDER="$run" ENGINE_VENV="$kept/venv" "$@" &
command=$!
wait "$command"
