"""Reads a tree of files as programs of data science do: with fsspec (find, walk, glob and the content) and with GDAL's /vsicurl/.

tree.py BASE KEY FOLDER: BASE is the address of what lies in FOLDER; an empty KEY is none.
"""

import os
import sys
from urllib.parse import quote, unquote

base, key, folder = sys.argv[1:]
if key:
    # GDAL reads it when it is loaded.
    os.environ["GDAL_HTTP_HEADERS"] = f"Authorization: {key}"

import fsspec
import pyogrio


def is_there(folder):
    """The paths of all files in it, and of all folders with a `/` behind."""
    paths = set()
    for at, folders, files in os.walk(folder):
        here = os.path.relpath(at, folder)
        paths |= {os.path.normpath(os.path.join(here, name)) for name in files}
        paths |= {os.path.normpath(os.path.join(here, name)) + "/" for name in folders}
    return paths


def below(addresses):
    addresses = list(addresses)
    for it in addresses:
        assert it.startswith(base), f"{it} is not below {base}"
    return {unquote(it[len(base) :]) for it in addresses}


def same(what, found, wanted):
    assert found == wanted, f"{what}: not found {sorted(wanted - found)}, found {sorted(found - wanted)}"
    print(f"{what}: {len(found)}")


paths = is_there(folder)
files = {it for it in paths if not it.endswith("/")}

web = fsspec.filesystem("http", client_kwargs={"headers": {"Authorization": key}} if key else {})
same("find", below(web.find(base)), files)
walked = set()
for at, _, names in web.walk(base):
    walked |= below(f"{at.rstrip('/')}/{name}" for name in names)
same("walk", walked, files)
same("glob of all", {it for it in below(web.glob(f"{base}**")) if not it.endswith("/")}, files)
tables = {it for it in files if it.startswith("nested/") and it.count("/") == 1 and it.endswith(".csv")}
same("glob of tables", below(web.glob(f"{base}nested/*.csv")), tables)
for it in files:
    with open(os.path.join(folder, it), "rb") as wanted:
        assert web.cat_file(base + quote(it)) == wanted.read(), it

# GDAL shows names as they stand in the address, and opens them by these.
found = {it.removeprefix("/vsicurl/") for it in pyogrio.vsi_listtree(f"/vsicurl/{base}")}
same("GDAL", below(found), paths)
rows = pyogrio.read_info(f"/vsicurl/{base}nested/table.csv")["features"]
with open(os.path.join(folder, "nested/table.csv")) as table:
    same("GDAL's rows", {rows}, {sum(1 for _ in table) - 1})
