#!/usr/bin/env python3
"""Measures the console in a pseudo-terminal: bytes on the line, times, memory, and how it ends.

    cargo build --profile dist -p sounding -p sounding-server && bench/console.py [PROGRAM [SERVER]]

Each line says what was measured, the bar, and the value. Times depend on the machine and what else it does.
"""

import fcntl
import json
import os
import pty
import re
import resource
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else TOP / "target/dist/sounding"
SERVER = sys.argv[2] if len(sys.argv) > 2 else TOP / "target/dist/sounding-server"
KEY = "imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd"
FREE = re.compile(rb"[\d.]+ [KMGT]?B free")
QUERIES = [b"\x1b[c", b"\x1b[0c", b"\x1b[6n", b"]11;?", b"\x1b[>", b"\x1b[?u"]


class Console:
    """The program in a terminal of its own; what it sends is kept with its time."""

    def __init__(self, volume, size=(80, 24), admin="none.sock", read=True, before=None, rate=None, keep_slave=False, term="xterm-256color", args=(), env=None):
        self.master, slave = pty.openpty()
        self.resize(*size)
        env = {"PATH": os.environ["PATH"], "TERM": term, "SOUNDING_ADMIN": str(Path(volume) / admin), **(env or {})}
        self.began = time.monotonic()

        def child():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if before:
                before()

        self.process = subprocess.Popen([PROGRAM, "--volume", volume, *args], stdin=slave, stdout=slave, stderr=slave, env=env, preexec_fn=child)
        self.slave = slave
        if not keep_slave:
            os.close(slave)
        self.log = []
        self.rate = rate
        self.stopped = not read
        if read:
            self.thread = threading.Thread(target=self.listen, daemon=True)
            self.thread.start()

    def listen(self):
        while self.rate and not self.stopped:
            # A line that takes so many bytes a second.
            time.sleep(0.02)
            if select.select([self.master], [], [], 0)[0]:
                try:
                    self.log.append((os.read(self.master, int(self.rate * 0.02)), time.monotonic()))
                except OSError:
                    return
        while not self.stopped:
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                try:
                    self.log.append((os.read(self.master, 1 << 16), time.monotonic()))
                except OSError:
                    return

    def bytes(self):
        return b"".join(it[0] for it in self.log)

    def type(self, keys):
        os.write(self.master, keys if isinstance(keys, bytes) else keys.encode())

    def wait(self, text, most=20):
        end = time.monotonic() + most
        while time.monotonic() < end:
            seen = b""
            for chunk, when in list(self.log):
                seen += chunk
                if text.encode() in seen:
                    return when
            time.sleep(0.002)
        raise SystemExit(f"{text!r} was not seen:\n{self.bytes()[-2000:]!r}")

    def rest(self, seconds=0.6):
        """Waits until nothing has come for a while."""
        while True:
            before = len(self.log)
            time.sleep(seconds)
            if len(self.log) == before:
                return

    def sent_by(self, keys, seconds=0.6):
        self.rest()
        before = len(self.bytes())
        self.type(keys)
        self.rest(seconds)
        return len(self.bytes()) - before

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.stopped = True


def tell(what, bar, value):
    print(f"{what:58} {bar:>16}   {value}", flush=True)


def volume(folder):
    folder = Path(folder)
    for number in range(8):
        run = folder / "berlin" / f"run-{number:03}"
        run.mkdir(parents=True)
        (run / "output_trips.csv").write_text("person,trip_id,dep_time,mode\n" + "100024,100024_1,07:42:10,pt\n" * 2000)
    for number in range(40):
        (folder / "berlin" / f"file-{number:03}.csv").write_text("person,trip_id,dep_time\n" + f"{number},1,2\n" * 50)
    (folder / ".sounding").mkdir(mode=0o700)
    (folder / ".sounding/auth-keys.csv").write_text(f"imove,{KEY},read,,,2024-03-11,dashboards\n")


def bytes_on_the_line(folder):
    starts = []
    for _ in range(7):
        console = Console(folder)
        console.wait("berlin/")
        starts.append(tuple((it - console.began) * 1000 for it in (console.log[0][1], console.wait("[1 Browse]"))))
        console.end()
    first_byte, frame = (statistics.median(it) for it in zip(*starts))
    tell("start to first frame, median of 7", "50 ms", f"{first_byte:.0f} ms to the first byte, {frame:.0f} ms to the frame; at most {max(it[1] for it in starts):.0f} ms")
    console = Console(folder)
    console.wait("berlin/")
    console.rest()
    tell("terminal queries sent", "0", sum(it in console.bytes() for it in QUERIES))
    console.type("\r")
    console.wait("file-000.csv")
    console.rest()
    before = len(console.bytes())
    console.type("\x0c")
    console.rest()
    tell("first frame, 80x24", "4 KB", f"{len(console.bytes()) - before} B")
    moves = [console.sent_by("j") for _ in range(6)]
    tell("cursor down, folders", "250 B", f"{max(moves)} B at most")
    console.type("G")
    console.rest()
    moves = [console.sent_by("k", 0.4) for _ in range(6)]
    tell("cursor with a new preview", "1.5 KB", f"{max(moves)} B at most")
    console.rest()
    before = len(console.bytes())
    for _ in range(20):
        console.type("k")
        time.sleep(0.03)
    console.rest()
    tell("cursor held, 30 a second, each step", "250 B", f"{(len(console.bytes()) - before) / 20:.0f} B")
    console.type("g")
    console.rest()
    tell("page down", "3 KB", f"{max(console.sent_by(chr(4)) for _ in range(2))} B at most")
    console.end()


def idle(folder):
    consoles = []
    for screen, keys in [("Browse", "j"), ("Receive", "2"), ("Keys", "4"), ("Help", "?"), ("Activity without a server", "5")]:
        console = Console(folder)
        console.wait("berlin/")
        console.type(keys)
        consoles.append((screen, console))
    # A message that was said at the start goes after twenty seconds.
    time.sleep(25)
    before = [(len(console.bytes()), console.cpu()) for _, console in consoles]
    time.sleep(60)
    for (screen, console), (size, cpu) in zip(consoles, before):
        tell(f"idle minute on {screen}", "0 B, < 0.1 s", f"{len(console.bytes()) - size} B, {console.cpu() - cpu:.2f} s CPU")
        console.end()


def busy_activity(folder):
    socket_path = Path(folder) / "admin.sock"
    server = subprocess.Popen([SERVER, "--volume", folder, "--listen", "127.0.0.1:0", "--admin", socket_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = server.stdout.readline().split("http://")[1].strip()
        host, port = address.split(":")
        stop = threading.Event()

        def load():
            while not stop.is_set():
                with socket.create_connection((host, int(port))) as connection:
                    connection.sendall(f"GET /files/berlin/file-001.csv HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\nConnection: close\r\n\r\n".encode())
                    while connection.recv(65536):
                        pass
                time.sleep(0.03)

        threading.Thread(target=load, daemon=True).start()
        console = Console(folder, admin="admin.sock")
        console.wait("berlin/")
        console.type("5")
        time.sleep(5)
        before = len(console.bytes())
        time.sleep(20)
        tell("Activity with some 30 requests a second", "400 B/s", f"{(len(console.bytes()) - before) / 20:.0f} B/s")
        stop.set()
        console.end()
    finally:
        server.terminate()
        server.wait()


def transfers_run(folder):
    """Three transfers as a server would tell of them, so that no line's moods count."""
    began, size = time.monotonic(), [18_400_000_000, 2_200_000_000, 412_000_000]
    rates = [21_300_000, 4_100_000, 800_000]

    def one(number):
        passed = time.monotonic() - began
        rate = int(rates[number] * (1 + (int(passed) * 7 + number) % 10 / 50))
        done = min(size[number] * 4 // 10 + int(rates[number] * passed), size[number])
        return {
            "version": 1, "number": number, "direction": "receive", "state": "running", "code": "7-guitarist-revenge", "command": None,
            "into": "berlin", "path": f"berlin/out-{number}", "done": done, "route": "relay (tcp:x:1)",
            "offer": {"type": "directory", "name": f"out-{number}", "size": size[number], "unpacked": size[number] * 3, "files": 2341},
            "started": "2026-11-24T13:56:00Z", "started_by": "console 1", "ended": None, "cause": None, "host": "0" * 32, "change": 3,
            "rate": rate, "quiet_seconds": 0, "question": None, "is_live": True,
        }

    def answer(connection):
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        target = request.split(b" ")[1].split(b"?")[0]
        root = os.stat(folder)
        told = {
            b"/service": {"version": "1", "pid": 1, "since": "2026-11-24T14:00:00Z", "volume": [root.st_dev, root.st_ino]},
            b"/transfers": [one(2), one(1), one(0)],
        }
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(told.get(target, {})).encode())
        connection.close()

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(Path(folder) / "fake.sock"))
    listener.listen()

    def serve():
        while True:
            answer(listener.accept()[0])

    threading.Thread(target=serve, daemon=True).start()
    console = Console(folder, admin="fake.sock")
    console.wait("berlin/")
    console.type("3")
    console.wait("/berlin/out-2")
    time.sleep(2)
    before = len(console.bytes())
    time.sleep(20)
    tell("three transfers run, seen", "150 B/s", f"{(len(console.bytes()) - before) / 20:.0f} B/s")
    console.type("1")
    time.sleep(2)
    before = len(console.bytes())
    time.sleep(20)
    tell("three transfers run, the badge only", "-", f"{(len(console.bytes()) - before) / 20:.0f} B/s")
    console.end()


def many_entries(folder):
    many = Path(folder) / "many"
    many.mkdir()
    for number in range(100_000):
        (many / f"file-{number}.csv").touch()
    console = Console(folder)
    console.wait("many/")
    console.type("G")
    console.rest()
    opened = time.monotonic()
    console.type("\r")
    names = console.wait("file-0.csv") - opened
    # Keys while sizes come.
    slowest = 0
    for _ in range(20):
        seen, pressed = len(console.log), time.monotonic()
        console.type("j")
        while len(console.log) == seen:
            time.sleep(0.0005)
        slowest = max(slowest, console.log[seen][1] - pressed)
    console.rest(1.5)
    console.type("h")
    console.rest()
    opened = time.monotonic()
    console.type("\r")
    console.rest(1.5)
    sizes = console.log[-1][1] - opened
    tell("100,000 entries: names usable / all sizes", "300 ms / 2 s", f"{names * 1000:.0f} ms / {sizes:.2f} s")
    tell("slowest key meanwhile", "20 ms", f"{slowest * 1000:.1f} ms")
    console.rest()
    tell("memory at 100,000 entries", "60 MB", f"{console.memory():.0f} MB")
    times = []
    for number in range(300):
        seen, pressed = len(console.log), time.monotonic()
        console.type("j" if number % 3 else "\x04")
        while len(console.log) == seen:
            time.sleep(0.0001)
        times.append((console.log[seen][1] - pressed) * 1000)
        time.sleep(0.02)
    times.sort()
    tell("key to first byte, p50 / p99", "2 / 20 ms", f"{statistics.median(times):.2f} / {times[int(len(times) * 0.99)]:.2f} ms")
    times = []
    console.type("/")
    console.rest()
    for letter in "file-9":
        seen, pressed = len(console.log), time.monotonic()
        console.type(letter)
        while len(console.log) == seen:
            time.sleep(0.0005)
        times.append((console.log[seen][1] - pressed) * 1000)
        console.rest(0.2)
    tell("a letter of a filter of 100,000, slowest", "-", f"{max(times):.0f} ms")
    console.end()


def ends(folder):
    def ignore():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    for what, end in [("q", b"q"), ("^C", b"\x03"), ("SIGTERM", signal.SIGTERM), ("SIGHUP", signal.SIGHUP)]:
        console = Console(folder, keep_slave=True)
        console.wait("berlin/")
        if isinstance(end, bytes):
            console.type(end)
        else:
            console.process.send_signal(end)
        status = console.process.wait(10)
        console.rest(0.2)
        is_cooked = termios.tcgetattr(console.slave)[3] & termios.ICANON
        is_left = console.bytes().endswith(b"\x1b[0m\x1b[?25h\x1b[?1049l")
        tell(f"restored after {what}", "all, status 0", f"{'all' if is_cooked and is_left else 'NOT'}, status {status}")
        console.end()
    for what, before in [("terminal closed", None), ("terminal closed, SIGHUP ignored", ignore)]:
        console = Console(folder, before=before)
        console.wait("berlin/")
        console.stopped = True
        console.thread.join()
        closed = time.monotonic()
        os.close(console.master)
        status = console.process.wait(10)
        tell(what, "100 ms, status 0", f"{(time.monotonic() - closed) * 1000:.0f} ms, status {status}")
    console = Console(folder, size=(200, 60), read=False)
    time.sleep(0.5)
    for _ in range(300):
        console.type("\x0c")
        time.sleep(0.002)
    cpu = console.cpu()
    time.sleep(5)
    spun = console.cpu() - cpu
    asked = time.monotonic()
    console.process.send_signal(signal.SIGTERM)
    status = console.process.wait(10)
    tell("SIGTERM while nothing is read", "500 ms, status 0", f"{(time.monotonic() - asked) * 1000:.0f} ms, status {status}, {spun / 5 * 100:.1f} % CPU before")


def slow_line(folder):
    console = Console(folder, rate=20_000)
    console.wait("berlin/")
    console.type("\r")
    console.rest(1)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        console.type("j")
        time.sleep(1 / 30)
    released = time.monotonic()
    console.rest(1)
    # A round trip comes on top, whatever it is.
    tell("line of 20 KB/s, j held 5 s: at rest after release", "0.3 s", f"{max(console.log[-1][1] - released, 0):.2f} s")
    console.end()


def resize_storm(folder):
    console = Console(folder)
    console.wait("berlin/")
    console.rest()
    before = len(console.bytes())
    end = time.monotonic() + 3
    number = 0
    while time.monotonic() < end:
        console.resize(1 + number * 37 % 200, 1 + number * 11 % 60)
        number += 1
        time.sleep(0.01)
    console.resize(80, 24)
    console.rest(1.2)
    sent = len(console.bytes()) - before
    # The last frame is what drawing all of it anew gives.
    console.type("\x0c")
    console.rest()
    in_storm, anew = console.bytes()[before:before + sent], console.bytes()[before + sent:]
    # The free space is another at each look.
    is_exact = FREE.sub(b"", anew) in FREE.sub(b"", in_storm)
    state = "alive" if console.process.poll() is None else "gone"
    tell(f"{number} resizes in 3 s", "exact, < 100 KB", f"{state}, last frame {'exact' if is_exact else 'NOT exact'}, {sent / 1000:.0f} KB")
    console.end()


def terminals(folder):
    odd = Path(folder) / "odd"
    odd.mkdir()
    names = ["\u6771\u4eac", "\u2764\ufe0f", "mu\u0308nchen", "a\u202eb", "x" * 255]
    for name in [it.encode() for it in names] + [b"esc\x1b[2Jx", b"new\nline", b"latin\xfc1"]:
        (Path(os.fsdecode(os.fsencode(odd) + b"/" + name))).write_text("text inside\n")
    looks = [(term, (), {}) for term in ["xterm", "xterm-256color", "screen", "linux", "vt100"]]
    looks += [("xterm", (), {"NO_COLOR": "1"}), ("xterm", (), {"LC_ALL": "C"}), ("xterm", ("--ascii", "--mono"), {})]
    for term, args, env in looks:
        console = Console(folder, term=term, args=args, env=env)
        console.wait("odd/")
        console.type("G\r")
        console.wait("latin")
        console.rest()
        seen = console.bytes()
        is_ascii = "ASCII" if all(it < 0x80 for it in seen) else "UTF-8"
        raw = [b"esc\x1b[2J", "\u202e".encode(), b"latin\xfc"]
        is_safe = "no raw name" if not any(it in seen for it in raw) else "RAW NAME"
        chosen = "row reversed" if re.search(rb"\x1b\[[0-9;]*7m", seen) else "NO ROW REVERSED"
        what = " ".join([term, *args, *(f"{name}={value}" for name, value in env.items())])
        tell(f"terminal {what}", "reversed", f"{chosen}, {is_ascii}, {is_safe}")
        console.end()
    console = Console(folder, term="dumb")
    status = console.process.wait(10)
    console.rest(0.2)
    said = console.bytes().decode().strip()
    tell("TERM=dumb", "status 2, 1 line", f"status {status}, {said.count(chr(10)) + 1} line: {said[:50]}")
    none = subprocess.run([PROGRAM, "--volume", folder], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    tell("no terminal", "status 2, 1 line", f"status {none.returncode}, {none.stderr.count(chr(10))} line: {none.stderr[:50]}")
    console = Console(folder, size=(38, 9))
    console.rest()
    line = "60x15 or larger helps; 38x9 now."
    # Spaces are not sent: they are there already.
    tell("38x9", "1 line", line if all(it.encode() in console.bytes() for it in line.split()) else "NOT said")
    console.end()


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    # On a disk of its own, as a volume is: elsewhere the free space changes, and that is news.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        volume(folder)
        idle(folder)
        transfers_run(folder)
    with tempfile.TemporaryDirectory() as folder:
        volume(folder)
        bytes_on_the_line(folder)
        busy_activity(folder)
        ends(folder)
        slow_line(folder)
        resize_storm(folder)
        many_entries(folder)
        terminals(folder)


main()
