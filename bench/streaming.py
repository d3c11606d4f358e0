#!/usr/bin/env python3
"""Streams files from this server and from others, in turns, and prints how they compare with nginx.

    bench/streaming.py [--install] [--rounds 5] [--seconds 1] [--only WORK,…] [--peers PEER,…] [--write]

Needs `cargo build --release --workspace` first. About five minutes with nginx, caddy, dufs, miniserve and static-web-server;
those that are not there are left out, `--install` brings them. `--write` renews docs/streaming.md and docs/streaming.svg.

Each round starts each server anew and asks for the same files; figures are medians, over the rounds, of a server's figure divided by
nginx's of the same round (least and most beside it), since absolute ones change with what else the machine does. All runs in a network
namespace of its own, with packets of 1,500 bytes and `reno`: with `bbr`, the default of many such machines, the kernel sets a timer for each packet, and
that is what one would measure.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import peers
import report

TOP = pathlib.Path(__file__).resolve().parent.parent
LOAD = TOP / "target/release/load"
GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10
BIG, SMALL, LISTED, COLD = 4 * GIB, 1000, 100_000, GIB


@dataclasses.dataclass
class Work:
    """One thing that servers are asked to do."""

    name: str
    label: str
    # What a larger number of is better, and what costs.
    gain: str
    cost: str
    # From a server to (gain, cost).
    measure: callable
    # What issue-independent bars there are: at least, at most.
    bars: tuple = (None, None)
    # Whom to compare with; all there are if empty.
    only: tuple = ()


def load(server, target, *options, is_private=False, **named):
    arguments = [LOAD, "ask", "--address", f"127.0.0.1:{server.port}", "--target", (server.private if is_private else server.files) + target]
    for field in server.fields if is_private else ():
        arguments += ["--field", field]
    for name, value in named.items():
        arguments += [f"--{name}", str(value)]
    output = subprocess.run([*arguments, *options], stdout=subprocess.PIPE, check=True, timeout=120)
    return json.loads(output.stdout)


def asked(seconds, per, target, *options, is_private=False, **named):
    """A work that asks for `seconds`: how much a second, and the processor's time for each."""

    def measure(server):
        # What opens caches and pools is not counted.
        load(server, target, *options, is_private=is_private, **{**named, "seconds": min(0.2, seconds)})
        before = server.cpu()
        found = load(server, target, *options, is_private=is_private, seconds=seconds, **named)
        done = found["bytes"] / GIB if per == "GiB" else found["answers"]
        return done / found["seconds"], (server.cpu() - before) / done * (1 if per == "GiB" else 1e6)

    return measure


def whole_file(server):
    load(server, "/big.bin", size=BIG, seconds=60, answers=1, compare=0)
    before = server.cpu()
    found = load(server, "/big.bin", size=BIG, seconds=60, answers=1, compare=0)
    return found["bytes"] / GIB / found["seconds"], (server.cpu() - before) / (found["bytes"] / GIB)


def slow_readers(server, count=2000):
    """KiB of user memory and of the kernel's that each costs."""
    anon, kernel = server.memory(), kernel_memory()
    rate, size = 64 * KIB, BIG
    client = subprocess.Popen(
        [LOAD, "ask", "--address", f"127.0.0.1:{server.port}", "--target", f"{server.files}/big.bin", "--size", str(size)]
        + ["--connections", str(count), "--rate", str(rate), "--seconds", "6", "--compare", "0"],
        stdout=subprocess.DEVNULL,
    )
    time.sleep(5)
    found = (server.memory() - anon) / count, (kernel_memory() - kernel) / count
    client.wait(timeout=60)
    return found


def kernel_memory():
    """KiB of all TCP buffers: this namespace's figure counts those of the whole machine."""
    for line in pathlib.Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE") / KIB
    return 0


def listing(server):
    """Seconds, and MiB that it grows by."""
    before = server.memory("VmHWM")
    url = f"http://127.0.0.1:{server.port}{server.files}/listed/"
    began = time.perf_counter()
    output = subprocess.run(["curl", "-sS", "-H", "Accept: application/json", url], stdout=subprocess.PIPE, check=True).stdout
    took = time.perf_counter() - began
    assert len(json.loads(output)) == LISTED, server.name
    return 1 / took, (server.memory("VmHWM") - before) / KIB


def at_rest(server):
    """Seconds from the start of the process to its first answer, and MiB of memory then."""
    return 1 / server.started_in, server.memory("VmRSS") / KIB


def cold(server):
    """GiB a second of files that are not in memory, and the 99th of 100 small answers meanwhile, in µs."""
    subprocess.run([LOAD, "make", pathlib.Path(server.volume) / "public/cold.bin", "--size", str(COLD)], check=True)
    file = os.open(pathlib.Path(server.volume) / "public/cold.bin", os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)
    small = {}
    asking = threading.Thread(
        target=lambda: small.update(load(server, "/small/{}.csv", files=SMALL, size=KIB, connections=4, seconds=1.0))
    )
    asking.start()
    found = load(server, "/cold.bin", part="onward", range=4 * MIB, size=COLD, seconds=60, answers=COLD // (4 * MIB), compare=0)
    asking.join()
    return found["bytes"] / GIB / found["seconds"], small["p99"]


def works(seconds):
    small = dict(files=SMALL, connections=64, is_private=True)
    mib = dict(part="random", range=MIB, size=BIG, compare=500)
    nginx = ("nginx", "nginx-cached", "ours")
    return [
        Work("whole", "one file of 4 GiB", "GiB/s", "CPU s per GiB", whole_file, (1.0, 1.0)),
        Work("ranges-8", "1 MiB ranges, 8 connections", "answers/s", "CPU µs", asked(seconds, "answer", "/big.bin", connections=8, **mib), (1.0, 1.0)),
        Work("ranges-64", "1 MiB ranges, 64 connections", "answers/s", "CPU µs", asked(seconds, "answer", "/big.bin", connections=64, **mib), (1.0, 1.0)),
        Work("small", "files of 1 KiB, 64 connections, a key checked", "answers/s", "CPU µs", asked(seconds, "answer", "/small/{}.csv", size=KIB, **small), (1.1, 0.85)),
        Work("medium", "files of 64 KiB, likewise", "answers/s", "CPU µs", asked(seconds, "answer", "/medium/{}.bin", size=64 * KIB, **small), (1.0, 1.0)),
        Work("unchanged", "304 answers, likewise", "answers/s", "CPU µs", asked(seconds, "answer", "/small/0.csv", "--revalidate", size=KIB, connections=64, is_private=True), (1.1, 0.9)),
        Work("slow", "2,000 slow readers", "KiB of user memory each", "KiB of kernel memory each", slow_readers, only=nginx),
        Work("listing", "100,000 entries as JSON, with sizes and times", "listings/s", "MiB more", listing, (1 / 0.7, None), only=("nginx", "ours")),
        Work("rest", "start to first answer; memory at rest", "starts/s", "MiB", at_rest),
        Work("cold", "4 MiB ranges from the disk, small ones meanwhile", "GiB/s", "99th of 100, µs", cold, (1.0, 0.6), only=("nginx", "ours")),
    ]


def make_files(volume, wanted):
    for folder in ("public/small", "public/medium", "runs/small", "runs/medium", "public/listed"):
        (volume / folder).mkdir(parents=True)
    for number in range(SMALL):
        for name, size in ((f"small/{number}.csv", KIB), (f"medium/{number}.bin", 64 * KIB)):
            subprocess.run([LOAD, "make", volume / "public" / name, "--size", str(size), "--number", str(number)], check=True)
            os.link(volume / "public" / name, volume / "runs" / name)
    if {"whole", "ranges-8", "ranges-64", "slow"} & wanted:
        subprocess.run([LOAD, "make", volume / "public/big.bin", "--size", str(BIG)], check=True)
    if "listing" in wanted:
        for number in range(LISTED):
            (volume / f"public/listed/link_{number}.csv").touch()


def measure(arguments):
    wanted = [it for it in works(arguments.seconds) if not arguments.only or it.name in arguments.only]
    servers = peers.available(arguments.peers)
    found = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        volume = pathlib.Path(folder) / "volume"
        volume.mkdir()
        make_files(volume, {it.name for it in wanted})
        for round in range(arguments.rounds):
            for work in wanted:
                for kind in servers:
                    if work.only and kind.name not in work.only:
                        continue
                    with tempfile.TemporaryDirectory(dir=folder) as here:
                        server = kind(str(volume), here)
                        try:
                            gain, cost = work.measure(server)
                        except subprocess.CalledProcessError:
                            print(f"{kind.name} can't do {work.name}", file=sys.stderr)
                            continue
                        finally:
                            server.end()
                    found.append(dict(round=round, work=work.name, peer=kind.name, gain=gain, cost=cost))
                    print(f"\rround {round + 1}: {work.name}, {kind.name}".ljust(60), end="", file=sys.stderr, flush=True)
        print("\r".ljust(61), file=sys.stderr)
    return wanted, servers, found


def inside_namespace():
    """Runs this again where the network is its own; says so where that can't be."""
    if "STREAMING_BENCH" in os.environ:
        return
    script = "ip link set lo mtu 1500 up && sysctl -q -w net.ipv4.tcp_congestion_control=reno net.core.somaxconn=4096; exec \"$@\""
    # As root a network namespace is enough. Others need a user namespace around it.
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    inside = ["unshare", *user, "--net", "sh", "-c", script, "sh", sys.executable, *sys.argv]
    os.execvpe(inside[0], inside, {**os.environ, "STREAMING_BENCH": "1"})


def congestion_control():
    return pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    parser.add_argument("--install", action="store_true", help="install or build the servers to compare with, first")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement that asks over and over")
    parser.add_argument("--only", type=names, help="works, with commas between")
    parser.add_argument("--peers", type=names, default=list(peers.ALL), help="servers, with commas between; nginx must be among them")
    parser.add_argument("--folder", help="where to put the files: a few gigabytes, on a disk and not in memory")
    parser.add_argument("--write", action="store_true", help="renew the table and the plot that the README shows")
    arguments = parser.parse_args()
    if arguments.install:
        peers.install()
    inside_namespace()
    if congestion_control() != "reno":
        print(f"measured with {congestion_control()}: it could not be set here, and rankings may be upside down", file=sys.stderr)
    wanted, servers, found = measure(arguments)
    table = report.table(wanted, servers, found)
    print(table)
    if arguments.write:
        report.write(TOP / "docs", table, wanted, servers, found, congestion_control())


if __name__ == "__main__":
    main()
