#!/usr/bin/env bash
# Makes a root file system of Debian trixie in a folder: a container engine, and all that the base
# images and the unit tests need.
set -euo pipefail
root=$1
suite=trixie
packages=ca-certificates,docker.io,docker-cli,docker-compose,docker-buildx,iptables,tini,busybox
packages+=,python3-venv,haproxy,prometheus,openjdk-21-jre-headless,procps,curl,jq,make
authorities=/usr/local/share/ca-certificates # this machine's own: the registries may be behind them

nice mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --include="$packages" "$suite" "$root"
cp "$authorities"/*.crt "$root$authorities/" 2> /dev/null || true
chroot "$root" update-ca-certificates
printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$root/etc/pip.conf"
# Names that the official images have.
ln -s /usr/bin/python3 "$root/usr/local/bin/python"
ln -s /bin/busybox "$root/usr/local/bin/wget"
