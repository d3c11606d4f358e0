#!/usr/bin/env python3
"""Half an hour of all at once, after which the server must be as it was before.

    bench/soak.py [--minutes 30] [--server target/dist/sounding-server] [--folder DIR]

Needs `cargo build --profile dist` first, and Python 3 only. Reads whole files, ranges and listings, follows the feed, uploads by PUT and tus, edits keys, and breaks
off in the middle of much of that, beside slow readers, while files are replaced by a rename, cut short in place, and grow.

What arrives whole is compared, byte by byte: with the version that its tag stands for, and of a file that changes in place with what ever stood
there. Each minute a line says what the server holds. Status 1 if an answer was wrong; if after a quiet minute there are more file descriptors than
after the first minutes, or more than two threads more; or if in the last quarter of the time the median of its own memory is more than a tenth and 2 MiB
above that of the second quarter.
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
KEY, SOMETIMES = "soak-key-that-is-always-good", "soak-key-that-comes-and-goes"
KIB, MIB = 1 << 10, 1 << 20
BIG, NAMES, ENTRIES = 256 * MIB, 12, 2000
# The length of what a version's content repeats. A prime, so that no two ranges of it are alike.
PERIOD = 65_521


class Wrong(Exception):
    """The server did what it must not."""


class Broken(Exception):
    """An answer that ended before it was whole."""


def content(name, version, start, end):
    """Bytes of a version of a file."""
    shift, count = start % PERIOD, end - start
    return (period(name, version) * ((shift + count) // PERIOD + 1))[shift : shift + count]


def period(name, version, kept=collections.OrderedDict()):
    if (name, version) not in kept:
        kept[name, version] = hashlib.shake_128(f"{name} {version}".encode()).digest(PERIOD)
        if len(kept) > 500:
            kept.popitem(last=False)
    return kept[name, version]


def size_of(name, version):
    return random.Random(f"{name} {version}").choice([1, 1000, 64 * KIB, 300_000, MIB, 4 * MIB]) + version % 7


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body


class Line:
    """A connection, opened anew where there is none."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, method, target, body=b"", key=KEY, **fields):
        """The whole answer."""
        await self.send(method, target, body, key, **fields)
        return await self.answer(method)

    async def send(self, method, target, body=b"", key=KEY, length=None, **fields):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=MIB)
        head = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body) if length is None else length}"]
        head += [f"Authorization: {key}"] if key else []
        head += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await self.writer.drain()

    async def head(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(it.split(": ", 1) for it in lines[1:] if it)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in fields.items()}

    async def answer(self, method):
        try:
            status, fields = await self.head()
            body = b"" if method == "HEAD" or status in (204, 304) else await self.body(fields)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.close()
            raise Broken(repr(error)) from error
        if fields.get("connection") == "close":
            self.close()
        return Answer(status, fields, body)

    async def body(self, fields):
        if "content-length" in fields:
            return await self.reader.readexactly(int(fields["content-length"]))
        parts = []
        while True:
            length = int(await self.reader.readuntil(b"\r\n"), 16)
            parts.append((await self.reader.readexactly(length + 2))[:-2])
            if length == 0:
                return b"".join(parts)

    def close(self, rudely=False):
        if self.writer is None:
            return
        if rudely:
            # A reset instead of an orderly end.
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort() if rudely else self.writer.close()
        self.reader = self.writer = None


class Soak:
    def __init__(self, port, root):
        self.port, self.root = port, pathlib.Path(root)
        self.counts = collections.Counter()
        self.wrong = []
        # By file: the version that is there, and the one before.
        self.versions = {f"replaced/{it}.bin": 0 for it in range(NAMES)}
        # What each tag stands for.
        self.tags = {}
        self.in_place = {f"in-place/{it}.bin": 0 for it in range(4)}
        self.writes = 0
        for folder in ("replaced", "in-place", "put", "listed"):
            (self.root / folder).mkdir()
        (self.root / "big.bin").write_bytes(content("big.bin", 0, 0, BIG))
        (self.root / "text.csv").write_bytes(b"time;link;vehicles\n" * 20_000)
        for number in range(ENTRIES):
            (self.root / f"listed/link {number}.csv").write_bytes(b"x" * (number % 50))
        for name in self.versions:
            self.replace(name)
        for name in self.in_place:
            (self.root / name).write_bytes(content(name, 0, 0, MIB))

    # What happens to files meanwhile, by other programs.

    def replace(self, name):
        version = self.versions[name] + 1
        beside = self.root / f"{name}.part"
        beside.write_bytes(content(name, version, 0, size_of(name, version)))
        # A reader may see it before this returns.
        self.versions[name] = version
        beside.rename(self.root / name)

    async def replaces(self):
        self.replace(random.choice(list(self.versions)))

    async def cuts_and_grows(self):
        name = random.choice(list(self.in_place))
        with open(self.root / name, "r+b") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            if random.random() < 0.5:
                file.truncate(random.choice([0, size // 2, size * 9 // 10, max(size - 1, 0)]))
            elif size < 24 * MIB:
                file.write(content(name, 0, size, size + random.choice([1, 10_000, 2 * MIB, 6 * MIB])))

    # What clients do.

    def check(self, is_right, what):
        if not is_right:
            raise Wrong(what)

    def check_version(self, name, answer, start):
        """That the bytes are of the version that their tag stands for."""
        tag = answer.fields["etag"]
        if (name, tag) not in self.tags:
            # Whichever it is, of those that were there since the request.
            near = range(max(self.versions[name] - 20, 1), self.versions[name] + 1)
            fits = [it for it in near if content(name, it, start, start + min(len(answer.body), 64)) == answer.body[:64]]
            self.check(len(fits) == 1 or len(answer.body) < 8, f"{name} from {start}: bytes of no version")
            if len(fits) != 1:
                return None
            self.tags[name, tag] = fits[0]
        version = self.tags[name, tag]
        expected = content(name, version, start, start + len(answer.body))
        self.check(answer.body == expected, f"{name} from {start}, tag {tag}: not as version {version}")
        return version

    async def reads_whole(self, line):
        name = random.choice(list(self.versions))
        answer = await line.ask("GET", f"/files/{name}")
        self.check(answer.status == 200, f"{name}: {answer.status}")
        version = self.check_version(name, answer, 0)
        self.check(version is None or len(answer.body) == size_of(name, version), f"{name}: the length of another version")

    async def reads_ranges(self, line):
        if random.random() < 0.5:
            start = random.randrange(BIG)
            answer = await line.ask("GET", "/files/big.bin", Range=f"bytes={start}-{start + random.choice([0, 1000, MIB])}")
            self.check(answer.status == 206, f"a range: {answer.status}")
            self.check(answer.body == content("big.bin", 0, start, start + len(answer.body)), f"big.bin from {start} differs")
            return
        name, start = random.choice(list(self.versions)), random.choice([0, 999, 50_000, 2 * MIB])
        answer = await line.ask("GET", f"/files/{name}", Range=f"bytes={start}-{start + 300_000}")
        self.check(answer.status in (206, 416), f"a range of {name}: {answer.status}")
        if answer.status == 206:
            self.check_version(name, answer, start)

    async def reads_what_changes(self, line):
        name, start = random.choice(list(self.in_place)), random.choice([0, 0, 12_345])
        fields = {"Range": f"bytes={start}-"} if start else {}
        try:
            answer = await line.ask("GET", f"/files/{name}", **fields)
        except Broken:
            self.counts["ended by a cut"] += 1
            return
        self.check(answer.status in (200, 206, 416), f"{name}: {answer.status}")
        if answer.status != 416:
            self.check(answer.body == content(name, 0, start, start + len(answer.body)), f"{name} from {start}: bytes that never stood there")

    async def revalidates(self, line):
        name = random.choice(list(self.versions))
        answer = await line.ask("HEAD", f"/files/{name}")
        again = await line.ask("GET", f"/files/{name}", If_None_Match=answer.fields["etag"])
        self.check(again.status == 304 or again.fields["etag"] != answer.fields["etag"], f"{name}: sent again, with the tag that was known")
        text = await line.ask("GET", "/files/text.csv", Accept_Encoding="gzip")
        self.check(gzip.decompress(text.body) == (self.root / "text.csv").read_bytes(), "a coded file differs")

    async def lists(self, line):
        answer = await line.ask("GET", "/files/replaced/?format=json")
        names = {it["name"] for it in json.loads(answer.body)}
        self.check(all(it.split("/")[1] in names for it in self.versions), "a listing lacks a file that was replaced")
        answer = await line.ask("GET", "/files/listed/?format=json")
        self.check(len(json.loads(answer.body)) == ENTRIES, "a listing of another length")
        self.check((await line.ask("GET", "/files/listed/", Accept="text/html")).body.endswith(b"</html>\n"), "half a page")

    async def breaks_off(self, line):
        line.close()
        target = random.choice(["/files/big.bin", "/files/listed/", "/files/listed/?format=json", "/files/replaced/1.bin", "/events"])
        await line.send("GET", target, Accept_Encoding=random.choice(["gzip", "identity"]))
        if random.random() < 0.8:
            await line.reader.read(random.choice([1, 1000, 100_000, 3 * MIB]))
        line.close(rudely=random.random() < 0.5)

    async def reads_slowly(self, line):
        """Some seconds of 64 KiB a second."""
        line.close()
        await line.send("GET", "/files/big.bin")
        status, _ = await line.head()
        self.check(status == 200, f"a slow reader: {status}")
        at = 0
        for _ in range(random.randrange(20, 200)):
            part = await line.reader.readexactly(6400)
            self.check(part == content("big.bin", 0, at, at + len(part)), f"big.bin at {at} differs for a slow reader")
            at += len(part)
            await asyncio.sleep(0.1)
        line.close(rudely=random.random() < 0.5)

    async def uploads(self, line):
        self.writes += 1
        name, version = f"put/{self.writes % 50}-{id(line) % 1000}.bin", self.writes
        size = size_of(name, version)
        if random.random() < 0.3:
            before = await line.ask("HEAD", f"/files/{name}")
            await line.send("PUT", f"/files/{name}", content(name, version, 0, size // 2), length=size + 1)
            line.close(rudely=random.random() < 0.5)
            after = await line.ask("HEAD", f"/files/{name}")
            self.check((before.status, before.fields.get("etag")) == (after.status, after.fields.get("etag")), f"{name}: half an upload is seen")
            return
        body = content(name, version, 0, size)
        if random.random() < 0.5:
            put = await line.ask("PUT", f"/files/{name}", body)
            self.check(put.status in (200, 201, 204), f"PUT {name}: {put.status} {put.body[:200]}")
        else:
            await self.uploads_by_tus(line, name, body)
        answer = await line.ask("GET", f"/files/{name}")
        self.check(answer.body == body, f"{name}: not what was uploaded")
        if random.random() < 0.2:
            gone = await line.ask("DELETE", f"/files/{name}")
            self.check(gone.status in (200, 204), f"DELETE {name}: {gone.status}")

    async def uploads_by_tus(self, line, name, body):
        folder, file = name.split("/")
        metadata = f"filename {base64.b64encode(file.encode()).decode()},exists {base64.b64encode(b'replace').decode()}"
        made = await line.ask("POST", f"/uploads?into={folder}", Tus_Resumable="1.0.0", Upload_Length=len(body), Upload_Metadata=metadata)
        self.check(made.status == 201, f"an upload: {made.status} {made.body[:200]}")
        place = "/uploads" + made.fields["location"].split("/uploads", 1)[1]
        half = len(body) // 2
        for start, end in ((0, half), (half, len(body))):
            fields = dict(Tus_Resumable="1.0.0", Upload_Offset=start, Content_Type="application/offset+octet-stream")
            part = await line.ask("PATCH", place, body[start:end], **fields)
            self.check(part.status == 204, f"a part of an upload: {part.status} {part.body[:200]}")

    async def edits_keys(self, line):
        """An edit counts from the next request on."""
        is_good = random.random() < 0.7
        write_keys(self.root, KEY, *([SOMETIMES] if is_good else []))
        answer = await line.ask("GET", "/files/replaced/0.bin", key=SOMETIMES)
        self.check((answer.status == 200) == is_good, f"a key that is {'good' if is_good else 'gone'}: {answer.status}")
        await asyncio.sleep(2)

    async def follows(self, line):
        cursor = json.loads((await line.ask("GET", "/changes")).body)["cursor"]
        answer = await line.ask("GET", f"/changes?since={cursor}&wait=5")
        self.check(answer.status == 200, f"the feed: {answer.status}")

    async def forever(self, what, pause):
        """Does it again and again, until it is cancelled."""
        line = Line(self.port)
        takes_line = what.__code__.co_argcount > 1
        try:
            while True:
                try:
                    await (what(line) if takes_line else what())
                    self.counts[what.__name__] += 1
                except (Wrong, Broken, asyncio.IncompleteReadError, OSError, ValueError, KeyError) as error:
                    self.wrong.append(f"{what.__name__}: {error!r}")
                    print(self.wrong[-1], file=sys.stderr)
                    line.close()
                if random.random() < 0.02:
                    line.close()
                await asyncio.sleep(random.uniform(0, 2 * pause))
        finally:
            line.close(rudely=True)

    async def load(self, seconds, sample):
        """All of it at once. What is held meanwhile."""
        work = [(self.reads_slowly, 50, 0.1), (self.reads_whole, 4, 0.01), (self.reads_ranges, 4, 0.01), (self.reads_what_changes, 4, 0.01)]
        work += [(self.revalidates, 1, 0.05), (self.lists, 2, 0.1), (self.breaks_off, 4, 0.03), (self.uploads, 2, 0.1), (self.edits_keys, 1, 0)]
        work += [(self.follows, 2, 0.1), (self.replaces, 1, 0.03), (self.cuts_and_grows, 1, 0.03)]
        tasks = [asyncio.create_task(self.forever(what, pause)) for what, count, pause in work for _ in range(count)]
        held, until, next_line = [], time.monotonic() + seconds, time.monotonic() + 60
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(5, left))
            is_shown = time.monotonic() > min(next_line, until)
            next_line += 60 if is_shown else 0
            held.append(sample("under load", is_shown))
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return held


def write_keys(root, *keys):
    folder = root / ".sounding"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "auth-keys.new").write_text("".join(f"soak,{it},write\n" for it in keys))
    (folder / "auth-keys.new").rename(folder / "auth-keys.csv")


class Holds:
    """What a process holds at a moment."""

    def __init__(self, pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(it.split(":", 1) for it in lines)
        self.files = len(os.listdir(f"/proc/{pid}/fd"))
        self.threads = int(status["Threads"])
        self.memory = int(status["RssAnon"].split()[0]) / 1024

    def __str__(self):
        return f"{self.files:5} file descriptors  {self.threads:3} threads  {self.memory:7.1f} MiB of its own"


async def soak(process, port, root, minutes):
    began = time.monotonic()

    def sample(when, is_shown=True):
        holds = Holds(process.pid)
        if not is_shown:
            return holds
        minutes = (time.monotonic() - began) / 60
        print(f"{minutes:5.1f} min  {when:12} {holds}  {soak.counts.total():8,} done  {len(soak.wrong)} wrong", flush=True)
        return holds

    soak = Soak(port, root)
    sample("at first")
    # What is made once and kept is made now: pools, caches, the allocator's arenas.
    await soak.load(min(180, minutes * 60 / 4), sample)
    await asyncio.sleep(30)
    before = sample("quiet")
    held = await soak.load(minutes * 60, sample)
    await asyncio.sleep(60)
    after = sample("quiet")
    print(", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(soak.counts.items())))
    second, _, last = (statistics.median(it.memory for it in held[len(held) * part // 4 : len(held) * (part + 1) // 4]) for part in (1, 2, 3))
    print(f"its own memory: {second:.1f} MiB in the second quarter of the time, {last:.1f} MiB in the last")
    for name, is_more in (
        ("file descriptors", after.files > before.files),
        ("threads", after.threads > before.threads + 2),
        ("memory", last > second * 1.1 + 2),
    ):
        if is_more:
            soak.wrong.append(f"more {name} than before")
            print(soak.wrong[-1], file=sys.stderr)
    return not soak.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--server", default=TOP / "target/dist/sounding-server")
    parser.add_argument("--folder", help="where to put the volume: a gigabyte")
    options = parser.parse_args()
    # So that nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        write_keys(pathlib.Path(root), KEY)
        process = subprocess.Popen(
            [options.server, "--volume", root, "--listen", "127.0.0.1:0", "--admin", f"{root}/.sounding/admin.sock"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            is_well = asyncio.run(soak(process, port, root, options.minutes))
            print("as it was before" if is_well else "not well")
            sys.exit(0 if is_well else 1)
        finally:
            process.terminate()
            process.wait(timeout=60)


if __name__ == "__main__":
    main()
