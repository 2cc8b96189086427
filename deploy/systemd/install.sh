#!/bin/sh
# Installs the sidecar on this machine: the program, its user, the systemd unit, and a first configuration if there is none.
#
#   npm ci && npx node deploy/image/rootfs.ts outrigger build/rootfs && sudo deploy/systemd/install.sh build/rootfs
#
# Running it again updates the program and the unit, leaves the configuration alone, and starts the sidecar anew unless the new
# program has something against that configuration. `install.sh --uninstall` takes away all but the configuration and the user.
# DESTDIR does either below another folder, without making a user or asking systemd.
set -eu

rootfs=${1:-}
destdir=${DESTDIR:-}
here=$(cd "$(dirname "$0")" && pwd)

if [ "$rootfs" != --uninstall ] && { [ -z "$rootfs" ] || [ ! -x "$rootfs/usr/bin/outrigger" ]; }; then
  echo "usage: $0 ROOTFS   (made by: npx node deploy/image/rootfs.ts outrigger ROOTFS)" >&2
  echo "       $0 --uninstall" >&2
  exit 2
fi
if [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
  echo "$0: only root may install for the whole machine" >&2
  exit 1
fi
with_systemd=no
if [ -z "$destdir" ] && command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then with_systemd=yes; fi

lib=$destdir/usr/lib/outrigger
unit=$destdir/usr/lib/systemd/system/outrigger.service
if [ "$rootfs" = --uninstall ]; then
  if [ $with_systemd = yes ] && [ -e "$unit" ]; then systemctl disable --now outrigger.service; fi
  rm -rf "$lib" "$lib.new" "$lib.old" "$unit" "$destdir/usr/bin/outrigger"
  if [ $with_systemd = yes ]; then systemctl daemon-reload; fi
  echo "uninstalled outrigger; $destdir/etc/outrigger and the user outrigger are left"
  exit 0
fi

mkdir -p "$destdir/usr/bin" "$destdir/etc/outrigger" "$destdir/usr/lib/systemd/system"
# The new program is whole before it takes the old one's place.
rm -rf "$lib.new"
cp -R "$rootfs/usr/lib/outrigger" "$lib.new"
cp "$rootfs/usr/bin/node" "$lib.new/node"
rm -rf "$lib.old"
if [ -d "$lib" ]; then mv "$lib" "$lib.old"; fi
mv "$lib.new" "$lib"
rm -rf "$lib.old"
# Its own Node, beside it: another one of the machine is left alone.
printf '#!/bin/sh\nexec /usr/lib/outrigger/node /usr/lib/outrigger/outrigger.js "$@"\n' >"$destdir/usr/bin/outrigger.new"
chmod 0755 "$destdir/usr/bin/outrigger.new"
mv "$destdir/usr/bin/outrigger.new" "$destdir/usr/bin/outrigger"
cp "$here/outrigger.service" "$unit"
if [ ! -e "$destdir/etc/outrigger/outrigger.yaml" ]; then
  cat >"$destdir/etc/outrigger/outrigger.yaml" <<'YAML'
# `outrigger check` says what is wrong, `outrigger print` what holds.
#service: { name: NAME, address: 127.0.0.1:50051 }
discovery:
  consul: { address: "http://127.0.0.1:8500" }
YAML
fi
echo "installed $("${destdir}/usr/lib/outrigger/node" "$lib/outrigger.js" --version)"
[ -z "$destdir" ] || exit 0

if ! id outrigger >/dev/null 2>&1; then
  useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin outrigger
fi
if [ $with_systemd = no ]; then
  echo "systemd does not run here: start /usr/bin/outrigger run -c /etc/outrigger/outrigger.yaml as user outrigger"
  exit 0
fi
systemctl daemon-reload
systemctl enable outrigger.service
# What runs goes on where its successor could not start.
if ! /usr/bin/outrigger check -c /etc/outrigger/outrigger.yaml; then
  echo "$0: installed, but not started: put /etc/outrigger/outrigger.yaml right, then systemctl restart outrigger" >&2
  exit 1
fi
systemctl restart outrigger.service
