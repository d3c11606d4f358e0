#!/usr/bin/env python3
"""The container's cold start: from the exec of its command to the first 200 through nginx.

    bench/cold_start.py [--rounds 10] [--binaries target/dist]

Needs `cargo build --profile dist -p sounding-server -p sounding`, .ci/setup.sh and `cargo test -p sounding-server --test it image::` first, and root. Builds the image from the Dockerfile, copies it to a disk image
of its own and runs the image's command on it, in namespaces: with what it reads in memory already (warm), with nothing in memory (cold),
and with nothing in memory and reads throttled to what Fly gives a root file system, 8 MiB/s and 2000 a second. `stock` is Debian's supervisord
with the same configuration. Prints minimum, median and maximum; quote the median. Last comes what was read, by part.
"""

import argparse
import ctypes
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STORE = f"{PROJECT}/target/image"
IMAGE = "localhost/sounding:bench"
CLONE_NEWNET = 0x40000000
BYTES_A_SECOND = 8 << 20
READS_A_SECOND = 2000

# What the container's command finds around it, as Fly makes it: /data, the kernel's /proc, /sys and /dev, and memory at /run and /tmp. The
# root stays as it is.
SURROUND = """
set -e
root=$1 volume=$2; shift 2
mount --make-rprivate /
mount --bind "$volume" "$root/data"
for folder in run tmp; do mount -t tmpfs tmpfs "$root/$folder"; done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
ip link set lo up
exec chroot "$root" env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin SOUNDING_VOLUME=/data "$@"
"""
# Without the entrypoint somebody must make the folders, and this is about the least that it takes.
STOCK = "mkdir -p /run/nginx /run/sounding; chown www-data /run/nginx; chown sounding /run/sounding /data; " \
    "exec /usr/bin/supervisord -c /etc/sounding/supervisord.conf"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return done.stdout.strip()


def buildah(*arguments):
    return run("buildah", "--root", f"{STORE}/root", "--runroot", f"{STORE}/run", "--storage-driver", "overlay", *arguments)


class Disk:
    """The image on a disk of its own, which can be taken out of memory."""

    def __init__(self, folder, binaries):
        self.file, self.root = f"{folder}/disk", f"{folder}/root"
        os.mkdir(self.root)
        context = f"{folder}/context"
        os.makedirs(f"{context}/dist")
        for name in ["Dockerfile", ".dockerignore", "nginx.conf", "supervisord.conf"]:
            shutil.copy(f"{PROJECT}/{name}", context)
        shutil.copytree(f"{PROJECT}/deploy", f"{context}/deploy")
        for name in ["sounding-server", "sounding"]:
            run("strip", "-o", f"{context}/dist/{name}", f"{binaries}/{name}")
        buildah("bud", "--layers", "--isolation", "chroot", "--pull-never", "--build-arg", "BINARIES=prebuilt", "--tag", IMAGE, context)
        container = buildah("from", IMAGE)
        tree = buildah("mount", container)
        os.makedirs(f"{tree}/data", exist_ok=True)
        # As large as it need be, and not a byte of it sparse in memory.
        run("mke2fs", "-q", "-t", "ext4", "-d", tree, self.file, "600M")
        image = json.loads(buildah("inspect", "--type", "image", IMAGE))
        self.command = image["OCIv1"]["config"]["Entrypoint"]
        buildah("rm", container)
        self.device = None

    def mount(self):
        # Past the cache of the file system beneath, so that nothing is in memory but what was read since.
        self.device = run("losetup", "--direct-io=on", "--find", "--show", self.file)
        # As the kernel has it, whatever a start before has set.
        run("blockdev", "--setra", "256", self.device)
        run("mount", "-o", "ro", self.device, self.root)

    def unmount(self):
        # What was killed may need a moment to let go of it.
        until = time.monotonic() + 30
        while subprocess.run(["umount", self.root], stderr=subprocess.DEVNULL).returncode and time.monotonic() < until:
            time.sleep(0.01)
        run("losetup", "--detach", self.device)

    def bytes_read(self):
        with open(f"/sys/block/{os.path.basename(self.device)}/stat") as stat:
            return int(stat.read().split()[2]) * 512

    def number(self):
        device = os.stat(self.device).st_rdev
        return f"{os.major(device)}:{os.minor(device)}"

    def in_memory(self):
        """Bytes of each file that are in memory."""
        files = []
        for folder, _, names in os.walk(self.root):
            files += [path for name in names if os.path.isfile(path := f"{folder}/{name}") and not os.path.islink(path)]
        found = {}
        for start in range(0, len(files), 500):
            table = subprocess.run(["fincore", "--bytes", "--json", *files[start:start + 500]], capture_output=True, text=True)
            for row in json.loads(table.stdout)["fincore"]:
                if int(row["res"]):
                    found[row["file"].removeprefix(self.root)] = int(row["res"])
        return found


class Throttle:
    """A control group whose reads of a disk are slow."""

    PATH = "/sys/fs/cgroup/blkio/sounding-bench"

    def __init__(self, disk):
        os.makedirs(self.PATH, exist_ok=True)
        for name, limit in [("bps", BYTES_A_SECOND), ("iops", READS_A_SECOND)]:
            with open(f"{self.PATH}/blkio.throttle.read_{name}_device", "w") as file:
                file.write(f"{disk.number()} {limit}")

    def enter(self):
        with open(f"{self.PATH}/cgroup.procs", "w") as file:
            file.write("0")


def first_answer(process):
    """Waits for the first 200, in the network of a process; the moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    mine = os.readlink("/proc/self/ns/net")
    until = time.monotonic() + 60
    while os.readlink(f"/proc/{process}/ns/net") == mine:
        if time.monotonic() > until:
            sys.exit("it gets no network of its own")
        time.sleep(0.0005)
    theirs = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
    libc.setns(theirs, CLONE_NEWNET)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with socket.create_connection(("127.0.0.1", 8080), timeout=60) as connection:
                    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    if connection.recv(65536).startswith(b"HTTP/1.1 200"):
                        return time.monotonic()
            except OSError:
                pass
            time.sleep(0.001)
        sys.exit("it does not answer")
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(theirs)


def began(process, command):
    """When the container's command was executed, by a process's child: the moment it was seen, to a fraction of a millisecond."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with open(f"/proc/{process}/task/{process}/children") as children:
                child = children.read().split()[0]
            with open(f"/proc/{child}/cmdline") as words:
                if words.read().split("\0")[: len(command)] == command:
                    return time.monotonic()
        except (OSError, IndexError):
            pass
    sys.exit(f"{' '.join(command)} does not begin")


def one_start(disk, volume, command, throttle):
    before = disk.bytes_read()
    process = subprocess.Popen(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", SURROUND, "sh", disk.root, volume, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=throttle.enter if throttle else None,
    )
    try:
        start = began(process.pid, command)
        taken = (first_answer(process.pid) - start) * 1000
        return taken, (disk.bytes_read() - before) / 1e6
    finally:
        process.kill()
        process.wait()


def starts(what, disk, volume, command, rounds, is_cold=False, is_throttled=False):
    taken, read = [], []
    disk.mount()
    for _ in range(rounds):
        if is_cold:
            disk.unmount()
            disk.mount()
        result = one_start(disk, volume, command, Throttle(disk) if is_throttled else None)
        taken.append(result[0])
        read.append(result[1])
    parts = disk.in_memory() if is_cold else None
    disk.unmount()
    print(
        f"{what:<28} min {min(taken):7.0f}  median {statistics.median(taken):7.0f}  max {max(taken):7.0f}  ms"
        + (f"   {statistics.median(read):5.1f} MB read" if is_cold else "")
    )
    return parts


def part(path):
    for name, begins in [
        ("the server", "/usr/local/bin/sounding-server"),
        ("nginx", "/usr/sbin/nginx"),
        ("Python itself", "/usr/bin/python3"),
        ("Python's library", "/usr/lib/python3.11"),
        ("supervisord", "/usr/lib/python3/"),
    ]:
        if path.startswith(begins):
            return name
    for name in ["libcrypto", "libssl"]:
        if name in path:
            return f"{name}, for nginx"
    return "libc and the rest" if path.startswith(("/usr/lib", "/usr/bin", "/usr/sbin")) else "all else"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--binaries", default=f"{PROJECT}/target/dist")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        disk = Disk(folder, options.binaries)
        volume = f"{folder}/volume"
        os.mkdir(volume)
        stock = ["/bin/sh", "-c", STOCK]
        # The first start of a volume makes its key and its journal.
        disk.mount()
        one_start(disk, volume, disk.command, None)
        disk.unmount()
        starts("warm", disk, volume, disk.command, options.rounds)
        starts("warm, stock", disk, volume, stock, options.rounds)
        starts("cold", disk, volume, disk.command, options.rounds, is_cold=True)
        starts("cold, stock", disk, volume, stock, options.rounds, is_cold=True)
        parts = starts("throttled", disk, volume, disk.command, options.rounds, is_cold=True, is_throttled=True)
        starts("throttled, stock", disk, volume, stock, options.rounds, is_cold=True, is_throttled=True)
        os.rmdir(Throttle.PATH)
        # buildah keeps one for the store, and one for each stage that was only copied from.
        buildah("rm", "--all")
        subprocess.run(["umount", f"{STORE}/root/overlay"], stderr=subprocess.DEVNULL)

        sums = {}
        for path, size in parts.items():
            sums[part(path)] = sums.get(part(path), 0) + size
        print("\nin memory after a cold start, MB:")
        for name, size in sorted(sums.items(), key=lambda it: -it[1]):
            print(f"  {name:<28} {size / 1e6:5.1f}")


if __name__ == "__main__":
    main()
