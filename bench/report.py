"""What came of a comparison: a table, remarks, and a plot."""

import statistics


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
    """What is not met, and what the client took."""
    found = Found(works, kinds, found)
    missed = []
    for work in works:
        for which, figure in enumerate(work.figures):
            values = found.values(work, "ours", which)
            if figure.bar is not None and values and not is_met(figure, values):
                missed.append(f"{work.label}: {figure.what} {cell(values, figure.is_absolute).split()[0]}, not {aim(figure)}")
    shares = []
    for work in works:
        of = lambda peer: [it["client"][0] for it in found.found if it["work"] == work.name and it["peer"] == peer and it["client"]]
        if of("nginx"):
            shares.append(f"{work.name} {statistics.median(of('nginx')):.2f}")
    client = f"For each second of the processor that nginx used, the client used: {', '.join(shares)}." if shares else ""
    return "\n".join(["Not met: " + ("; ".join(missed) or "nothing") + ".", client])
