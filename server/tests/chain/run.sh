#!/bin/sh
# Runs what the container runs, without a container: the project's own files, this machine's nginx and supervisord, and a server,
# in namespaces of their own. Root's work.
#
#     unshare --mount --net --pid --fork --kill-child server/tests/chain/run.sh FOLDER SERVER VOLUME [NAME=VALUE…]
#
# FOLDER is empty and becomes the root's upper layer, so all that is ever written beside the volume is in it or in memory.
# Says `ready` before the container's first program begins.
set -eu
folder=$1 server=$2 volume=$3
shift 3
here=$(cd "$(dirname "$0")/../../.." && pwd)

mount --make-rprivate /
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
cd "$folder/upper"
mkdir -p etc/sounding usr/local/bin usr/local/lib/sounding data
cp "$here/nginx.conf" "$here/supervisord.conf" etc/sounding/
cp "$here/deploy/entrypoint.py" usr/local/lib/sounding/
touch usr/local/bin/sounding-server
{ grep -v '^sounding:' /etc/passwd; echo 'sounding:x:900:900::/nonexistent:/usr/sbin/nologin'; } > etc/passwd
{ grep -v '^sounding:' /etc/group; echo 'sounding:x:900:'; } > etc/group
cd "$folder"
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
mount --bind "$server" root/usr/local/bin/sounding-server
mount --bind "$volume" root/data
mount -o remount,ro root
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mount -t proc proc root/proc
mount --rbind /dev root/dev
ip link set lo up
echo ready
exec env -i PATH="$PATH" SOUNDING_VOLUME=/data "$@" chroot root /usr/bin/python3 -I /usr/local/lib/sounding/entrypoint.py
