#!/usr/bin/env python3
"""The figures of the program at rest: its size, its memory when idle, and its start beside a million files.

    bench/start.py [--files 1000000] [--rounds 21] [--server target/dist/sounding-server]

Needs `cargo build --profile dist` first, and Python 3 only. Makes a volume with so many files in a temporary folder,
starts the server on it again and again, and measures from the start of the process to the last byte of the first
answer of /health and of a file. Prints minimum, median and maximum; quote the median.
"""

import argparse
import os
import socket
import statistics
import subprocess
import tempfile
import time

KEY = "bench-key"


def make_volume(root, files):
    os.makedirs(f"{root}/.sounding", mode=0o700)
    with open(f"{root}/.sounding/auth-keys.csv", "w") as keys:
        keys.write(f"bench,{KEY}\n")
    for folder in range((files + 999) // 1000):
        path = f"{root}/run-{folder}"
        os.mkdir(path)
        for name in range(min(1000, files - folder * 1000)):
            with open(f"{path}/link_{name}.csv", "w"):
                pass
    with open(f"{root}/run-0/file.csv", "w") as file:
        file.write("a;b\n1;2\n")


def ask(port, target):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return answer


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def one_start(server, root, target):
    began = time.perf_counter()
    process = subprocess.Popen(
        [server, "--volume", root, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        ask(port, target)
        return (time.perf_counter() - began) * 1000, resident_kib(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=10)


def say(what, figures, unit):
    low, middle, high = min(figures), statistics.median(figures), max(figures)
    print(f"{what:<42} min {low:8.2f}  median {middle:8.2f}  max {high:8.2f}  {unit}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--server", default="target/dist/sounding-server")
    options = parser.parse_args()

    print(f"binary size {os.path.getsize(options.server) / 1e6:.2f} MB")
    with tempfile.TemporaryDirectory() as root:
        make_volume(root, options.files)
        for target in ["/health", "/files/run-0/file.csv"]:
            starts = [one_start(options.server, root, target) for _ in range(options.rounds)]
            say(f"start to first answer, {target}", [it[0] for it in starts], "ms")
            say(f"resident after it, {target}", [it[1] / 1024 for it in starts], "MiB")


if __name__ == "__main__":
    main()
