#!/usr/bin/env python3
"""Says where the time of each work goes, with nginx and with this server: which system calls, how many, and how much is the program's own.

    bench/profile.py [--seconds 3] [--only WORK,…] [--write]

Needs what `bench/streaming.py` needs, root, and `perf`. `--write` renews docs/streaming-profile.md.

A work is done twice for each server: once to count system calls, which costs next to nothing, and once with a sample taken 2,500 times a second. A sample counts for
the system call in whose course it was taken. What the kernel does by the way, above all taking in packets on loopback, counts for what it interrupted.
"""

import argparse
import collections
import datetime
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import peers
import report
import streaming
from works import BIG, GIB, Works

WORKS = ("whole", "ranges-64", "small", "medium", "unchanged", "chain")
CALLS = (
    "accept4 close epoll_ctl epoll_wait futex ioctl newfstat newfstatat openat openat2 preadv2 read readv "
    "recvfrom sendfile64 sendmsg sendto setsockopt shutdown statx write writev"
).split()
# The kernel's functions that a call enters by; which of them stacks show depends on how it was built.
ENTRY = re.compile(r"\b(?:__(?:x64|arm64|do|se)_sys_|__sys_|do_)(\w+)")
ALIASES = {"preadv": "preadv2", "sendfile": "sendfile64", "fstat": "newfstat"}
OWN, REST = "the program's own", "the kernel's, beside calls"
# Seconds that it takes perf to attach to all threads.
ATTACHES = 0.5
# What takes a smaller part of the whole is not told.
LEAST = 1 / 200

HOW = """Microseconds of the processors and, in brackets, calls; what takes less than half a per cent is left out. "Through nginx" has nginx's part and ours apart. What is
taken in from loopback counts for the call in whose course it came, so a `sendfile` or a `writev` does some of the client's work. The two servers were measured one after
the other, so what differs by a tenth may be the machine's doing; [streaming.md](streaming.md) compares them in turns."""

NEEDED = """## What it would take

**Large files and ranges.** The kernel's `sendfile` is nearly all of it, and the same for both. Beside it nginx opens the file anew; this server asks whether the part is
in memory (`preadv2`, at both ends of a range, and at the end of every 2 MiB of a file), so that nobody waits for another one's disk, looks whether the file is still the
same, and accounts for the answer. That question is the only touch of the data, which the client of the benchmark drops unseen: some microseconds, and up to a hundred
where the host of a virtual machine has taken back what nobody had touched. A network card would touch it for nginx as well. `cachestat` touches nothing, but takes what is
still being read from the disk for there, and is younger than the kernels that this runs on.

**Small answers.** What is left of the program's own is spread over some sixty functions; only copying takes more than a tenth of it. nginx with `open_file_cache` saves more
where there is no content: it does not look at the file for as long as two seconds, and tells what it was.

**Through nginx.** nginx copies each byte twice, out of the Unix socket (`recvfrom`) and into the other one (`writev`); its part alone is more than twice what it takes to send
the file itself. Larger buffers make that a little less and cost as much more memory for each client. Only a file that nginx sends by itself (`X-Accel-Redirect`) costs what
it costs without a server behind; but then nginx judges paths, and gives tags that say less. Who needs the speed lets the server listen itself.

**Memory at rest.** Half is the program's code: what the start and an answer touch, in the pieces of 64 KiB that the kernel maps at a time. The kernel may drop it at any time. To
have less, functions would have to be put in the order of their use, or transfers and compression into programs of their own."""


def profile(work, kind, works, folder):
    """For each process's name: microseconds of each call for one answer, or for one GiB, and how many calls."""
    counted = streaming.alone(kind, works.root(work), folder, lambda server: count(server, works, work))
    sampled = streaming.alone(kind, works.root(work), folder, lambda server: sample(server, works, work, folder))
    found = {}
    for name, samples in sampled.items():
        calls = collections.Counter({call: number for (who, call), number in counted.items() if who == name})
        found[name] = {call: (samples[call], calls[call]) for call in samples.keys() | calls.keys()}
    return found


def count(server, works, work):
    """Calls, by the process's name and theirs, for each answer or GiB."""
    events = ",".join(f"syscalls:sys_enter_{it}" for it in CALLS)
    commands = {pid: ["perf", "stat", "-x,", "-e", events, "-p", str(pid)] for pid in server.processes()}
    recording = {pid: subprocess.Popen(it, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for pid, it in commands.items()}
    time.sleep(ATTACHES)
    answers = done(works, work, work.measure(server))
    calls, said = collections.Counter(), ""
    for pid, perf in recording.items():
        perf.send_signal(signal.SIGINT)
        said = perf.communicate(timeout=30)[1]
        for line in said.splitlines():
            words = line.split(",")
            if len(words) > 2 and words[0].isdigit():
                calls[name_of(pid), words[2].removeprefix("syscalls:sys_enter_")] += int(words[0])
    if not calls:
        sys.exit(f"perf stat counted no system calls of {server.label}, is tracefs mounted? It said: {said.strip()}")
    return {call: number / answers for call, number in calls.items()}


def sample(server, works, work, folder):
    """Microseconds for each answer or GiB, by the process's name and what it did."""
    data = pathlib.Path(folder) / "perf.data"
    pids = server.processes()
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-F", "2500", "-g", "-o", data, "-p", ",".join(map(str, pids))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(ATTACHES)
    before = {pid: cpu(pid) for pid in pids}
    answers = done(works, work, work.measure(server))
    used = {pid: cpu(pid) - before[pid] for pid in pids}
    names = {pid: name_of(pid) for pid in pids}
    perf.send_signal(signal.SIGINT)
    perf.wait(timeout=60)
    script = subprocess.run(["perf", "script", "-i", data, "-F", "pid,ip,sym"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    stacks = collections.defaultdict(collections.Counter)
    for block in script.split("\n\n"):
        pid, *frames = block.strip().split("\n")
        if pid.strip().isdigit() and frames:
            stacks[names.get(int(pid), "?")][what_in(frames)] += 1
    found = {}
    for name, samples in stacks.items():
        micros = sum(seconds for pid, seconds in used.items() if names[pid] == name) * 1e6 / answers
        found[name] = collections.Counter({what: micros * number / samples.total() for what, number in samples.items()})
    return found


def what_in(frames):
    """What a stack, the innermost frame first, is in the course of."""
    entries = [ALIASES.get(it[1], it[1]) for it in map(ENTRY.search, frames) if it]
    calls = [it for it in entries if it in CALLS]
    if calls:
        return calls[-1]
    is_kernel = frames[0].split()[0].startswith("ffff")
    return REST if is_kernel else OWN


def done(works, work, figures):
    """Answers, or GiB, that a measurement was of: it begins with a tenth of a second that is not told of."""
    if work.figures[0].unit == "GiB/s":
        return BIG / GIB
    return figures[0] * (works.seconds + 0.1)


def cpu(pid):
    return time.clock_gettime(~pid << 3 | 2)


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def table(work, found):
    """Of one work, for all who did it."""
    unit = "GiB" if work.figures[0].unit == "GiB/s" else "answer"
    columns = [(label if len(names) == 1 else f"{label}: {name}", calls) for label, names in found for name, calls in names.items()]
    whats = sorted({it for _, calls in columns for it in calls}, key=lambda it: -max(calls.get(it, (0, 0))[0] for _, calls in columns))
    lines = [f"| µs for each {unit} | " + " | ".join(label for label, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    sums = [sum(it[0] for it in calls.values()) for _, calls in columns]
    lines.append("| all | " + " | ".join(map(report.number, sums)) + " |")
    for what in whats:
        cells = [calls.get(what, (0, 0)) for _, calls in columns]
        if all(micros < LEAST * all_micros for (micros, _), all_micros in zip(cells, sums)):
            continue
        lines.append(f"| {what if what in (OWN, REST) else f'`{what}`'} | " + " | ".join(cell(*it) for it in cells) + " |")
    return "\n".join(lines)


def cell(micros, calls):
    if not micros and not calls:
        return ""
    return report.number(micros) + (f" ({report.number(calls)})" if calls else "")


def memory(kind, works, folder):
    """Megabytes of a server at rest, by what they are of."""

    def measure(server):
        found = collections.Counter()
        for pid in server.processes():
            for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", pathlib.Path(f"/proc/{pid}/smaps").read_text()):
                head, *fields = mapping.splitlines()
                words = head.split(maxsplit=5)
                path = words[5] if len(words) > 5 else ""
                values = {it.split()[0]: int(it.split()[1]) for it in fields if it.endswith(" kB")}
                program = path == server.binary() or pathlib.Path(path).name == pathlib.Path(server.binary()).name
                shared = "the program's code" if program and "x" in words[1] else "the program's constants" if program else "libraries and other files"
                found["its own"] += values["Anonymous:"]
                found[shared] += values["Rss:"] - values["Anonymous:"]
        return {what: kib * 1024 / 1e6 for what, kib in found.items()}

    return streaming.alone(kind, works.volume, folder, measure)


def memory_table(found):
    whats = sorted({it for _, mb in found for it in mb})
    lines = ["| MB at rest | " + " | ".join(label for label, _ in found) + " |", "|---" * (len(found) + 1) + "|"]
    lines.append("| all | " + " | ".join(report.number(sum(mb.values())) for _, mb in found) + " |")
    lines += [f"| {what} | " + " | ".join(report.number(mb.get(what, 0)) for _, mb in found) + " |" for what in whats]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(WORKS), help=f"works, with commas between: {', '.join(WORKS)}")
    parser.add_argument("--client", default=str(streaming.TOP / "target/dist/load"))
    parser.add_argument("--folder", help="where to put the files: some gigabytes")
    parser.add_argument("--write", action="store_true", help="renew docs/streaming-profile.md")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("perf counts system calls for root alone: run this as root")
    if not shutil.which("perf"):
        sys.exit("there is no perf here: install linux-perf")
    peers.need(peers.Ours.path)
    streaming.inside_namespace()
    parts = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        works = Works(folder, arguments.client, arguments.seconds)
        wanted = [it for it in works.all() if it.name in arguments.only]
        streaming.say("making files")
        works.make_files({it.name for it in wanted})
        works.warm()
        for work in wanted:
            found = []
            for kind in (peers.Nginx, work.ours):
                streaming.say(f"{work.name}, {kind.name}")
                found.append((kind.label, profile(work, kind, works, folder)))
            parts.append(f"## {work.label[0].upper()}{work.label[1:]}\n\n{table(work, found)}")
        streaming.say("at rest")
        at_rest = [(it.label, memory(it, works, folder)) for it in (peers.Nginx, peers.Ours)]
        parts.append(f"## At rest\n\n{memory_table(at_rest)}")
    streaming.say("")
    text = "\n\n".join(parts)
    print(text)
    if arguments.write:
        when = f"{datetime.date.today():%d %B %Y}".lstrip("0")
        head = f"# Where the time goes\n\nMeasured on {when} with `bench/profile.py --write`, on {report.machine()}, Linux {platform.release()}.\n\n{HOW}"
        (streaming.TOP / "docs/streaming-profile.md").write_text(f"{head}\n\n{text}\n\n{NEEDED}\n")


if __name__ == "__main__":
    main()
