"""What came of a comparison: a table, remarks, and a plot."""

import datetime
import html
import math
import os
import pathlib
import platform
import statistics
import textwrap


class Found:
    """The figures of all rounds."""

    def __init__(self, works, kinds, found):
        self.works, self.kinds, self.found = works, kinds, found

    def of(self, work, peer, which):
        """By round."""
        return {it["round"]: it["figures"][which] for it in self.found if it["work"] == work.name and it["peer"] == peer}

    def ratios(self, work, peer, which):
        """To nginx's of the same round."""
        nginx = self.of(work, "nginx", which)
        return [value / nginx[round] for round, value in self.of(work, peer, which).items() if nginx.get(round)]

    def values(self, work, peer, which):
        """As they are held against the bar."""
        if work.figures[which].is_absolute:
            return list(self.of(work, peer, which).values())
        return self.ratios(work, peer, which)


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value >= 100 else f"{value:#.3g}"


def cell(values, is_absolute):
    if not values:
        return "–"
    show = number if is_absolute else lambda it: f"{it:.2f}"
    return f"{show(statistics.median(values))} ({show(min(values))}–{show(max(values))})"


def aim(figure):
    if figure.bar is None:
        return ""
    return f"{'≥' if figure.more_is_better else '≤'} {figure.bar:g}{' ' + figure.unit.split()[0] if figure.is_absolute else ''}"


def is_met(figure, values):
    median = statistics.median(values)
    return median >= figure.bar if figure.more_is_better else median <= figure.bar


def table(works, kinds, found):
    found = Found(works, kinds, found)
    others = [it for it in kinds if it.name != "nginx"]
    lines = ["| work | figure | aim | nginx | " + " | ".join(it.label for it in others) + " |", "|---" * (len(others) + 4) + "|"]
    for work in works:
        for which, figure in enumerate(work.figures):
            nginx = list(found.of(work, "nginx", which).values())
            first = number(statistics.median(nginx)) if nginx else "–"
            cells = [cell(found.values(work, it.name, which), figure.is_absolute) for it in others]
            label = work.label if which == 0 else ""
            lines.append(f"| {label} | {figure.what}, {figure.unit} | {aim(figure)} | {first} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def remarks(works, kinds, found):
    """What is not met, in a line; and what the client took."""
    found = Found(works, kinds, found)
    missed = []
    for work in works:
        figures = []
        for which, figure in enumerate(work.figures):
            values = found.values(work, "ours", which)
            if figure.bar is not None and values and not is_met(figure, values):
                figures.append(f"{figure.what} {cell(values, figure.is_absolute).split()[0]} (aim: {aim(figure)})")
        if figures:
            missed.append(f"{work.label}: {', '.join(figures)}")
    shares = []
    for work in works:
        of_nginx = [it["client"][0] for it in found.found if it["work"] == work.name and it["peer"] == "nginx" and it["client"]]
        if of_nginx:
            shares.append(f"{statistics.median(of_nginx):.2f} ({work.name})")
    text = f"Not reached: {'; '.join(missed)}." if missed else "All that was aimed at is reached."
    client = f"\n\nFor each second of the processor that nginx took, the client took {', '.join(shares)}." if shares else ""
    return text + client



README_BEGIN, README_END = "<!-- bench/streaming.py --write: from here -->", "<!-- to here -->"

HOW = """## How it was measured

- **Ratios.** nginx's figures are absolute. Those of the others are divided by nginx's figure of the same round: median (least–most). If an aim has a unit, all figures of
  the row are absolute.
- **CPU** is that of all threads of the server. The client, which drops what it gets, uses the same processors.
- **What differs.** Only sounding-server checks a key, writes a log, and knows each version of a file by a tag of its own. nginx with `open_file_cache` may answer for two
  seconds with what a file was before.
- **Memory of a slow reader** is the process's own (`RssAnon`), as at rest. The kernel's is what `/proc/net/sockstat` reports for TCP on the whole machine: it counts both ends of
  a connection, and the client's end is about a quarter. Servers other than nginx and sounding-server had one round of it only, since buffers grow for many seconds. The
  slower ones also had only one round of the 4 GiB.
- **Memory at rest** is all that is resident. For nginx that is three processes, and what they share counts in each.
- **"Through nginx"** is nginx with the container's `nginx.conf` in front of sounding-server, both together, beside an nginx that serves the file itself.
- **`/health`** is compared with a fixed answer of nginx (`return 200`).
- **Cache.** All of the 4 GiB are read into memory before each measurement of the whole file and of the ranges."""


def write(top, works, kinds, found, packets, control):
    """Renews the table, the plot, and what the README says of them."""
    rounds = 1 + max(it["round"] for it in found)
    when = f"{datetime.date.today():%d %B %Y}".lstrip("0")
    where = f"{machine()}, Linux {platform.release()}"
    network = f"over loopback with packets of {packets:,} bytes and `{control}`"
    programs = ", ".join(f"{it.name if it.name != 'ours' else it.label} {it.version()}" for it in kinds if it.name != "nginx-cached")
    (top / "docs/streaming.md").write_text(
        f"# Streaming, side by side\n\nMeasured on {when} with `bench/streaming.py --write`, {rounds} rounds, on {where}, {network}.\n\n"
        f"{programs}.\n\n![How this server compares with others](streaming.svg)\n\n"
        f"{table(works, kinds, found)}\n\n{remarks(works, kinds, found)}\n\n"
        f"[streaming-profile.md](streaming-profile.md) says where the time goes, and what it would take to reach the rest.\n\n{HOW}\n"
    )
    (top / "docs/streaming.svg").write_text(plot(works, kinds, found))
    readme = (top / "README.md").read_text()
    before, rest = readme.split(README_BEGIN)
    _, after = rest.split(README_END)
    text = textwrap.fill(
        f"Measured on {when}, {rounds} rounds in turns, on {where}. "
        "[docs/streaming.md](docs/streaming.md) has the figures, how they were measured, and which aims are not reached.",
        width=150,
        break_long_words=False,
        break_on_hyphens=False,
    )
    picture = "![How fast files are streamed, beside other servers](docs/streaming.svg)"
    (top / "README.md").write_text(f"{before}{README_BEGIN}\n{picture}\n\n{text}\n{README_END}{after}")


def machine():
    cores = len(os.sched_getaffinity(0))
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{cores} cores of {line.split(':', 1)[1].strip()}"
    return f"{cores} cores, {platform.machine()}"


COLOURS = {
    "nginx-cached": "#7f8c9b",
    "caddy": "#d98c10",
    "dufs": "#d1495b",
    "miniserve": "#9b6dd0",
    "static-web-server": "#3d8fd1",
    "ours": "#12936a",
}
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .soft { fill: #6e7781 } .end { text-anchor: end } .middle { text-anchor: middle }
.ground { fill: #ffffff } .line { stroke: #d8dee4 } .one { stroke: #57606a; stroke-width: 1.5 } .aim { stroke: #57606a; stroke-width: 2 }
.ours { fill: #12936a; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft { fill: #8b949e } .ground { fill: #0d1117 } .line { stroke: #30363d } .one, .aim { stroke: #9aa4af } .ours { fill: #3fcf9c }
}
"""
LABELS, PANEL, FIGURE, ROW, TOP_LINE = 320, 250, 56, 24, 78


def plot(works, kinds, found):
    """A dot a server, a row a figure, all divided by nginx's, on a logarithmic scale; the short strokes are what is aimed at."""
    found = Found(works, kinds, found)
    others = sorted((it for it in kinds if it.name in COLOURS), key=lambda it: list(COLOURS).index(it.name))
    rated = [it for it in works if it.figures[0].more_is_better]
    rest = [(it, which) for it in works for which, figure in enumerate(it.figures) if not figure.more_is_better and figure.what != "CPU"]
    parts = []
    x = LABELS
    for title, which in (("Answers, or bytes, a second  →", 0), ("←  CPU for each", 1)):
        rows = [(it.label, it, which if it.figures[which].what == "CPU" or which == 0 else None) for it in rated]
        parts += panel(found, others, title, rows, x, TOP_LINE)
        x += PANEL + FIGURE + 20
    parts += [text(LABELS - 12, TOP_LINE + ROW * (index + 1) + 1, it.label, "end") for index, it in enumerate(rated)]
    second = TOP_LINE + ROW * (len(rated) + 3.5)
    rows = [(it.figures[which].alone, it, which) for it, which in rest]
    parts += panel(found, others, "←  Memory, and waiting", rows, LABELS, second)
    parts += [text(LABELS - 12, second + ROW * (index + 1) + 1, label, "end") for index, (label, _, _) in enumerate(rows)]
    width, height = x, second + ROW * (len(rows) + 2)
    notes = ("An arrow points to the better side.", "A stroke across a row is what is aimed at.", "A line goes from the least to the most of the", "rounds, the dot stands at their median.")
    parts += [text(LABELS + PANEL + FIGURE + 44, second + ROW * (index + 1) + 1, it, "soft") for index, it in enumerate(notes)]
    legend, at = [], LABELS + 8
    for it in reversed(others):
        legend += [dot(at, 27, it.name), text(at + 10, 31, it.label, "ours" if it.name == "ours" else "")]
        at += 26 + (7.6 if it.name == "ours" else 6.5) * len(it.label)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="How this server compares with others">'
    ground = '<rect width="100%" height="100%" class="ground"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, text(LABELS - 12, 31, "nginx with sendfile = 1", "title end"), *legend, *parts, "</svg>"]) + "\n"


def panel(found, others, title, rows, left, top):
    medians = {}
    for index, (_, work, which) in enumerate(rows):
        for it in others:
            ratios = found.ratios(work, it.name, which) if which is not None else []
            # A ratio to nothing, or of nothing, has no place here.
            if ratios and min(ratios) > 0:
                medians[index, it.name] = ratios
    shown = [statistics.median(it) for it in medians.values()] or [1]
    low, high = math.floor(math.log2(min(shown) * 0.9)), math.ceil(math.log2(max(shown) * 1.1))
    x = lambda ratio: left + PANEL * (min(max(math.log2(ratio), low), high) - low) / (high - low)
    bottom = top + ROW * (len(rows) + 0.5)
    parts = [text(left, top - 8, title, "title")]
    step = 1 if high - low <= 7 else 2
    for power in range(low, high + 1):
        parts.append(f'<line x1="{x(2**power):.1f}" x2="{x(2**power):.1f}" y1="{top}" y2="{bottom}" class="{"line" if power else "one"}"/>')
        if power % step == 0:
            parts.append(text(x(2**power), bottom + 15, f"{2**power}" if power >= 0 else f"1/{2**-power}", "soft middle"))
    for index, (_, work, which) in enumerate(rows):
        y = top + ROW * (index + 1) - 3
        if which is None:
            continue
        figure = work.figures[which]
        nginx = found.of(work, "nginx", which).values()
        if figure.bar and nginx:
            aim = x(figure.bar / (statistics.median(nginx) if figure.is_absolute else 1))
            parts.append(f'<line x1="{aim:.1f}" x2="{aim:.1f}" y1="{y - 8}" y2="{y + 8}" class="aim"/>')
        for it in others:
            if (index, it.name) in medians:
                ratios = medians[index, it.name]
                if it.name == "ours":
                    parts.append(f'<line x1="{x(min(ratios)):.1f}" x2="{x(max(ratios)):.1f}" y1="{y}" y2="{y}" stroke="{COLOURS["ours"]}" stroke-width="2"/>')
                    median = statistics.median(found.values(work, it.name, which))
                    value = f"{number(median)} {figure.unit.split()[0]}" if figure.is_absolute else f"{median:.2f}"
                    parts.append(text(left + PANEL + 12, y + 4, value, "ours"))
                parts.append(dot(x(statistics.median(ratios)), y, it.name, f"{it.label}: {statistics.median(ratios):.2f}"))
    return parts


def dot(x, y, name, title=""):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if name == "ours" else 4.5}" fill="{COLOURS[name]}"><title>{title}</title></circle>'


def text(x, y, words, classes=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{html.escape(words)}</text>'
