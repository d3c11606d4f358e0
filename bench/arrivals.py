#!/usr/bin/env python3
"""The figures of arrivals: from a file's close to the event at a waiting client, and what watching costs.

    bench/arrivals.py [latency] [burst] [folders] [files] [--server target/dist/sounding-server]

Needs `cargo build --profile dist` first, and Python 3 only. Without a name all four are measured:

latency   300 files, one after the other, to a client that waits at /changes: milliseconds from close to answer
burst     50,000 files in 500 folders as fast as they can be written, to a client of /events
folders   the server's memory with 100,000 folders watched
files     with a million files known: the start to the first answer, and what the walk in the background costs
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time

KEY = "bench-key"
FIELDS = {"Authorization": KEY}


class Server:
    def __init__(self, program, root):
        os.makedirs(f"{root}/.sounding", mode=0o700, exist_ok=True)
        with open(f"{root}/.sounding/auth-keys.csv", "w") as keys:
            keys.write(f"bench,{KEY},write\n")
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [program, "--volume", root, "--listen", "127.0.0.1:0", "--log", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.walked = None
        self.has_walked = threading.Event()
        threading.Thread(target=self.read_log, daemon=True).start()

    def read_log(self):
        for line in self.process.stderr:
            if "has been walked" in line and not self.has_walked.is_set():
                self.walked = {name: value for name, value in json.loads(line).items() if name in ("folders", "millis")}
                self.has_walked.set()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def first_answer(self):
        connection = self.connect()
        get(connection, "/health")
        return (time.perf_counter() - self.began) * 1000

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=60)


def get(connection, target):
    connection.request("GET", target, headers=FIELDS)
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    return body


def say(what, milliseconds):
    ordered = sorted(milliseconds)
    last = ordered[min(len(ordered) - 1, round(len(ordered) * 0.99))]
    print(f"{what:<46} median {statistics.median(ordered):8.1f}  99 % {last:8.1f}  max {ordered[-1]:8.1f}  ms")


def latency(program):
    with tempfile.TemporaryDirectory() as root, Server(program, root) as server:
        server.has_walked.wait(60)
        connection = server.connect()
        cursor = json.loads(get(connection, "/changes"))["cursor"]
        took = []
        for number in range(300):
            connection.request("GET", f"/changes?since={cursor}&wait=30", headers=FIELDS)
            time.sleep(0.02)
            with open(f"{root}/{number}.csv", "w") as file:
                file.write("a;b\n" * 100)
            closed = time.perf_counter()
            answer = json.loads(connection.getresponse().read())
            took.append((time.perf_counter() - closed) * 1000)
            assert len(answer["changes"]) == 1, answer
            cursor = answer["cursor"]
        say("one file, from close to the answer", took)


def burst(program):
    files, folders = 50_000, 500
    with tempfile.TemporaryDirectory() as root, Server(program, root) as server:
        for folder in range(folders):
            os.makedirs(f"{root}/run/it.{folder}")
        server.has_walked.wait(60)
        time.sleep(3)
        connection = server.connect()
        connection.request("GET", "/events", headers=FIELDS)
        events = connection.getresponse()
        closed, seen = {}, {}

        def listen():
            while len(seen) < files:
                line = events.readline()
                if line.startswith(b"data: {") and b'"type":"file"' in line:
                    seen[json.loads(line[6:])["path"]] = time.perf_counter()

        listener = threading.Thread(target=listen)
        listener.start()
        began = time.perf_counter()
        for number in range(files):
            path = f"run/it.{number % folders}/{number}.csv"
            with open(f"{root}/{path}", "w") as file:
                file.write("a;b\n")
            closed[path] = time.perf_counter()
        wrote = time.perf_counter() - began
        listener.join(timeout=120)
        assert len(seen) == files, len(seen)
        say("50,000 files, from close to the event", [(seen[it] - closed[it]) * 1000 for it in closed])
        print(f"    written in {wrote:.1f} s; the last event {max(seen.values()) - began:.1f} s after the first file")


def folders(program):
    with tempfile.TemporaryDirectory() as root:
        with Server(program, root) as server:
            server.has_walked.wait(60)
            print(f"{'memory with an empty volume':<46} {server.resident_mib():8.1f} MiB")
        for outer in range(100):
            for inner in range(1000):
                os.makedirs(f"{root}/run-{outer}/it.{inner}")
        with Server(program, root) as server:
            server.has_walked.wait(600)
            print(f"{'memory with 100,000 folders watched':<46} {server.resident_mib():8.1f} MiB", server.walked)
            warnings = json.loads(get(server.connect(), "/health"))["warnings"]
            print("    warnings:", warnings or "none")


def files(program):
    with tempfile.TemporaryDirectory() as root:
        for folder in range(1000):
            os.mkdir(f"{root}/run-{folder}")
            for name in range(1000):
                with open(f"{root}/run-{folder}/link_{name}.csv", "w"):
                    pass
        with Server(program, root) as server:
            server.has_walked.wait(600)
            took, cpu, memory = int(server.walked["millis"]) / 1000, server.cpu_seconds(), server.resident_mib()
            print(f"the first walk of a million files: {took:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MiB")
        size = os.path.getsize(f"{root}/.sounding/journal.sqlite") / 2**20
        print(f"the journal has {size:.0f} MiB")
        starts = []
        for _ in range(9):
            with Server(program, root) as server:
                starts.append(server.first_answer())
        say("start to the first answer, a million known", starts)
        with Server(program, root) as server:
            server.has_walked.wait(600)
            took, cpu, memory = int(server.walked["millis"]) / 1000, server.cpu_seconds(), server.resident_mib()
            print(f"the walk at a start that finds nothing new: {took:.1f} s, {cpu:.1f} s of CPU, {memory:.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="latency, burst, folders or files")
    parser.add_argument("--server", default="target/dist/sounding-server")
    options = parser.parse_args()
    jobs = {"latency": latency, "burst": burst, "folders": folders, "files": files}
    for name in options.what:
        if name not in jobs:
            parser.error(f"there is no {name}")
    for name in options.what or jobs:
        jobs[name](options.server)


if __name__ == "__main__":
    main()
