"""What servers are asked to do, what is measured of it, and what it should come to."""

import dataclasses
import json
import os
import pathlib
import subprocess
import threading
import time

import peers

GIB, MIB, KIB = 1 << 30, 1 << 20, 1 << 10
BIG, COLD, SMALL, LISTED, SLOW = 4 * GIB, 3 * GIB // 2, 1000, 100_000, 2000


@dataclasses.dataclass
class Figure:
    """Something measured, and its bar: at least where more is better, else at most."""

    what: str
    unit: str
    bar: float
    more_is_better: bool = False
    # Held against the bar as it stands, not as a ratio to nginx's.
    is_absolute: bool = False
    # What it is where its work is not named beside it.
    alone: str = ""


@dataclasses.dataclass
class Work:
    """One thing that servers are asked to do."""

    name: str
    label: str
    figures: tuple
    # From a server to its figures; behind them, of some, seconds of the processor that the client took for each of the server's.
    measure: callable
    # Whom to compare; all there are if empty. Others have their turn in the first round alone, if this takes long.
    only: tuple = ()
    has_others_once: bool = False
    # It is done on the volume with a large folder, which takes some to walk through.
    is_crowded: bool = False
    # It begins with all of the big file in memory.
    is_warm: bool = False
    # Who stands for ours.
    ours: type = peers.Ours


class Works:
    """All works, on the same files, with one client."""

    def __init__(self, folder, client, seconds):
        self.volume, self.crowded = pathlib.Path(folder) / "volume", pathlib.Path(folder) / "crowded"
        self.client, self.seconds = client, seconds
        # Seconds that it took to make a file, or files of a kind.
        self.longest = 0

    def root(self, work):
        return self.crowded if work.is_crowded else self.volume

    def all(self):
        both = ("nginx", "ours")
        answers = lambda least, most: (Figure("answers", "/s", least, True), Figure("CPU", "µs each", most))
        throughput = lambda least, most: (Figure("throughput", "GiB/s", least, True), Figure("CPU", "s per GiB", most))
        quick = ("nginx", "nginx-cached", "caddy", "ours")
        small = dict(files=SMALL, connections=64, under="private")
        mib = dict(part="random", range=MIB, size=BIG, compare=500)
        kib = self.asked("/small/{}.csv", size=KIB, compare=100, **small)
        return [
            Work("whole", "one file of 4 GiB", throughput(1.0, 1.0), self.whole, only=quick, has_others_once=True),
            Work("ranges-8", "1 MiB ranges, 8 connections", answers(1.0, 1.0), self.asked("/big.bin", connections=8, **mib), is_warm=True),
            Work("ranges-64", "1 MiB ranges, 64 connections", answers(1.0, 1.0), self.asked("/big.bin", connections=64, **mib), is_warm=True),
            Work("small", "files of 1 KiB, 64 connections, key checked", answers(1.1, 0.85), kib),
            Work("medium", "files of 64 KiB, likewise", answers(1.0, 1.0), self.asked("/medium/{}.bin", size=64 * KIB, compare=100, **small)),
            Work("unchanged", "304 answers, likewise", answers(1.1, 0.9), self.asked("/small/{}.csv", "--revalidate", size=KIB, **{**small, "files": 1})),
            Work("health", "`/health`, 64 connections", answers(None, None), self.health, only=both),
            Work("chain", "one file of 4 GiB, in the container", throughput(0.42, 2.7), self.whole, only=both, ours=peers.Chain),
            Work("chain-small", "files of 1 KiB, 64 connections, in the container", answers(0.45, 3.1), kib, only=both, ours=peers.Chain),
            Work("direct", "one file of 4 GiB, in the container without nginx", throughput(0.95, 1.05), self.whole, only=both, ours=peers.Direct),
            Work("direct-small", "files of 1 KiB, 64 connections, likewise", answers(1.1, 0.85), kib, only=both, ours=peers.Direct),
            Work(
                "cold",
                "4 MiB ranges from the disk, small files meanwhile",
                (
                    Figure("throughput", "GiB/s", 1.0, True),
                    Figure("99th of 100 small", "ms", 0.6, alone="small files meanwhile, 99th of 100"),
                    Figure("small answers", "/s", None, True),
                ),
                self.cold,
                only=both,
            ),
            Work(
                "slow",
                f"{SLOW:,} slow readers",
                (
                    Figure("own memory", "KiB each", 12, is_absolute=True, alone="memory of a slow reader"),
                    Figure("kernel memory", "KiB each", 200, is_absolute=True, alone="the kernel's for a slow reader"),
                ),
                self.slow_readers,
                only=both,
                has_others_once=True,
            ),
            Work(
                "listing",
                f"{LISTED:,} entries as JSON, with sizes and times",
                (
                    Figure("time", "ms", 0.7, alone=f"time of {LISTED:,} entries as JSON"),
                    Figure("memory", "MB more", 10, is_absolute=True, alone=f"memory for {LISTED:,} entries"),
                ),
                self.listing,
                only=both,
                is_crowded=True,
            ),
            Work(
                "rest",
                "start to first answer; at rest",
                (
                    Figure("time", "ms", 8, is_absolute=True, alone="start to first answer"),
                    Figure("memory", "MB", 8, is_absolute=True, alone="memory at rest, with the program's text"),
                    Figure("of which its own", "MB", None, is_absolute=True, alone="its own memory at rest"),
                ),
                self.at_rest,
            ),
        ]

    def make_files(self, wanted):
        """Small ones as public ones and once more behind keys."""
        for folder in ("volume/public/small", "volume/public/medium", "volume/runs", "crowded/public/small", "crowded/public/listed"):
            (self.volume.parent / folder).mkdir(parents=True)
        self.make("volume/public/small/{}.csv", KIB, SMALL)
        self.make("volume/public/medium/{}.bin", 64 * KIB, SMALL)
        self.make("crowded/public/small/{}.csv", KIB)
        for folder in ("small", "medium"):
            subprocess.run(["cp", "-rl", self.volume / "public" / folder, self.volume / "runs"], check=True)
        if wanted & {"whole", "ranges-8", "ranges-64", "slow", "chain", "direct"}:
            self.make("volume/public/big.bin", BIG)
        if "cold" in wanted:
            self.make("volume/public/cold.bin", COLD)
        if "listing" in wanted:
            self.make("crowded/public/listed/link_{}.csv", 16, LISTED)
        # Else it is written out while something is measured.
        os.sync()
        # What is read over and over has seldom been written just now, and a server may go by that: ours by how long it took.
        time.sleep(max(11, self.longest + 1))

    def make(self, path, size, files=1):
        began = time.monotonic()
        subprocess.run([self.client, "make", self.volume.parent / path, "--size", str(size), "--files", str(files)], check=True)
        self.longest = max(self.longest, time.monotonic() - began)

    def warm(self):
        """Has all of the big file in memory: the host of a virtual machine takes back what nobody touches, and a server may be the first to touch it."""
        path = self.volume / "public/big.bin"
        if path.exists():
            subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)

    def arguments(self, server, target, *options, under="files", **named):
        arguments = [self.client, "ask", "--address", f"127.0.0.1:{server.port}", "--target", getattr(server, under) + target]
        for field in server.fields if under == "private" else ():
            arguments += ["--field", field]
        for name, value in named.items():
            arguments += [f"--{name}", str(value)]
        return [*arguments, *options]

    def load(self, *of, **named):
        output = subprocess.run(self.arguments(*of, **named), stdout=subprocess.PIPE, check=True, timeout=120).stdout
        found = json.loads(output)
        assert found["compared"] or not named.get("compare"), "no answer was compared"
        return found

    def asked(self, target, *options, **named):
        """Asks over and over: answers a second, and µs of the processor for each."""

        def measure(server):
            # What fills caches and pools is not counted.
            self.load(server, target, *options, **{**named, "compare": 0}, seconds=0.1)
            before = server.cpu()
            found = self.load(server, target, *options, **named, seconds=self.seconds)
            used = server.cpu() - before
            return found["answers"] / found["seconds"], used / found["answers"] * 1e6, found["cpu"] / used

        return measure

    def health(self, server):
        """What tells that a server is there, and wakes it."""
        return self.asked("/health", under="top", size=len(peers.health()), connections=64, compare=0)(server)

    def whole(self, server):
        """GiB a second, and seconds of the processor for each."""
        self.load(server, "/big.bin", part="random", range=MIB, size=BIG, answers=16, compare=4)
        self.warm()
        before = server.cpu()
        found = self.load(server, "/big.bin", size=BIG, seconds=60, answers=1, compare=0)
        used = server.cpu() - before
        return BIG / GIB / found["seconds"], used / (BIG / GIB), found["cpu"] / used

    def cold(self, server):
        """GiB a second of what is not in memory; of small answers meanwhile the 99th of 100, in milliseconds, and how many a second."""
        path = self.volume / "public/cold.bin"
        drive_out(path)
        small = {}
        seconds = max(self.seconds, 1.0)
        ask = lambda: small.update(self.load(server, "/small/{}.csv", files=SMALL, size=KIB, connections=4, seconds=seconds, compare=100))
        asking = threading.Thread(target=ask)
        asking.start()
        # Not so long that it comes to the end, and to what is in memory by then.
        cold = dict(part="onward", range=4 * MIB, size=COLD, answers=COLD // (4 * MIB))
        found = self.load(server, "/cold.bin", **cold, seconds=seconds, compare=100)
        asking.join()
        return found["bytes"] / GIB / found["seconds"], small["p99"] / 1000, small["answers"] / small["seconds"]

    def slow_readers(self, server):
        """KiB of its own memory and of the kernel's that each costs."""
        own, kernel = server.memory(), kernel_memory()
        slow = dict(size=BIG, connections=SLOW, rate=64 * KIB, seconds=60, compare=0)
        client = subprocess.Popen(self.arguments(server, "/big.bin", **slow), stdout=subprocess.DEVNULL)
        found = []
        try:
            # Until neither grows any more: buffers do for many seconds.
            while len(found) < 6 or len(found) < 30 and any(now > 1.03 * before for now, before in zip(found[-1], found[-5])):
                time.sleep(0.5)
                found.append(((server.memory() - own) / SLOW, (kernel_memory() - kernel) / SLOW))
            if client.poll() is not None:
                raise subprocess.CalledProcessError(client.returncode, client.args)
            return found[-1]
        finally:
            client.kill()
            client.wait()

    def listing(self, server):
        """Milliseconds, and MB that its memory grows by meanwhile."""
        server.forget_peak()
        before = server.memory("VmRSS")
        url, output = f"http://127.0.0.1:{server.port}{server.files}/listed/", server.here / "listing"
        command = ["curl", "-sS", "-H", "Accept: application/json", "-o", output, "-w", "%{time_total}", url]
        took = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        grown = server.memory("VmHWM") - before
        entries = json.loads(output.read_text())
        assert len(entries) == LISTED and all(it["size"] == 16 and it["mtime"] for it in entries), server.name
        return float(took) * 1000, grown * KIB / 1e6

    def at_rest(self, server):
        """Milliseconds from the start of the process to its first answer, and MB of memory when it has come to rest."""
        return server.started_in * 1000, server.memory("VmRSS") * KIB / 1e6, server.memory() * KIB / 1e6


def kernel_memory():
    """KiB of all TCP buffers, of both ends and of the whole machine, whatever namespace asks."""
    for line in pathlib.Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE") / KIB
    raise RuntimeError("the kernel does not say what TCP takes")


def drive_out(path):
    """Leaves nothing of a file in memory. Pages that a server sent just now may take a moment to be free."""
    file = os.open(path, os.O_RDONLY)
    try:
        for _ in range(50):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            if not any(is_in_memory(path)):
                return
            time.sleep(0.1)
    finally:
        os.close(file)
    raise RuntimeError("the file could not be driven out of memory")


def is_in_memory(path):
    """Of some places in a file, whether they are."""
    file = os.open(path, os.O_RDONLY)
    try:
        for position in range(0, os.fstat(file).st_size, 16 * MIB):
            try:
                os.preadv(file, [bytearray(1)], position, os.RWF_NOWAIT)
                yield True
            except BlockingIOError:
                yield False
    finally:
        os.close(file)
