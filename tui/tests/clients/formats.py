"""Writes a file of each format that the console looks into, by the formats' own libraries: formats.py FOLDER"""

import csv
import gzip
import json
import sqlite3
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import duckdb
import fastavro
import h5py
import numpy
import openmatrix

folder = Path(sys.argv[1])

header = [f"column_{it}" for it in range(24)]
with open(folder / "trips.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([[f"{row}_{column}" for column in range(24)] for row in range(20_000)])
with open(folder / "trips.csv", "rb") as file, gzip.open(folder / "trips.csv.gz", "wb") as packed:
    packed.write(file.read())
(folder / "cut.csv.gz").write_bytes((folder / "trips.csv.gz").read_bytes()[:30_000])
(folder / "semicolons.csv").write_text('id;name\n1;"a;b"\n2;c\n')
(folder / "latin1.csv").write_bytes("id;Stadt\n1;Zürich\n2;Köln\n3;Genève\n".encode("latin-1"))
(folder / "latin1.csv.gz").write_bytes(gzip.compress((folder / "latin1.csv").read_bytes()))
(folder / "windows.txt").write_bytes("5 € – 7 €, größer\n".encode("cp1252"))
(folder / "unicode.tsv").write_bytes("id\tStadt\n1\tZürich\n".encode("utf-16"))
(folder / "marked.csv").write_bytes("id,name\n1,a\n".encode("utf-8-sig"))
(folder / "no-gzip.csv.gz").write_text("id,name\n1,a\n")
(folder / "tabs.tsv").write_text("id\tname\n1\ta\n")

points = [
    {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": [[13.0 + it / 1000, 52.5], [13.1, 52.0]]}}
    for it in range(100)
]
(folder / "zones.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": points}))
many = points * 100
(folder / "large.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": many}))
(folder / "list.json").write_text("[1, 2, 3]")
(folder / "broken.json").write_text('{"a": 1,, }')

with gzip.open(folder / "network.xml.gz", "wb") as packed:
    packed.write(b'<?xml version="1.0"?>\n<network>\n' + b"<node/>\n" * 100_000 + b"</network>\n")

duckdb.sql(f"COPY (SELECT range AS link, range * 1.5 AS volume FROM range(300000)) TO '{folder}/links.parquet' (FORMAT parquet, ROW_GROUP_SIZE 100000)")

schema = {"type": "record", "name": "Link", "fields": [{"name": "id", "type": "string"}, {"name": "lanes", "type": ["null", "double"]}, {"name": "tags", "type": {"type": "array", "items": "string"}}]}
with open(folder / "network.avro", "wb") as file:
    fastavro.writer(file, schema, [{"id": "1", "lanes": 2.0, "tags": []}], codec="deflate")

matrices = openmatrix.open_file(str(folder / "od.omx"), "w")
matrices["am"] = numpy.zeros((40, 50))
matrices["pm"] = numpy.ones((40, 50), dtype="float32")
matrices.create_mapping("zones", list(range(40)))
matrices.close()
with h5py.File(folder / "events.h5", "w") as file:
    file.create_dataset("links/volume", data=numpy.zeros((7, 3), dtype="int32"))
    file["scalar"] = 1.5
with h5py.File(folder / "newer.h5", "w", libver="latest") as file:
    file.create_dataset("counts", data=numpy.zeros(9, dtype="int64"))

db = sqlite3.connect(folder / "runs.sqlite")
db.execute("CREATE TABLE run (id INTEGER PRIMARY KEY, name TEXT)")
db.executemany("INSERT INTO run (name) VALUES (?)", [("a",)] * 1234)
db.execute('CREATE TABLE "od d" (x)')
db.commit()
db.close()

with zipfile.ZipFile(folder / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("run/a.csv", "x" * 100_000)
    archive.writestr("run/b.csv", "y")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


rows = b"".join(b"\x00" + bytes([255, 0, 0] * 30) for _ in range(20))
(folder / "plot.png").write_bytes(
    b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
)
(folder / "dashboard.yaml").write_text("header:\n  title: Berlin\x1b[2J\n")
(folder / "blob.bin").write_bytes(bytes(range(256)) * 4)
(folder / "empty.csv").write_bytes(b"")
damaged = bytearray((folder / "plot.png").read_bytes())
damaged[45] ^= 0xFF
(folder / "damaged-plot.png").write_bytes(damaged)
for name in ["links.parquet", "network.avro", "od.omx", "runs.sqlite", "run.zip", "plot.png"]:
    whole = (folder / name).read_bytes()
    (folder / f"cut-{name}").write_bytes(whole[: len(whole) // 3])
    (folder / f"wrong-{name}").write_bytes(b"not what it says\n")
