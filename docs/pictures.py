#!/usr/bin/env python3
"""Takes the documents' pictures of the real programs on the example volume: the web page in Chromium as PNG, the console in a terminal as SVG.

    .ci/setup.sh; cargo build --release -p sounding -p sounding-server; target/clients/venv/bin/python docs/pictures.py

`--page` takes the web page only, and needs no more than Chromium and Python. `--programs target/debug` takes other programs.
"""

import argparse
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path
from xml.sax.saxutils import escape

TOP = Path(__file__).resolve().parent.parent
PEERS = TOP / "target/clients/wormhole-venv/bin/python"
COLUMNS, ROWS = 100, 26
WIDE, HIGH = 8.4, 18
COLOURS = {
    "default": "#d8dee9", "black": "#4c566a", "red": "#e06c75", "green": "#98c379", "brown": "#d19a66", "blue": "#61afef",
    "brightblack": "#7b8496", "brightred": "#ff7b86", "brightblue": "#7cc0ff", "8": "#7b8496",
}
GROUND = "#1e2229"
# Points of the page, and pixels to a point.
PAGE, SCALE = (760, 560), 1.5
# Two keys of the pictures: one that may read, and one that may upload too.
READER, WRITER = "imove-8Jq0vT7sYb2NcXw8ZpL5eRk3HdUmx9Qd", "kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUmTz41"


def colour(name):
    if len(name) == 6 and all(it in "0123456789abcdef" for it in name):
        return f"#{name}"
    return COLOURS.get(name, COLOURS["default"])


class Terminal:
    def __init__(self, *command, env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        import pyte

        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)

        def child():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, preexec_fn=child)
        os.close(slave)

    def press(self, keys, seconds=1.2):
        os.write(self.master, keys.encode())
        self.look(seconds)

    def look(self, seconds=1.5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.stream.feed(os.read(self.master, 1 << 16))

    def picture(self, path):
        width, height = COLUMNS * WIDE + 24, ROWS * HIGH + 24
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
            f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>',
        ]
        for y in range(ROWS):
            row = self.screen.buffer[y]
            x = 0
            while x < COLUMNS:
                cell = row[x]
                style = (cell.fg, cell.bg, cell.bold, cell.reverse)
                end = x
                while end < COLUMNS and (row[end].fg, row[end].bg, row[end].bold, row[end].reverse) == style:
                    end += 1
                text = "".join(row[it].data for it in range(x, end))
                ink, ground = colour(cell.fg), GROUND if cell.bg == "default" else colour(cell.bg)
                if cell.reverse:
                    ink, ground = ground, ink
                left, top = 12 + x * WIDE, 12 + y * HIGH
                if ground != GROUND:
                    parts.append(f'<rect x="{left:.1f}" y="{top}" width="{(end - x) * WIDE:.1f}" height="{HIGH}" fill="{ground}"/>')
                if text.strip():
                    weight = ' font-weight="bold"' if cell.bold else ""
                    length = f' textLength="{(end - x) * WIDE:.1f}" lengthAdjust="spacingAndGlyphs"'
                    parts.append(f'<text x="{left:.1f}" y="{top + 13.5}" fill="{ink}"{weight}{length} xml:space="preserve">{escape(text)}</text>')
                x = end
        path.write_text("\n".join([*parts, "</svg>", ""]))

    def end(self):
        self.process.terminate()
        self.process.wait()


def start(command):
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return server, server.stdout.readline().split("listening on ")[1].strip()


def web_page(address, path):
    """What a person sees who has opened a folder with a key that may upload."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars", f"--user-data-dir={profile}"]
            + [f"--window-size={PAGE[0]},{PAGE[1]}", f"--force-device-scale-factor={SCALE}", f"--screenshot={path}"]
            + [f"http://kmt:{WRITER}@{address.removeprefix('http://')}/files/riverton-1pct/"],
            check=True, timeout=60, stderr=subprocess.DEVNULL,
        )


def main():
    parser = argparse.ArgumentParser(description="Takes the documents' pictures.")
    parser.add_argument("--programs", type=Path, default=TOP / "target/release", help="the folder of sounding and sounding-server")
    parser.add_argument("--page", action="store_true", help="the web page only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder) / "data"
        shutil.copytree(TOP / "examples/volume", volume)
        shutil.copytree(volume / "riverton-1pct", volume / "riverton-10pct")
        (volume / ".sounding").mkdir(mode=0o700)
        (volume / ".sounding/auth-keys.csv").write_text(
            f"imove,{READER},read,,,2024-03-11,dashboards\n"
            f"kmt,{WRITER},write,riverton-1pct,2027-01-31,2026-01-20,uploads from the cluster\n"
            "mrieser,mrieser23\n# wrashid,wrashid-0Jq0vT7sYb2NcXw8ZpL5eRk3HdUmab12,,,,2024-03-11,left the group\n"
        )
        admin = Path(folder) / "admin.sock"
        command = [arguments.programs / "sounding-server", "--volume", volume, "--listen", "127.0.0.1:0", "--admin", admin]
        if arguments.page:
            server, address = start(command)
            web_page(address, TOP / "docs/web-page.png")
            server.terminate()
            server.wait()
            return
        peers = subprocess.Popen([PEERS, TOP / "wormhole/tests/clients/servers.py", "mailbox", "relay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ports = dict(peers.stdout.readline().split() for _ in range(2))
        mailbox, relay = f"ws://127.0.0.1:{ports['mailbox']}/v1", f"tcp:127.0.0.1:{ports['relay']}"
        server, address = start(command + ["--mailbox", mailbox, "--relay", relay, "--local-peers"])
        web_page(address, TOP / "docs/web-page.png")
        for path in ["output_trips.csv.gz", "dashboard-1.yaml", "modestats.csv", "missing.csv", "link_volumes.parquet"] * 8:
            subprocess.run(["curl", "-s", "-o", os.devnull, "-H", f"Authorization: {READER}", f"{address}/files/riverton-1pct/{path}"], check=True)
        env = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "SOUNDING_URL": "https://sounding.fly.dev"}
        terminal = Terminal(arguments.programs / "sounding", "--volume", str(volume), "--admin", str(admin), env=env)
        terminal.look()
        terminal.press("j\r")
        terminal.press("jj jj ", 0.5)
        terminal.press("/trips\r", 0.5)
        terminal.press("\x1b", 2)
        terminal.picture(TOP / "docs/files.svg")
        terminal.press("\x1b", 0.5)
        terminal.press("4", 2.5)
        terminal.picture(TOP / "docs/keys.svg")
        terminal.press("5", 2.5)
        terminal.picture(TOP / "docs/activity.svg")
        # A colleague sends a run whose name is taken.
        (Path(folder) / "theirs").mkdir()
        shutil.copytree(volume / "riverton-1pct", Path(folder) / "theirs/riverton-10pct")
        sender = subprocess.Popen(
            [PEERS, "-m", "wormhole", "--relay-url", mailbox, "--transit-helper", relay]
            + ["send", "--no-qr", "--hide-progress", "--code", "7-guitarist-revenge", "riverton-10pct"],
            cwd=Path(folder) / "theirs", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        time.sleep(3)
        terminal.press("2", 1)
        terminal.press("7-guitarist-revenge\r", 5)
        terminal.picture(TOP / "docs/offer.svg")
        terminal.end()
        for process in (sender, peers):
            process.kill()
            process.wait()
        server.terminate()
        server.wait()


main()
