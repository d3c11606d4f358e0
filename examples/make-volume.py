#!/usr/bin/env python3
"""Writes `volume/`, a small, invented but believable data volume to try things out with.

    python3 -m venv venv
    venv/bin/pip install pyarrow
    venv/bin/python make-volume.py            # into volume/ beside this script
    venv/bin/python make-volume.py --out DIR  # or elsewhere

It holds one finished MATSim-style run of a town that does not exist, Riverton: people live, work and
shop there, their car trips are routed over its streets, and tables, maps and charts are all drawn
from these same trips, so that the files agree with each other.

The seed is fixed, every choice comes from it, and no date or machine goes into any file: two runs
with the same Python and pyarrow write the same bytes. (Other versions may compress differently.)
Files are overwritten in place; nothing else in the output folder is touched.

The script and all that it writes: CC0 1.0.
"""

import argparse
import gzip
import heapq
import io
import json
import math
import random
import struct
import unicodedata
import zlib
from collections import namedtuple
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SEED = "riverton-4711"
RUN = "riverton-1pct"
SAMPLE = 100  # one simulated person stands for this many: a 1 % sample
TRIPS_WANTED = 5_000
LAST_ITERATION = 100
INNOVATION_ENDS = 80  # from here on nobody tries anything new, as in most MATSim runs
MODES = ["bike", "car", "pt", "ride", "walk"]

# The town's origin in EPSG:25832 (UTM 32N), in which the run's coordinates are, as MATSim likes it.
ORIGIN_X, ORIGIN_Y = 324_000.0, 5_628_000.0
COLUMNS, ROWS, SPACING = 12, 10, 650.0
RIVER_ROW = 4  # the river flows between this row of crossings and the next
BRIDGES = (1, 3, 5, 6, 8, 9)  # columns where a street crosses it, besides the ring road
CROSSING = 12  # seconds lost at each crossing


def dice(part):
    """A random generator of its own for each part, so that a change in one leaves the others alone."""
    return random.Random(f"{SEED}/{part}")


# ---------------------------------------------------------------------------------------------------
# Coordinates


def to_lon_lat(x, y):
    """UTM zone 32N on GRS80 to longitude and latitude (Krüger's series; good to a millimetre)."""
    a, f, k0, lon0 = 6_378_137.0, 1 / 298.257222101, 0.9996, math.radians(9)
    n = f / (2 - f)
    radius = a / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    beta = (
        n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96,
        n**2 / 48 + n**3 / 15,
        17 * n**3 / 480,
    )
    delta = (
        2 * n - 2 * n**2 / 3 - 2 * n**3,
        7 * n**2 / 3 - 8 * n**3 / 5,
        56 * n**3 / 15,
    )
    xi0, eta0 = y / (k0 * radius), (x - 500_000) / (k0 * radius)
    xi, eta = xi0, eta0
    for j, b in enumerate(beta, 1):
        xi -= b * math.sin(2 * j * xi0) * math.cosh(2 * j * eta0)
        eta -= b * math.cos(2 * j * xi0) * math.sinh(2 * j * eta0)
    chi = math.asin(math.sin(xi) / math.cosh(eta))
    lat = chi + sum(d * math.sin(2 * j * chi) for j, d in enumerate(delta, 1))
    lon = lon0 + math.atan2(math.sinh(eta), math.cos(xi))
    return round(math.degrees(lon), 6), round(math.degrees(lat), 6)


def distance(a, b):
    return math.hypot(b[0] - a[0], b[1] - a[1])


def hms(seconds):
    seconds = int(round(seconds))
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


# ---------------------------------------------------------------------------------------------------
# The streets

# name: lanes, capacity per lane and hour, free speed in km/h
STREETS = {
    "trunk": (2, 1_800, 80),
    "primary": (2, 1_500, 50),
    "secondary": (1, 1_000, 50),
    "residential": (1, 800, 35),
}

Link = namedtuple("Link", "id start end kind lanes capacity freespeed length shape")


def make_network():
    """The crossings, as a list of x and y, and the links between them, one for each direction."""
    rnd = dice("network")
    nodes = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            x = column * SPACING + rnd.gauss(0, 55)
            y = row * SPACING + rnd.gauss(0, 55)
            y += 330 * math.sin(x / 1_500)  # the streets follow the river's bends
            y += 260 if row > RIVER_ROW else 0  # and leave it some room
            nodes.append((ORIGIN_X + x, ORIGIN_Y + y))

    def kind(a, b):
        (row_a, column_a), (row_b, _) = divmod(a, COLUMNS), divmod(b, COLUMNS)
        along = row_a == row_b
        if along and row_a in (0, ROWS - 1) or not along and column_a in (0, COLUMNS - 1):
            return "trunk"  # the ring road
        if along and row_a in (RIVER_ROW, RIVER_ROW + 1) or not along and column_a in (5, 6):
            return "primary"  # the embankments, and the streets over the two old bridges
        if along and row_a in (2, 7) or not along and column_a in (1, 3, 9):
            return "secondary"
        return "residential"

    links = []

    def connect(a, b):
        street = kind(a, b)
        lanes, per_lane, speed = STREETS[street]
        bulge = rnd.gauss(0, 0.035)
        (xa, ya), (xb, yb) = nodes[a], nodes[b]
        bend = [
            (xa + t * (xb - xa) - h * (yb - ya), ya + t * (yb - ya) + h * (xb - xa))
            for t, h in ((0.3, 0.84 * bulge), (0.7, 0.84 * bulge))
        ]
        shape = [nodes[a], *bend, nodes[b]]
        length = sum(distance(p, q) for p, q in zip(shape, shape[1:]))
        for start, end, way in ((a, b, shape), (b, a, shape[::-1])):
            name = f"{len(links) + 1:04d}"
            links.append(
                Link(f"rv{name}", start, end, street, lanes, lanes * per_lane, speed / 3.6, length, way)
            )

    for row in range(ROWS):
        for column in range(COLUMNS):
            here = row * COLUMNS + column
            if column + 1 < COLUMNS:
                connect(here, here + 1)
            if row + 1 < ROWS and (row != RIVER_ROW or column in (0, COLUMNS - 1) or column in BRIDGES):
                connect(here, here + COLUMNS)
    return nodes, links


def fastest_ways(nodes, links, rnd):
    """For each crossing, the link by which the fastest way from it enters each other crossing."""
    taste = [rnd.lognormvariate(0, 0.22) for _ in links]  # people differ in what they take for fast
    leaving = [[] for _ in nodes]
    for number, link in enumerate(links):
        leaving[link.start].append(number)
    trees = []
    for source in range(len(nodes)):
        entered_by, cost = [None] * len(nodes), [math.inf] * len(nodes)
        cost[source] = 0.0
        queue = [(0.0, source)]
        while queue:
            so_far, node = heapq.heappop(queue)
            if so_far > cost[node]:
                continue
            for number in leaving[node]:
                link = links[number]
                there = so_far + taste[number] * (link.length / link.freespeed + CROSSING)
                if there < cost[link.end]:
                    cost[link.end] = there
                    entered_by[link.end] = number
                    heapq.heappush(queue, (there, link.end))
        trees.append(entered_by)
    return trees


def route(trees, links, start, end):
    """The links from one crossing to another, by number."""
    way = []
    while end != start:
        number = trees[start][end]
        way.append(number)
        end = links[number].start
    return way[::-1]


def geojson(features):
    """One feature a line: small, and kind to `git diff`."""
    lines = ",\n".join(json.dumps(f, separators=(",", ":")) for f in features)
    return '{"type":"FeatureCollection","features":[\n' + lines + "\n]}\n"


def link_feature(link, properties):
    line = [list(to_lon_lat(*point)) for point in link.shape]
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "LineString", "coordinates": line},
    }


# ---------------------------------------------------------------------------------------------------
# The people and their trips

Place = namedtuple("Place", "id kind x y node link")
Trip = namedtuple("Trip", "person number departure duration wait length mode start end way")

DAYS = [  # how often, and what a day looks like; `home` stands at both ends of each
    (30, ("work",)),
    (12, ("work", "shopping")),
    (12, ("work", "home", "leisure")),
    (8, ("work", "leisure")),
    (10, ("education",)),
    (7, ("education", "home", "leisure")),
    (9, ("shopping", "home", "leisure")),
    (6, ("leisure", "shopping")),
    (6, ("errands", "home", "shopping", "home", "leisure")),
]
STAY = {"work": 8.2, "education": 5.8, "shopping": 0.7, "leisure": 2.1, "errands": 0.8, "home": 1.6}
LEAVES_HOME_AT = {"work": 7.6, "education": 7.4, "shopping": 10.3, "leisure": 13.5, "errands": 9.6}


def make_places(nodes, links):
    """Where things can be done, and a function that makes homes."""
    rnd = dice("places")
    leaving = {link.start: link.id for link in reversed(links)}
    middle = nodes[(ROWS // 2) * COLUMNS + COLUMNS // 2]

    def near(rnd, name, kind, centre, spread):
        while True:
            x, y = rnd.gauss(centre[0], spread), rnd.gauss(centre[1], spread * 0.85)
            node = min(range(len(nodes)), key=lambda n: (distance(nodes[n], (x, y)), n))
            if distance(nodes[node], (x, y)) < 0.75 * SPACING:
                return Place(name, kind, round(x, 1), round(y, 1), node, leaving[node])

    places = {}
    for kind, count, spread in (
        ("work", 320, 1_300),
        ("education", 14, 1_900),
        ("shopping", 70, 1_500),
        ("leisure", 90, 1_800),
        ("errands", 40, 1_000),
    ):
        places[kind] = []
        for number in range(1, count + 1):
            # a quarter of the work is in the industrial estate in the north-east
            estate = kind == "work" and number % 4 == 0
            centre = nodes[7 * COLUMNS + 10] if estate else middle
            place = near(rnd, f"{kind}_{number}", kind, centre, 420 if estate else spread)
            places[kind].append(place)

    quarters = [(nodes[2 * COLUMNS + 2], 900), (nodes[8 * COLUMNS + 3], 700), (nodes[2 * COLUMNS + 9], 800)]

    def home(rnd, person):
        centre, spread = rnd.choice(quarters) if rnd.random() < 0.5 else (middle, 2_000)
        return near(rnd, f"home_{person}", "home", centre, spread)

    return places, home


def pick_mode(rnd, metres, drives):
    """One mode for a whole round from home to home, by the length of its longest trip."""
    km = metres / 1000
    weights = {
        "walk": 5.0 * math.exp(-1.5 * km),
        "bike": 0.62 * math.exp(-0.25 * abs(km - 1.8)),
        "pt": 0.13 + 0.09 * km,
        "car": (0.55 + 0.16 * km) if drives else 0.0,
        "ride": 0.12 if drives else 0.38,
    }
    return rnd.choices(list(weights), list(weights.values()))[0]


def make_trips(nodes, links):
    rnd = dice("trips")
    places, make_home = make_places(nodes, links)
    tastes = [fastest_ways(nodes, links, rnd) for _ in range(5)]
    trips, person = [], 0
    while len(trips) < TRIPS_WANTED:
        person += 1
        home = make_home(rnd, person)
        plan = rnd.choices([day for _, day in DAYS], [weight for weight, _ in DAYS])[0]
        drives = rnd.random() < (0.05 if plan[0] == "education" else 0.78)
        stops = [home]
        for kind in plan:
            if kind == "home":
                stops.append(home)
                continue
            here = stops[-1]  # of three that come to mind, the nearest but for work
            options = rnd.sample(places[kind], 1 if kind == "work" else 3)
            stops.append(min(options, key=lambda p: distance((p.x, p.y), (here.x, here.y))))
        stops.append(home)

        spread = {"work": 1.15, "education": 0.55}.get(plan[0], 1.8)
        clock = 3600 * max(4.2, rnd.gauss(LEAVES_HOME_AT[plan[0]], spread))
        mode = None
        for number, (start, end) in enumerate(zip(stops, stops[1:]), 1):
            if start is home:
                rest = stops[number:]
                back = rest.index(home) + 1
                around = [start, *rest[:back]]
                longest = max(distance((p.x, p.y), (q.x, q.y)) for p, q in zip(around, around[1:]))
                mode = pick_mode(rnd, longest, drives)
            trip = travel(rnd, links, tastes[person % len(tastes)], f"{person}", number, clock, mode, start, end)
            trips.append(trip)
            stay = STAY[end.kind] * rnd.lognormvariate(0, 0.12 if end.kind in ("work", "education") else 0.35)
            clock += trip.duration + 3600 * stay
    return trips


def travel(rnd, links, trees, person, number, departure, mode, start, end):
    """One trip, as it turned out: by what way, how far, how long."""
    straight = distance((start.x, start.y), (end.x, end.y))
    hour = departure / 3600
    rush = math.exp(-((hour - 7.8) ** 2) / 1.6) + 0.8 * math.exp(-((hour - 16.9) ** 2) / 3.5)
    way, wait = [], 0
    if mode in ("car", "ride"):
        way = route(trees, links, start.node, end.node)
        length = sum(links[n].length for n in way) + 0.35 * SPACING
        seconds = sum(links[n].length / links[n].freespeed + CROSSING for n in way) * (1 + 0.45 * rush) + 75
    elif mode == "pt":
        wait = int(rnd.uniform(30, 420))
        length = 1.38 * straight
        seconds = wait + length / 6.2 + rnd.uniform(240, 540)
    else:
        length = (1.22 if mode == "bike" else 1.28) * straight
        seconds = length / (3.6 if mode == "bike" else 1.15) + (40 if mode == "bike" else 0)
    seconds = max(20, round(seconds * rnd.lognormvariate(0, 0.07)))
    return Trip(person, number, round(departure), seconds, wait, round(length), mode, start, end, way)


def trips_csv(trips):
    header = (
        "person;trip_number;trip_id;dep_time;trav_time;wait_time;traveled_distance;euclidean_distance;"
        "main_mode;longest_distance_mode;modes;start_activity_type;end_activity_type;"
        "start_facility_id;start_link;start_x;start_y;end_facility_id;end_link;end_x;end_y;"
        "first_pt_boarding_stop;last_pt_egress_stop"
    )
    rows = [header]
    for t in trips:
        straight = round(distance((t.start.x, t.start.y), (t.end.x, t.end.y)))
        pt = t.mode == "pt"
        rows.append(
            ";".join(
                str(field)
                for field in (
                    t.person,
                    t.number,
                    f"{t.person}_{t.number}",
                    hms(t.departure),
                    hms(t.duration),
                    hms(t.wait),
                    t.length,
                    straight,
                    t.mode,
                    t.mode,
                    "walk-pt-walk" if pt else t.mode,
                    t.start.kind,
                    t.end.kind,
                    t.start.id,
                    t.start.link,
                    t.start.x,
                    t.start.y,
                    t.end.id,
                    t.end.link,
                    t.end.x,
                    t.end.y,
                    f"stop_{t.start.node:03d}" if pt else "",
                    f"stop_{t.end.node:03d}" if pt else "",
                )
            )
        )
    return "\n".join(rows) + "\n"


# ---------------------------------------------------------------------------------------------------
# What drives on the streets


def link_hours(links, trips):
    """What passes: rows of hour, link number, mode, vehicles, km/h and volume to capacity;
    then cars and lorries a day for each link."""
    rnd = dice("volumes")
    counts = [[0] * 24 for _ in links]
    everywhere = [1.0] * 24
    for trip in trips:
        if trip.mode == "car":
            hour = trip.departure // 3600 % 24
            everywhere[hour] += 1
            for number in trip.way:
                counts[number][hour] += 1
    total = sum(everywhere)
    usual = [n / total for n in everywhere]

    cars, lorries = [], []
    flat = [max(0.0, math.sin(math.pi * (h - 3) / 18)) + 0.08 for h in range(24)]
    for link, own in zip(links, counts):
        n = sum(own)
        daily = SAMPLE * (n + 0.6) * rnd.lognormvariate(0, 0.05)
        freight = daily * (0.13 if link.kind == "trunk" else 0.04)
        # a link's own hours, smoothed by the whole town's: one car of the sample is a hundred
        shape = [(own[h] + 60 * usual[h]) / (n + 60) * rnd.lognormvariate(0, 0.1) for h in range(24)]
        cars.append([round(daily * s / sum(shape)) for s in shape])
        lorries.append([round(freight * f / sum(flat) * rnd.lognormvariate(0, 0.15)) for f in flat])

    rows = []
    for hour in range(24):
        for number, link in enumerate(links):
            load = (cars[number][hour] + 2 * lorries[number][hour]) / link.capacity
            speed = 3.6 * link.freespeed / (1 + 0.35 * load**3)
            for mode, vehicles, top in (("car", cars, 999), ("freight", lorries, 60)):
                rows.append((hour, number, mode, vehicles[number][hour], min(speed, top), load))
    return rows, [sum(day) for day in cars], [sum(day) for day in lorries]


def write_parquet(path, links, rows):
    """Sorted by hour, in five row groups: a reader that wants the morning fetches only that."""
    table = pa.table(
        {
            "hour": pa.array([r[0] for r in rows], pa.int8()),
            "link_id": pa.array([links[r[1]].id for r in rows], pa.string()),
            "mode": pa.array([r[2] for r in rows], pa.string()),
            "vehicles": pa.array([r[3] for r in rows], pa.int32()),
            "speed_kmh": pa.array([round(r[4], 1) for r in rows], pa.float32()),
            "volume_capacity_ratio": pa.array([round(r[5], 3) for r in rows], pa.float32()),
            "road_type": pa.array([links[r[1]].kind for r in rows], pa.string()),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="snappy", row_group_size=-(-table.num_rows // 5))


# ---------------------------------------------------------------------------------------------------
# How the run went


def unsettled(iteration):
    """How far from settled the run is: 1 at its beginning, 0 at its end."""
    end = math.exp(-LAST_ITERATION / 17)
    return (math.exp(-iteration / 17) - end) / (1 - end)


def mode_stats(trips):
    rnd = dice("modestats")
    last = {mode: sum(t.mode == mode for t in trips) / len(trips) for mode in MODES}
    first = {"bike": 0.07, "car": 0.61, "pt": 0.09, "ride": 0.08, "walk": 0.15}
    rows = ["iteration;" + ";".join(MODES)]
    for iteration in range(LAST_ITERATION + 1):
        far = unsettled(iteration)
        restless = 0.004 if 0 < iteration < INNOVATION_ENDS else 0.0006
        if iteration in (0, LAST_ITERATION):
            restless = 0.0
        share = {m: far * first[m] + (1 - far) * last[m] + rnd.gauss(0, restless) for m in MODES}
        total = sum(share.values())
        rows.append(f"{iteration};" + ";".join(f"{share[m] / total:.6f}" for m in MODES))
    return "\n".join(rows) + "\n"


def score_stats():
    """(executed, worst, average, best) for each iteration."""
    rnd = dice("scorestats")
    history = []
    for iteration in range(LAST_ITERATION + 1):
        far = unsettled(iteration)
        best = 118.4 - 21 * far**1.15 + rnd.gauss(0, 0.06)
        trying = 4.6 if iteration < INNOVATION_ENDS else 4.6 * math.exp(-(iteration - INNOVATION_ENDS + 1) / 1.5)
        executed = best - 0.9 - trying * min(1.0, iteration / 4) + rnd.gauss(0, 0.16)
        worst = best - 15.5 * (1 - math.exp(-iteration / 6)) + rnd.gauss(0, 0.2)
        average = best - 6.4 * (1 - math.exp(-iteration / 5)) + rnd.gauss(0, 0.08)
        if iteration == 0:
            executed = worst = average = best  # there is one plan yet
        history.append((executed, worst, average, best))
    return history


def score_stats_csv(history):
    rows = ["iteration;avg_executed;avg_worst;avg_average;avg_best"]
    rows += [f"{i};" + ";".join(f"{value:.5f}" for value in scores) for i, scores in enumerate(history)]
    return "\n".join(rows) + "\n"


def leg_histogram(trips, iteration):
    """Departures, arrivals, and who is under way, in five-minute bins over thirty hours."""
    rnd = dice(f"histogram/{iteration}")
    far = unsettled(iteration)
    bins = 30 * 12 + 2  # the last one takes all that is later
    table = {mode: [[0] * bins for _ in range(3)] for mode in MODES}
    for trip in trips:
        mode = "car" if rnd.random() < 0.3 * far else trip.mode  # at first many go by car
        leaves = max(0, trip.departure + rnd.gauss(0, 900 * far))
        takes = trip.duration * (1 + (1.4 * far if mode == "car" else 0))
        stuck = mode == "car" and rnd.random() < 0.012 * far
        table[mode][0][min(bins - 1, int(leaves // 300))] += 1
        table[mode][2 if stuck else 1][min(bins - 1, int((leaves + takes) // 300))] += 1
    columns = [[[sum(c) for c in zip(*(table[m][k] for m in MODES))] for k in range(3)]]
    columns += [table[m] for m in MODES]
    names = ["all", *MODES]
    header = ["time", "seconds"]
    header += [f"{what}_{n}" for n in names for what in ("departures", "arrivals", "stuck", "en-route")]
    rows, under_way = [";".join(header)], [0] * len(names)
    for b in range(bins):
        fields = [hms(b * 300), b * 300]
        for k, (departures, arrivals, stuck) in enumerate(columns):
            under_way[k] += departures[b] - arrivals[b] - stuck[b]
            fields += [departures[b], arrivals[b], stuck[b], under_way[k]]
        rows.append(";".join(map(str, fields)))
    return "\n".join(rows) + "\n"


# ---------------------------------------------------------------------------------------------------
# A chart, drawn by hand

GLYPHS = {  # five columns a letter, the lowest bit on top
    "0": "3e5149453e", "1": "00427f4000", "2": "4261514946", "3": "2141454b31", "4": "1814127f10",
    "5": "2745454539", "6": "3c4a494930", "7": "0171090503", "8": "3649494936", "9": "064949291e",
    "a": "2054545478", "b": "7f48444438", "c": "3844444420", "d": "384444487f", "e": "3854545418",
    "g": "0c5252523e", "i": "00447d4000", "n": "7c08040478", "o": "3844444438", "r": "7c08040408",
    "s": "4854545420", "t": "043f444020", "u": "3c4040207c", "v": "1c2040201c", "w": "3c4030403c",
    "x": "4428102844", "S": "4649494931", ".": "0060600000", " ": "0000000000",
}  # fmt: skip


class Canvas:
    def __init__(self, width, height, paper):
        self.width, self.height = width, height
        self.rows = [[paper] * width for _ in range(height)]

    def dot(self, x, y, colour, cover=1.0):
        if 0 <= x < self.width and 0 <= y < self.height:
            below = self.rows[y][x]
            self.rows[y][x] = tuple(round(b + (c - b) * cover) for b, c in zip(below, colour))

    def box(self, x, y, width, height, colour):
        for row in range(y, y + height):
            for column in range(x, x + width):
                self.dot(column, row, colour)

    def line(self, points, colour, thickness=1.6):
        """A smooth line through the points."""
        cover = {}
        for (xa, ya), (xb, yb) in zip(points, points[1:]):
            squared = (xb - xa) ** 2 + (yb - ya) ** 2 or 1.0
            for y in range(int(min(ya, yb)) - 2, int(max(ya, yb)) + 4):
                for x in range(int(min(xa, xb)) - 2, int(max(xa, xb)) + 4):
                    t = max(0.0, min(1.0, ((x - xa) * (xb - xa) + (y - ya) * (yb - ya)) / squared))
                    away = math.hypot(x - xa - t * (xb - xa), y - ya - t * (yb - ya))
                    share = max(0.0, min(1.0, thickness / 2 + 0.5 - away))
                    if share > cover.get((x, y), 0.0):
                        cover[x, y] = share
        for (x, y), share in cover.items():
            self.dot(x, y, colour, share)

    def text(self, x, y, text, colour, size=1, align="left"):
        width = (6 * len(text) - 1) * size
        x -= {"left": 0, "centre": width // 2, "right": width}[align]
        for letter in text:
            for column, bits in enumerate(bytes.fromhex(GLYPHS[letter])):
                for row in range(8):
                    if bits >> row & 1:
                        self.box(x + column * size, y + row * size, size, size, colour)
            x += 6 * size

    def png(self):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        pixels = b"".join(b"\0" + bytes(value for dot in row for value in dot) for row in self.rows)
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(pixels, 9)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + body


def score_chart(history):
    ink, soft, grid = (60, 64, 72), (120, 124, 132), (228, 230, 234)
    canvas = Canvas(480, 270, (255, 255, 255))
    left, right, top, bottom = 46, 466, 40, 228
    low, high, step = 85, 120, 5

    def place(iteration, score):
        x = left + (right - left) * iteration / LAST_ITERATION
        return x, bottom - (bottom - top) * (score - low) / (high - low)

    canvas.text(240, 12, "Score statistics", ink, size=2, align="centre")
    for score in range(low, high + 1, step):
        y = round(place(0, score)[1])
        canvas.box(left, y, right - left + 1, 1, grid)
        canvas.text(left - 7, y - 3, str(score), soft, align="right")
    for iteration in range(0, LAST_ITERATION + 1, 20):
        x = round(place(iteration, low)[0])
        canvas.box(x, bottom + 1, 1, 4, soft)
        canvas.text(x, bottom + 9, str(iteration), soft, align="centre")
    canvas.box(left, bottom, right - left + 1, 1, soft)
    canvas.box(left, top, 1, bottom - top + 1, soft)
    canvas.text((left + right) // 2, bottom + 25, "iteration", ink, align="centre")

    curves = [
        (1, "avg. worst", (204, 102, 85)),
        (2, "avg. average", (222, 165, 60)),
        (0, "avg. executed", (58, 122, 184)),
        (3, "avg. best", (62, 148, 96)),
    ]
    for row, (index, name, colour) in enumerate(curves):
        canvas.line([place(i, scores[index]) for i, scores in enumerate(history)], colour)
        y = bottom - 16 - 13 * row
        canvas.box(right - 106, y + 2, 14, 3, colour)
        canvas.text(right - 86, y, name, ink)
    return canvas.png()


# ---------------------------------------------------------------------------------------------------
# Texts

RUN_README = """\
# Riverton, 1 % sample

An invented run of an invented town: its trips, its streets with the traffic of a day, and how it settled down. Nothing here
leads out of this folder, so it can be moved as it is, into `public/` too.
"""

README = """\
# Hello from Riverton

Riverton is a town that does not exist, and this is what a transport simulation of it might leave
behind: a map of its streets with the traffic of a day (`network.geojson`), and a picture of how the
run settled down (`scorestats.png`). Have a look around, nothing here can break. Everything under
`public/` can be read by anyone, without a key; the run itself lies next door in `riverton-1pct/` and
asks for one.
"""


def dashboard(centre):
    lon, lat = centre
    return f"""\
# A SimWrapper dashboard: https://simwrapper.app
header:
  tab: Summary
  title: Riverton, 1 % sample
  description: An invented run of an invented town, {LAST_ITERATION} iterations

layout:
  welcome:
    - type: text
      title: About this run
      width: 2
      file: README.md

    - type: pie
      title: Mode share
      description: Share of all trips, last iteration
      dataset: modestats.csv
      useLastRow: true
      ignoreColumns: [iteration]

  convergence:
    - type: line
      title: Scores
      description: Averages over all persons
      dataset: scorestats.csv
      x: iteration
      columns: [avg_executed, avg_worst, avg_average, avg_best]
      legendName: [executed, worst, average, best]
      xAxisName: Iteration
      yAxisName: Score

    - type: area
      title: Mode share by iteration
      dataset: modestats.csv
      x: iteration
      columns: [car, ride, pt, bike, walk]
      xAxisName: Iteration
      yAxisName: Share of trips

  maps:
    - type: map
      title: Traffic
      description: Cars per day and direction
      height: 10
      center: [{lon:.4f}, {lat:.4f}]
      zoom: 12
      shapes:
        file: output_network.geojson
        join: link_id
      display:
        lineColor:
          dataset: output_network.geojson
          columnName: volume
          colorRamp:
            ramp: Viridis
            steps: 7
        lineWidth:
          dataset: output_network.geojson
          columnName: volume
          scaleFactor: 1000
      tooltip:
        - output_network.geojson:link_id
        - output_network.geojson:volume
        - output_network.geojson:capacity

    - type: hexagons
      title: Where trips begin and end
      height: 10
      file: output_trips.csv.gz
      projection: EPSG:25832
      center: [{lon:.4f}, {lat:.4f}]
      zoom: 12
      radius: 150
      maxHeight: 20
      aggregations:
        Trips:
          - title: Origins
            x: start_x
            y: start_y
          - title: Destinations
            x: end_x
            y: end_y

  day:
    - type: line
      title: Under way in iteration 0
      dataset: ITERS/it.0/0.legHistogram.csv
      x: time
      columns: [en-route_car, en-route_ride, en-route_pt, en-route_bike, en-route_walk]
      legendName: [car, ride, pt, bike, walk]
      xAxisName: Time of day
      yAxisName: Persons

    - type: bar
      title: Departures in iteration 10
      dataset: ITERS/it.10/10.legHistogram.csv
      x: time
      columns: [departures_car, departures_ride, departures_pt, departures_bike, departures_walk]
      legendName: [car, ride, pt, bike, walk]
      stacked: true
      xAxisName: Time of day
      yAxisName: Departures in five minutes

  details:
    - type: csv
      title: Scores, the numbers
      dataset: scorestats.csv
      enableFilter: true

    - type: xml
      title: Configuration
      file: output_config.xml
      unfoldLevel: 1
"""


CONFIG_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE config SYSTEM "http://www.matsim.org/files/dtd/config_v2.dtd">
<config>
"""


def config_xml():
    activities = {"home": 12, "work": 8, "education": 6, "shopping": 1, "leisure": 2, "errands": 1}
    modes = {"bike": -1.2, "car": -0.4, "pt": -0.3, "ride": -1.0, "walk": 0.0}
    subtours = ("SubtourModeChoice", 0.10), ("ReRoute", 0.10), ("TimeAllocationMutator", 0.05)
    modules = {
        "controller": {
            "firstIteration": 0,
            "lastIteration": LAST_ITERATION,
            "outputDirectory": f"output/{RUN}",
            "overwriteFiles": "failIfDirectoryExists",
            "runId": "null",
            "writeEventsInterval": 10,
            "writePlansInterval": 10,
        },
        "global": {
            "coordinateSystem": "EPSG:25832",
            "defaultDelimiter": ";",
            "numberOfThreads": 8,
            "randomSeed": 4711,
        },
        "network": {"inputNetworkFile": "riverton-v1.0-network.xml.gz"},
        "plans": {"inputPlansFile": "riverton-v1.0-1pct.plans.xml.gz"},
        "qsim": {
            "endTime": "30:00:00",
            "flowCapacityFactor": 1 / SAMPLE,
            "mainMode": "car",
            "storageCapacityFactor": round(SAMPLE**-0.75, 4),
        },
        "replanning": {
            "fractionOfIterationsToDisableInnovation": INNOVATION_ENDS / LAST_ITERATION,
            "maxAgentPlanMemorySize": 5,
        },
        "routing": {"networkModes": "car,ride"},
        "scoring": {"brainExpBeta": 1.0, "learningRate": 1.0},
        "transit": {
            "transitScheduleFile": "riverton-v1.0-transitSchedule.xml.gz",
            "useTransit": "true",
            "vehiclesFile": "riverton-v1.0-transitVehicles.xml.gz",
        },
    }

    def param(depth, name, value):
        return "\t" * depth + f'<param name="{name}" value="{value}" />\n'

    def parameters(depth, kind, values, inner=""):
        tabs = "\t" * depth
        body = "".join(param(depth + 1, *item) for item in values.items())
        return f'{tabs}<parameterset type="{kind}" >\n{body}{inner}{tabs}</parameterset>\n'

    sets = {
        "replanning": "".join(
            parameters(2, "strategysettings", {"strategyName": name, "weight": weight})
            for name, weight in (("ChangeExpBeta", 0.75), *subtours)
        ),
        "scoring": parameters(
            2,
            "scoringParameters",
            {"performing": 6.0, "lateArrival": -18.0, "marginalUtilityOfMoney": 1.0},
            "".join(
                parameters(3, "activityParams", {"activityType": kind, "typicalDuration": f"{hours:02d}:00:00"})
                for kind, hours in activities.items()
            )
            + "".join(
                parameters(3, "modeParams", {"mode": mode, "constant": constant})
                for mode, constant in modes.items()
            ),
        ),
    }
    text = CONFIG_HEAD
    for name, values in modules.items():
        text += f'\t<module name="{name}" >\n' + "".join(param(2, *item) for item in values.items())
        text += sets.get(name, "") + "\t</module>\n"
    return text + "</config>\n"


# A name that real people do give to a file, and that has an umlaut, spaces, &, brackets and % in it.
AWKWARD = unicodedata.normalize("NFC", "Auswertung für Köln & Umland (50%).csv")
AWKWARD_TEXT = """\
Gebiet;Einwohner;Wege je Person;Anteil Pkw (%);Anteil ÖPNV (%);Anteil Rad & Fuß (%)
Köln, linksrheinisch;351200;3,4;31,5;24,1;44,4
Köln, rechtsrheinisch;187900;3,2;41,8;22,7;35,5
Hürth;29800;3,3;54,2;14,9;30,9
Brühl;22400;3,3;51,6;16,3;32,1
Frechen;26100;3,2;57,0;13,2;29,8
Übriges Umland;143700;3,1;66,4;9,1;24,5
"""


# ---------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description="Writes a small example volume.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "volume", metavar="DIR")
    out = parser.parse_args().out

    nodes, links = make_network()
    trips = make_trips(nodes, links)
    hours, cars, lorries = link_hours(links, trips)
    history = score_stats()
    middle = (sum(x for x, _ in nodes) / len(nodes), sum(y for _, y in nodes) / len(nodes))

    def common(link, volume):
        return {
            "link_id": link.id,
            "lanes": link.lanes,
            "capacity": link.capacity,
            "freespeed": round(link.freespeed, 2),
            "volume": volume,
        }

    def write(name, content):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    write("public/README.md", README)
    write(
        "public/network.geojson",
        geojson(link_feature(link, common(link, car)) for link, car in zip(links, cars)),
    )
    write("public/scorestats.png", score_chart(history))

    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as stream:
        stream.write(trips_csv(trips).encode())
    write(f"{RUN}/output_trips.csv.gz", packed.getvalue())
    write(
        f"{RUN}/output_network.geojson",
        geojson(
            link_feature(
                link,
                common(link, car)
                | {
                    "freight": lorry,
                    "from": f"n{link.start:03d}",
                    "to": f"n{link.end:03d}",
                    "length": round(link.length, 1),
                    "type": link.kind,
                    "modes": "car,ride,bike" if link.kind != "trunk" else "car,ride",
                },
            )
            for link, car, lorry in zip(links, cars, lorries)
        ),
    )
    write_parquet(out / RUN / "link_volumes.parquet", links, hours)
    write(f"{RUN}/README.md", RUN_README)
    write(f"{RUN}/dashboard-1.yaml", dashboard(to_lon_lat(*middle)))
    write(f"{RUN}/modestats.csv", mode_stats(trips))
    write(f"{RUN}/scorestats.csv", score_stats_csv(history))
    write(f"{RUN}/output_config.xml", config_xml())
    for iteration in (0, 2, 10):
        name = f"{RUN}/ITERS/it.{iteration}/{iteration}.legHistogram.csv"
        write(name, leg_histogram(trips, iteration))
    write(f"{RUN}/{AWKWARD}", AWKWARD_TEXT)

    files = [p for p in sorted(out.rglob("*")) if p.is_file() and ".sounding" not in p.parts]
    for path in files:
        print(f"{path.stat().st_size:>9,}  {path.relative_to(out)}")
    print(f"{sum(p.stat().st_size for p in files):>9,}  in {len(files)} files")


if __name__ == "__main__":
    main()
