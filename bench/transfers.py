#!/usr/bin/env python3
"""The figures of wormhole transfers: how fast, and what each side is told when something breaks, after how long.

    bench/transfers.py [speed] [faults] [--server target/dist/sounding-server] [--rounds 5]

Needs `cargo build --profile dist` and `.ci/setup.sh` first. Without a name both are measured:

speed     1 GiB of random bytes and a folder of 2,000 small files from the Python client, received by the server and by
          the Python client in turns, directly and by the relay: seconds and CPU seconds of the receiver, and its memory
faults    a sender killed, interrupted or frozen, the mailbox server killed, the transfer cancelled, the server stopped or killed

Everything is on loopback, in a network namespace of its own: own mailbox server, own relay, the real Python client.
"""

import argparse
import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PYTHON = TOP / "target/clients/wormhole-venv/bin/python"
SERVERS = TOP / "wormhole/tests/clients/servers.py"
GIB = 1 << 30


class Peers:
    """A mailbox server and a relay, each a process of its own so that either can be killed."""

    def __init__(self):
        self.processes, self.ports = {}, {}
        for kind in ("mailbox", "relay"):
            process = subprocess.Popen([PYTHON, SERVERS, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.processes[kind], self.ports[kind] = process, process.stdout.readline().split()[1]
        self.mailbox, self.relay = f"ws://127.0.0.1:{self.ports['mailbox']}/v1", f"tcp:127.0.0.1:{self.ports['relay']}"

    def client(self, folder, *arguments):
        command = [PYTHON, "-m", "wormhole", "--relay-url", self.mailbox, "--transit-helper", self.relay, *arguments]
        log = open(f"{folder}/log", "w")
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def send(self, folder, code, what, *options):
        return self.client(folder, "send", "--no-qr", "--hide-progress", *options, "--code", code, what)

    def receive(self, folder, code, *options):
        return self.client(folder, "receive", "--accept-file", "--hide-progress", *options, code)

    def kill(self, kind):
        self.processes[kind].kill()
        self.processes[kind].wait()

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


class Local(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("admin", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Server:
    def __init__(self, program, peers, volume, is_direct=True):
        self.program, self.peers, self.volume, self.admin = program, peers, volume, f"{volume}.sock"
        # Where only loopback is, and peers may not lead there, the relay is the only way.
        self.reach = ["--local-peers"] if is_direct else []
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--volume", self.volume, "--listen", "127.0.0.1:0", "--admin", self.admin]
            + ["--mailbox", self.peers.mailbox, "--relay", self.peers.relay, *self.reach],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "API_KEYS": "bench-key"},
        )
        self.process.stdout.readline()

    def ask(self, method, target, body=None):
        connection = Local(self.admin)
        body = json.dumps(body) if body is not None else None
        connection.request(method, target, body, {"Content-Type": "application/json"})
        answer = connection.getresponse().read()
        return json.loads(answer) if answer else None

    def begin(self, **request):
        return self.ask("POST", "/transfers", request)["number"]

    def get(self, number):
        return self.ask("GET", f"/transfers/{number}")

    def wait(self, number, is_so, limit=150, every=0.005):
        until = time.monotonic() + limit
        while True:
            now = self.get(number)
            if is_so(now) or time.monotonic() > until:
                return now
            time.sleep(every)

    def over(self, number):
        # Seldom: whoever measures must not take much of the processors from what is measured.
        return self.wait(number, lambda it: it["ended"], every=0.04)

    def staged(self):
        folder = pathlib.Path(self.volume) / ".sounding/staging"
        return len(list(folder.iterdir())) if folder.exists() else 0

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024

    def end(self):
        self.process.terminate()
        self.process.wait()


NEXT = iter(range(100, 10_000))


def fresh_code():
    return f"{next(NEXT)}-crossover-clockwork"


def random_file(path, size):
    with open(path, "wb") as out, open("/dev/urandom", "rb") as random:
        left = size
        while left:
            left -= out.write(random.read(min(left, 1 << 20)))


def small_files(folder):
    for number in range(2000):
        path = pathlib.Path(folder) / f"it.{number % 40}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number % 8000))


class Volume:
    """A server with a volume, that can be reached directly, or by the relay alone."""

    def __init__(self, program, peers, place, is_direct):
        self.path = f"{place}/{'direct' if is_direct else 'relay'}"
        os.mkdir(self.path)
        self.server = Server(program, peers, self.path, is_direct)


def speed(program, rounds):
    with tempfile.TemporaryDirectory() as place:
        here, there = f"{place}/here", f"{place}/there"
        os.mkdir(here), os.mkdir(there)
        random_file(f"{here}/big.bin", GIB)
        os.mkdir(f"{here}/run")
        small_files(f"{here}/run")
        peers = Peers()
        volumes = {is_direct: Volume(program, peers, place, is_direct) for is_direct in (True, False)}

        def python_receives(what, is_direct):
            code, folder = fresh_code(), f"{there}/{next(NEXT)}"
            os.mkdir(folder)
            options = () if is_direct else ("--no-listen",)
            sender = peers.send(here, code, what, *options)
            # It is there before the clock starts, for both sides.
            time.sleep(1.5)
            began = time.monotonic()
            receiver = peers.receive(folder, code, *options)
            _, status, used = os.wait4(receiver.pid, 0)
            seconds = time.monotonic() - began
            assert status == 0 and sender.wait() == 0
            subprocess.run(["rm", "-rf", folder], check=True)
            return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

        def server_receives(what, is_direct):
            volume = volumes[is_direct]
            server, code = volume.server, fresh_code()
            sender = peers.send(here, code, what, *(() if is_direct else ("--no-listen",)))
            time.sleep(1.5)
            before, began = server.cpu(), time.monotonic()
            number = server.begin(direction="receive", code=code, yes=True, wait=True, into=f"in-{code}")
            now = server.over(number)
            seconds, used = time.monotonic() - began, server.cpu() - before
            assert now["state"] == "done" and sender.wait() == 0, now
            assert now["route"].startswith("direct" if is_direct else "relay"), now["route"]
            subprocess.run(["rm", "-rf", f"{volume.path}/in-{code}"], check=True)
            return seconds, used, server.resident_mib()

        middle = lambda values: statistics.median(values)
        for what, title in (("big.bin", "1 GiB"), ("run", "2,000 files")):
            for is_direct in (True, False):
                pairs = []
                for number in range(rounds):
                    both = [python_receives, server_receives]
                    results = {it.__name__: it(what, is_direct) for it in (both if number % 2 else reversed(both))}
                    pairs.append((results["server_receives"], results["python_receives"]))
                ours, theirs = zip(*pairs)
                print(f"{title}, {'direct' if is_direct else 'by relay'}, {rounds} pairs: median (min to max)")
                for name, values in (("server", ours), ("Python", theirs)):
                    seconds, cpu = [it[0] for it in values], [it[1] for it in values]
                    print(
                        f"    {name}  {middle(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
                        f"   CPU {middle(cpu):5.2f} s ({min(cpu):.2f} to {max(cpu):.2f})   memory {max(it[2] for it in values):5.1f} MiB"
                    )
                of = lambda part: middle([one[part] / other[part] for one, other in pairs])
                print(f"    ratio   {of(0):6.2f}     CPU {of(1):5.2f}", flush=True)
        for volume in volumes.values():
            volume.server.end()
        peers.end()


def faults(program):
    def line(what, after, told, sender):
        print(f"{what:38} {after:7.2f} s  here: {told}\n{'':49} sender: {sender}", flush=True)

    def last_line(folder):
        lines = [it for it in open(f"{folder}/log").read().splitlines() if it.strip()]
        return lines[-1] if lines else ""

    def broken(what, break_it, frozen=False, waits=False):
        with tempfile.TemporaryDirectory() as place:
            volume, here = f"{place}/volume", f"{place}/here"
            os.mkdir(volume), os.mkdir(here)
            with open(f"{here}/big.bin", "wb") as out:
                out.truncate(16 * GIB)
            peers = Peers()
            server = Server(program, peers, volume)
            code = fresh_code()
            sender = peers.send(here, fresh_code() if waits else code, "big.bin")
            number = server.begin(direction="receive", code=code, yes=True, wait=True)
            is_there = (lambda it: it["state"] == "waiting") if waits else (lambda it: it["done"] > 8 << 20)
            server.wait(number, is_there)
            began = time.monotonic()
            break_it(peers, server, sender)
            now = server.over(number) if server.process.poll() is None else None
            after = time.monotonic() - began
            if frozen:
                sender.kill()
            try:
                sender.wait(timeout=30)
                heard = last_line(here)
            except subprocess.TimeoutExpired:
                heard = "(still waits after 30 s)"
                sender.kill()
            if now is None:
                after = time.monotonic() - began
                server.start()
                now = server.over(number)
            visible = [it for it in os.listdir(volume) if it != ".sounding"]
            line(what, after, f"{now['state']}: {now['cause']}", heard)
            assert not visible and server.staged() == 0, (visible, server.staged())
            server.end()
            sender.wait()
            peers.end()

    def stop(server, how):
        server.process.send_signal(how)
        server.process.wait()

    broken("sender killed", lambda peers, server, sender: sender.kill())
    broken("sender interrupted (Ctrl-C)", lambda peers, server, sender: sender.send_signal(signal.SIGINT))
    broken("sender frozen (SIGSTOP)", lambda peers, server, sender: sender.send_signal(signal.SIGSTOP), frozen=True)
    broken("mailbox killed, nobody came yet", lambda peers, server, sender: peers.kill("mailbox"), waits=True)
    broken("mailbox killed, bytes flow: cancelled", lambda peers, server, sender: (peers.kill("mailbox"), server.ask("DELETE", "/transfers/1")))
    broken("cancelled here", lambda peers, server, sender: server.ask("DELETE", "/transfers/1"))
    broken("server stopped (SIGTERM)", lambda peers, server, sender: stop(server, signal.SIGTERM))
    broken("server killed (SIGKILL)", lambda peers, server, sender: stop(server, signal.SIGKILL))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=["speed", "faults", []])
    parser.add_argument("--server", default=TOP / "target/dist/sounding-server")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if "TRANSFERS_BENCH" not in os.environ:
        script = 'ip link set lo up && exec "$@"'
        inside = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh", sys.executable, *sys.argv]
        os.execvpe(inside[0], inside, {**os.environ, "TRANSFERS_BENCH": "1"})
    which = arguments.which or ["speed", "faults"]
    if "speed" in which:
        speed(arguments.server, arguments.rounds)
    if "faults" in which:
        faults(arguments.server)


if __name__ == "__main__":
    main()
