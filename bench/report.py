"""What came of a comparison: a table, and a plot."""

import datetime
import html
import pathlib
import platform
import statistics


def ratios(work, peer, found, which):
    """Of each round, a server's figure to nginx's."""
    of = lambda name: {it["round"]: it[which] for it in found if it["work"] == work.name and it["peer"] == name}
    nginx, ours = of("nginx"), of(peer.name)
    return [ours[it] / nginx[it] for it in ours if nginx.get(it)]


def absolute(work, found, which):
    values = [it[which] for it in found if it["work"] == work.name and it["peer"] == "nginx"]
    return statistics.median(values) if values else None


def cell(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def number(value):
    return "-" if value is None else f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def table(works, peers, found):
    others = [it for it in peers if it.name != "nginx"]
    lines = ["| work | figure | nginx | " + " | ".join(it.label for it in others) + " | aim |", "|---|---|---|" + "---|" * (len(others) + 1)]
    for work in works:
        for which, unit, bar, sign in (("gain", work.gain, work.bars[0], "≥"), ("cost", work.cost, work.bars[1], "≤")):
            cells = [cell(ratios(work, it, found, which)) for it in others]
            aim = f"{sign} {bar:.2f}" if bar else ""
            label = work.label if which == "gain" else ""
            lines.append(f"| {label} | {unit} | {number(absolute(work, found, which))} | " + " | ".join(cells) + f" | {aim} |")
    return "\n".join(lines)


def write(folder, text, works, peers, found, congestion_control):
    today = datetime.date.today().isoformat()
    head = (
        f"Measured {today} on {machine()}, {platform.release()}, network namespace with {congestion_control} and packets of 1,500 bytes, by "
        "`bench/streaming.py --write`. nginx's column is absolute, the others are ratios to it in the same round: median (least-most).\n\n"
    )
    folder.mkdir(exist_ok=True)
    (folder / "streaming.md").write_text(f"# Streaming, side by side\n\n{head}{text}\n")
    (folder / "streaming.svg").write_text(plot(works, peers, found))


def machine():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            import os

            return f"{len(os.sched_getaffinity(0))} cores of {line.split(':', 1)[1].strip()}"
    return platform.machine()


COLOURS = {"ours": "#0b6e4f", "nginx-cached": "#8d99ae", "caddy": "#c77d0a", "dufs": "#b23a48", "miniserve": "#6a4c93", "static-web-server": "#1982c4"}


def plot(works, peers, found):
    """CPU for the same work, as times nginx's: one row a work, one bar a server, on a logarithmic scale."""
    import math

    rows = [it for it in works if it.cost.startswith("CPU")]
    others = [it for it in peers if it.name != "nginx"]
    left, width, bar, gap = 300, 560, 13, 16
    low, high = 0.5, 64
    x = lambda ratio: left + width * math.log(min(max(ratio, low), high) / low) / math.log(high / low)
    height = 70 + len(rows) * (len(others) * bar + gap)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="{left}" y="20" font-size="14" font-weight="600">CPU for the same work, nginx = 1 (less is better)</text>',
    ]
    for tick in (0.5, 1, 2, 4, 8, 16, 32, 64):
        strong = ' stroke="#222"' if tick == 1 else ' stroke="#ddd"'
        out.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="34" y2="{height - 26}"{strong}/>')
        out.append(f'<text x="{x(tick):.1f}" y="{height - 10}" text-anchor="middle" fill="#555">{tick:g}</text>')
    y = 40
    for work in rows:
        out.append(f'<text x="{left - 10}" y="{y + len(others) * bar / 2 + 4}" text-anchor="end">{html.escape(work.label)}</text>')
        for peer in others:
            values = ratios(work, peer, found, "cost")
            if values:
                ratio = statistics.median(values)
                a, b = sorted((x(1), x(ratio)))
                out.append(f'<rect x="{a:.1f}" y="{y}" width="{max(b - a, 1):.1f}" height="{bar - 2}" fill="{COLOURS[peer.name]}"><title>{peer.label}</title></rect>')
                out.append(f'<text x="{max(x(ratio), x(1)) + 4:.1f}" y="{y + bar - 3}" font-size="10" fill="#333">{peer.name} {ratio:.2f}</text>')
            y += bar
        y += gap
    return "\n".join(out) + "\n</svg>\n"
