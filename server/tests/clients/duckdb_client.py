"""DuckDB reading the volume over HTTP, as researchers' notebooks do.

`duckdb_client.py make FILE`: writes a Parquet file of about 100 MB.
`duckdb_client.py column|tables BASE [KEY] FOLDER`: reads what lies under BASE, with the key in a header if there is
one, and compares with the same files in FOLDER.
"""

import glob
import os
import sys
import time

import duckdb

COLUMNS = 12
ROWS = 1_050_000


def connect():
    """With httpfs out of its Python package; nothing is asked of the network."""
    found = glob.glob(
        os.path.join(sys.prefix, "lib/python3*/site-packages/duckdb_extension_httpfs/extensions/*/httpfs.duckdb_extension")
    )
    if len(found) != 1:
        sys.exit(f"the httpfs extension is not in {sys.prefix}: run .ci/setup.sh")
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.execute(f"LOAD '{found[0]}'")
    return connection


def make(path):
    unfinished = f"{path}.{os.getpid()}"
    columns = ", ".join(f"random() AS c{it}" for it in range(COLUMNS))
    duckdb.connect().execute(
        f"COPY (SELECT range AS id, {columns} FROM range({ROWS})) TO '{unfinished}'"
        " (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE 122880)"
    )
    os.rename(unfinished, path)


def check(what, query, base, folder, connection):
    """The same query over HTTP and on the disk."""
    began = time.monotonic()
    actual = connection.execute(query.replace("BASE", base)).fetchall()
    micros = int((time.monotonic() - began) * 1e6)
    expected = duckdb.connect().execute(query.replace("BASE", folder)).fetchall()
    print(f"{what}: {actual} in {micros} us")
    if actual != expected:
        sys.exit(f"{what}: over HTTP {actual}, on the disk {expected}")


# Integers are summed, so that the order of summing does not matter.
COLUMN = "SELECT count(*), min(c7), max(c7), sum((c7 * 1e6)::BIGINT) FROM 'BASE/random.parquet'"
TABLES = {
    "csv": "SELECT count(*), sum(a), min(b) FROM read_csv('BASE/table.csv')",
    "csv.gz": "SELECT count(*), sum(a), min(b) FROM read_csv('BASE/table.csv.gz')",
    "row of parquet": "SELECT * FROM 'BASE/random.parquet' WHERE id = 777777",
}


def main():
    job, *arguments = sys.argv[1:]
    if job == "make":
        return make(*arguments)
    base, *key, folder = arguments
    connection = connect()
    if key:
        connection.execute(
            f"CREATE SECRET (TYPE http, SCOPE '{base}', EXTRA_HTTP_HEADERS MAP {{'Authorization': '{key[0]}'}})"
        )
    if job == "column":
        check("column", COLUMN, base, folder, connection)
    else:
        for what, query in TABLES.items():
            check(what, query, base, folder, connection)


main()
