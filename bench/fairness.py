#!/usr/bin/env python3
"""Measures what others get while many ask for what is dear: compressed downloads, and listings that nobody reads.

    bench/fairness.py [--server PROGRAM …] [--only downloads,uploads,listings] [--fronts direct,nginx] [--codings gzip,br,zstd] [--clients 1,16,300] [--seconds 6]

Needs `cargo build --profile dist --workspace` first, and nginx for the second front. Some eight minutes for one server. With several `--server`, they are
measured in turns, to compare programs before and after a change.

Downloads: so many clients fetch a text of 236 MB, compressed on its way. Meanwhile a prober asks for /health and for a file of 2 KB, each over a connection of its
own, a hundred times a second, and says what the 99th of 100 waited for, and the longest. "compressed" is what all clients together got of compressed
bodies, in MB a second: it says whether quick answers were bought with slow downloads. Clients beyond the encoders that the server has get the text as it is.

Uploads: so many clients put files of 8 MB, one after the other, each with a digest that is asked for, and the prober asks as above. "stored" is what
all together were told is stored, in MB a second; beside it the most memory that the server had (VmRSS).

Listings: 900 clients ask for a listing of 20,000 names and read nothing. What the server's memory (VmRSS) is then, and 10 s after they have gone; its threads;
how many were answered at all; and the longest wait for the file of 2 KB meanwhile.

On a machine with something else to do, waits are those of the machine: look at the load first. Clients drop what they get unread (MSG_TRUNC). The prober is
of higher priority where it may be, since its own wait for a processor is not the server's.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
import time

import peers

TEXT, NAMES, UNREAD, UPLOAD = 236_000_000, 20_000, 900, 8 << 20
KEY = "k" * 43
FRONTS = {"direct": peers.Ours, "nginx": peers.Chain}
PROBES = {"/health": "health", "/files/public/small/0.csv": "2 KB"}


def make_volume(folder):
    """Files that have been left alone for a while, as most are that are asked for."""
    volume = pathlib.Path(folder) / "volume"
    for name in ("small", "names"):
        (volume / "public" / name).mkdir(parents=True)
    block = "".join(f"{it};{it * 7919 % 10007};{it * 31337 % 997 / 10:.2f};car;leg{it % 13}\n" for it in range(250_000)).encode()
    with open(volume / "public/text.csv", "wb") as out:
        while out.tell() < TEXT:
            out.write(block[: TEXT - out.tell()])
    (volume / ".sounding").mkdir()
    (volume / ".sounding/auth-keys.csv").write_text(f"bench,{KEY},write\n")
    (volume / "in").mkdir()
    (volume / "public/small/0.csv").write_bytes(b"1;2;3;4\n" * 256)
    for number in range(NAMES):
        (volume / f"public/names/link_{number:05}.csv").touch()
    os.sync()
    time.sleep(12)
    return volume


def request(target, *fields):
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]).encode()


def connect(port):
    it = socket.create_connection(("127.0.0.1", port), timeout=60)
    it.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return it


def probe(port, seconds, told):
    """Milliseconds that each answer took, by target."""
    try:
        os.nice(-10)
    except OSError:
        pass
    found = {target: [] for target in PROBES}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for target in PROBES:
            began = time.perf_counter()
            with connect(port) as it:
                it.sendall(request(target))
                answer = b""
                while part := it.recv(65536):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
            found[target].append((time.perf_counter() - began) * 1000)
        time.sleep(0.02)
    told.put(found)


def fetch(port, clients, coding, seconds, ready, told):
    """Fetches over and over until the time is over, and counts compressed bytes."""
    counted, heads, compressed = {"bytes": 0, "plain": 0}, {}, set()
    epoll = select.epoll()
    sockets = {}

    def open_one():
        it = connect(port)
        it.sendall(request("/files/public/text.csv", f"Accept-Encoding: {coding}"))
        it.setblocking(False)
        sockets[it.fileno()] = it
        epoll.register(it, select.EPOLLIN)

    for _ in range(clients):
        open_one()
    ready.set()
    nothing = bytearray(1 << 20)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number, _ in epoll.poll(0.1):
            it = sockets[number]
            if number not in heads:
                head = it.recv(2048)
                heads[number] = head
                if b"content-encoding" in head.lower():
                    compressed.add(number)
                got = len(head)
            else:
                try:
                    got = it.recv_into(nothing, len(nothing), socket.MSG_TRUNC)
                except BlockingIOError:
                    continue
            counted["bytes" if number in compressed else "plain"] += got
            if got == 0:
                epoll.unregister(it)
                it.close()
                compressed.discard(number)
                del sockets[number], heads[number]
                open_one()
    told.put(counted)


def downloads(server, coding, clients, seconds):
    told, flood_told, ready = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
    flood = multiprocessing.Process(target=fetch, args=(server.port, clients, coding, seconds + 2, ready, flood_told))
    flood.start()
    ready.wait(60)
    time.sleep(1)
    prober = multiprocessing.Process(target=probe, args=(server.port, seconds, told))
    prober.start()
    found, counted = told.get(timeout=300), flood_told.get(timeout=300)
    prober.join()
    flood.join()
    waits = [wait for target in PROBES for wait in (percentile(found[target], 99), max(found[target]))]
    return [*waits, counted["bytes"] / 1e6 / (seconds + 2), counted["plain"] / 1e6 / (seconds + 2)]


def put(port, number, key, until, told):
    """Puts one file after the other until the time is over; tells how many."""
    block = os.urandom(1 << 20)
    stored = 0
    while time.monotonic() < until:
        head = f"PUT /files/in/{number}.bin HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\nWant-Repr-Digest: sha-256=1\r\n"
        try:
            with connect(port) as it:
                it.sendall(f"{head}Connection: close\r\nContent-Length: {UPLOAD}\r\n\r\n".encode())
                for _ in range(UPLOAD >> 20):
                    it.sendall(block)
                answer = it.recv(100)
        except OSError:
            continue
        stored += answer[9:12] in (b"201", b"204")
    told.append(stored)


def flood_with_uploads(port, clients, key, seconds, ready, told):
    stored, until = [], time.monotonic() + seconds
    threads = [threading.Thread(target=put, args=(port, number, key, until, stored)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join()
    told.put(sum(stored))


def uploads(server, clients, seconds):
    told, flood_told, ready = multiprocessing.Queue(), multiprocessing.Queue(), multiprocessing.Event()
    flood = multiprocessing.Process(target=flood_with_uploads, args=(server.port, clients, KEY, seconds + 2, ready, flood_told))
    began = time.monotonic()
    flood.start()
    ready.wait(60)
    time.sleep(1)
    prober = multiprocessing.Process(target=probe, args=(server.port, seconds, told))
    prober.start()
    most = 0
    while prober.exitcode is None and told.empty():
        most = max(most, memory(server))
        time.sleep(0.05)
    found, stored = told.get(timeout=300), flood_told.get(timeout=300)
    spent = time.monotonic() - began
    prober.join()
    flood.join()
    waits = [wait for target in PROBES for wait in (percentile(found[target], 99), max(found[target]))]
    return [*waits, stored * UPLOAD / 1e6 / spent, most]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def threads(server):
    return len(os.listdir(f"/proc/{server.started[0].pid}/task"))


def memory(server):
    """MB of the server's own process."""
    text = pathlib.Path(f"/proc/{server.started[0].pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1000


def listings(server, form):
    """Memory with many that nobody reads, and when they have gone."""
    at_rest = memory(server)
    asked = []
    for _ in range(UNREAD):
        it = connect(server.port)
        it.sendall(request("/files/public/names/", f"Accept: {form}"))
        asked.append(it)
    told = multiprocessing.Queue()
    prober = multiprocessing.Process(target=probe, args=(server.port, 8, told))
    prober.start()
    most = most_threads = 0
    while prober.exitcode is None and told.empty():
        most, most_threads = max(most, memory(server)), max(most_threads, threads(server))
        time.sleep(0.05)
    waits = told.get(timeout=300)["/files/public/small/0.csv"]
    prober.join()
    answered = sum(is_answered(it) for it in asked)
    for it in asked:
        it.close()
    time.sleep(10)
    return at_rest, most, memory(server), most_threads, answered, max(waits)


def is_answered(connection):
    connection.setblocking(False)
    try:
        return connection.recv(15, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def run(kind, program, volume, folder, measure, *what):
    peers.Ours.path = program
    with tempfile.TemporaryDirectory(dir=folder) as here:
        server = kind(volume, here)
        try:
            server.settle()
            return measure(server, *what)
        finally:
            server.end()


def show(heads, rows):
    widths = [max(len(str(row[it])) for row in [heads, *rows]) for it in range(len(heads))]
    for row in [heads, ["-" * it for it in widths], *rows]:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    parser.add_argument("--server", action="append", help="a program to measure; several in turns")
    parser.add_argument("--only", type=names, default=["downloads", "uploads", "listings"])
    parser.add_argument("--fronts", type=names, default=list(FRONTS))
    parser.add_argument("--codings", type=names, default=["gzip", "br", "zstd"])
    parser.add_argument("--clients", type=names, default=["1", "16", "300"])
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--folder", help="where to put the files: 250 MB")
    arguments = parser.parse_args()
    programs = arguments.server or [peers.Ours.path]
    for program in programs:
        peers.need(program)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    print(f"load of the machine at the beginning: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        volume = make_volume(folder)
        rows = []
        for front in arguments.fronts if "downloads" in arguments.only else []:
            for coding in arguments.codings:
                for clients in arguments.clients:
                    for program in programs:
                        found = run(FRONTS[front], program, volume, folder, downloads, coding, int(clients), arguments.seconds)
                        rows.append([front, coding, clients, *([program] if len(programs) > 1 else []), *(f"{it:.1f}" for it in found)])
                        print(*rows[-1], file=sys.stderr)
        waits = [f"{probe} {which}, ms" for probe in PROBES.values() for which in ("p99", "longest")]
        which = ["server"] if len(programs) > 1 else []
        if rows:
            show(["front", "coding", "clients", *which, *waits, "compressed, MB/s", "as it is, MB/s"], rows)
        rows = []
        for front in arguments.fronts if "uploads" in arguments.only else []:
            for clients in arguments.clients:
                for program in programs:
                    found = run(FRONTS[front], program, volume, folder, uploads, int(clients), arguments.seconds)
                    rows.append([front, clients, *([program] if len(programs) > 1 else []), *(f"{it:.1f}" for it in found)])
                    print(*rows[-1], file=sys.stderr)
        if rows:
            show(["front", "clients", *which, *waits, "stored, MB/s", "memory, MB"], rows)
        rows = []
        for front in arguments.fronts if "listings" in arguments.only else []:
            for form in ("text/html", "application/json"):
                for program in programs:
                    found = run(FRONTS[front], program, volume, folder, listings, form)
                    rows.append([front, form, *([program] if len(programs) > 1 else []), *(f"{it:.0f}" for it in found)])
                    print(*rows[-1], file=sys.stderr)
        if rows:
            heads = ["at rest, MB", f"{UNREAD} unread, MB", "10 s after, MB", "threads", "answered", "2 KB longest, ms"]
            show(["front", "form", *which, *heads], rows)


if __name__ == "__main__":
    main()
