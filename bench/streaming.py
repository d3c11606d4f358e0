#!/usr/bin/env python3
"""Streams files from this server and from others, in turns, and prints how they compare with nginx.

    bench/streaming.py [--install] [--rounds 5] [--seconds 0.5] [--only WORK,…] [--peers PEER,…] [--write]

Needs `cargo build --profile dist --workspace` first, and curl. Some seven minutes with nginx, caddy, dufs, miniserve and static-web-server; those that are
not there are left out, `--install` brings them. `--write` renews docs/streaming.md, docs/streaming.svg and what the README says of them.

In each round each server does each work on the same files, one after the other, in an order that changes from round to round, started anew each time. Figures are
medians, over the rounds, of a server's figure divided by nginx's of the same round (least and most beside it), since absolute ones change with what
else the machine does. All runs in a network namespace of its own, with packets of 1,500 bytes and `reno`: with `bbr`, the default of many
such machines, the kernel sets a timer for each packet, and that is what one would measure.
"""

import argparse
import fcntl
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile

import peers
import report
from works import Works

TOP = pathlib.Path(__file__).resolve().parent.parent
MARK = "STREAMING_BENCH"


def measure(arguments):
    kinds = peers.available(arguments.peers)
    found = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        works = Works(folder, arguments.client, arguments.seconds)
        wanted = [it for it in works.all() if not arguments.only or it.name in arguments.only]
        say("making files")
        works.make_files({it.name for it in wanted})
        kinds = [it for it in kinds if answers(it, works.volume, folder)]
        for round in range(arguments.rounds):
            turn = round % len(kinds)
            for work in wanted:
                if work.is_warm:
                    works.warm()
                for kind in kinds[turn:] + kinds[:turn]:
                    is_guest = work.only and kind.name not in work.only
                    if is_guest and not (work.has_others_once and round == 0):
                        continue
                    say(f"round {round + 1} of {arguments.rounds}: {work.name}, {kind.name}")
                    try:
                        values = alone(work.ours if kind is peers.Ours else kind, works.root(work), folder, work.measure)
                    except subprocess.CalledProcessError:
                        say(f"{kind.name} can't do {work.name}\n")
                        continue
                    found.append(dict(round=round, work=work.name, peer=kind.name, figures=values[: len(work.figures)], client=values[len(work.figures) :]))
        say("")
    return wanted, kinds, found


def alone(kind, volume, folder, measure):
    """What is measured of a server that runs by itself: one that watches the files would cost the others something with each that they open."""
    with tempfile.TemporaryDirectory(dir=folder) as here:
        server = kind(volume, here)
        try:
            server.settle()
            return measure(server)
        finally:
            server.end()


def answers(kind, volume, folder):
    """Whether a server is fit for it; nginx and ours must be."""
    try:
        alone(kind, volume, folder, lambda _: None)
    except RuntimeError as error:
        if kind in (peers.Nginx, peers.Ours):
            raise
        say(f"{error}\n")
        return False
    return True


def say(text):
    print(f"\r{text}".ljust(72), end="", file=sys.stderr, flush=True)


def inside_namespace():
    """Runs this again where the network is its own, if that can be."""
    if MARK in os.environ:
        return
    # As root a network namespace is enough. Others need a user namespace around it.
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        script = "ip link set lo mtu 1500 up; sysctl -q -w net.ipv4.tcp_congestion_control=reno net.core.somaxconn=4096; exec \"$@\""
        inside = [*unshare, "sh", "-c", script, "sh", sys.executable, *sys.argv]
        os.execvpe(inside[0], inside, {**os.environ, MARK: "1"})


def network():
    """Packets and congestion control, as they are here."""
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    with socket.socket() as it:
        # SIOCGIFMTU, netdevice(7); /sys shows the namespace that it was mounted in.
        answer = fcntl.ioctl(it, 0x8921, struct.pack("16sI12x", b"lo", 0))
    return struct.unpack_from("16xI", answer)[0], control


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    parser.add_argument("--install", action="store_true", help="install or build the servers to compare with, first")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement that asks over and over")
    parser.add_argument("--only", type=names, help="works, with commas between")
    parser.add_argument("--peers", type=names, default=list(peers.ALL), help="servers beside nginx and ours, with commas between")
    parser.add_argument("--server", default=peers.Ours.path, help="the program that is ours")
    parser.add_argument("--client", default=str(TOP / "target/dist/load"))
    parser.add_argument("--folder", help="where to put the files: some gigabytes, on a disk and not in memory")
    parser.add_argument("--write", action="store_true", help="renew the table, the plot and what the README says")
    arguments = parser.parse_args()
    for unknown in set(arguments.peers) - peers.ALL.keys():
        parser.error(f"{unknown} is none of {', '.join(peers.ALL)}")
    if arguments.install:
        peers.install()
    peers.need(arguments.server)
    inside_namespace()
    # For thousands of connections; servers and client inherit it.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # So that nothing stays behind, neither servers nor gigabytes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    peers.Ours.path = arguments.server
    packets, control = network()
    if (packets, control) != (1500, "reno"):
        print(f"measured with {control} and packets of {packets} bytes, which can't be changed here: rankings may be upside down", file=sys.stderr)
    wanted, kinds, found = measure(arguments)
    table = report.table(wanted, kinds, found)
    print(table)
    print(report.remarks(wanted, kinds, found))
    if arguments.write:
        report.write(TOP, wanted, kinds, found, packets, control)


if __name__ == "__main__":
    main()
