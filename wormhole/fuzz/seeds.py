"""Writes small archives of every kind into corpus/zip_stream, for the fuzzer to begin with."""

import io
import os
import pathlib
import zipfile

FOLDER = pathlib.Path(__file__).parent / "corpus" / "zip_stream"
# What the target takes for the announced bytes and files, and for how to cut: no limit on bytes, 100 files.
HEADS = {"whole": b"\xff\xff\x64\xff\xff\x01", "bytes": b"\xff\xff\x64\x00\x00\x01", "few": b"\x20\x00\x02\x07\x03\x00"}


class Pipe(io.RawIOBase):
    """A file that can't be sought in: the writer has to use descriptors."""

    def __init__(self):
        self.bytes = b""

    def writable(self):
        return True

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)


def archive(method, members, streamed=False, wide=False, comment=b""):
    out = Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.comment = comment
        for name, data in members:
            with made.open(zipfile.ZipInfo(name), "w", force_zip64=wide) as member:
                member.write(data)
    return out.bytes if streamed else out.getvalue()


def without_signatures(data):
    """The same with descriptors that have none; its directory no longer fits."""
    return data.replace(b"PK\x07\x08", b"")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    plain = [("a.txt", b"one"), ("b/", b""), ("b/c.txt", b"two " * 20), ("ä.txt", b"")]
    fakes = [("fake", b"PK\x07\x08" * 4 + b"PK\x03\x04" * 4 + b"PK\x01\x02")]
    made = {"empty": archive(0, []), "here": archive(0, [("./", b"")])}
    for kind, method in ("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED):
        made[f"{kind}"] = archive(method, plain, comment=b"a comment")
        made[f"{kind}-streamed"] = archive(method, plain, streamed=True)
        made[f"{kind}-wide"] = archive(method, plain, wide=True)
        made[f"{kind}-streamed-wide"] = archive(method, plain, streamed=True, wide=True)
        made[f"{kind}-fakes"] = archive(method, fakes, streamed=True)
        made[f"{kind}-nested"] = archive(method, [("in.zip", made[f"{kind}-streamed"])], streamed=True)
        made[f"{kind}-unsigned"] = without_signatures(made[f"{kind}-streamed"])
    for name, data in made.items():
        for head, prefix in HEADS.items():
            (FOLDER / f"{name}-{head}").write_bytes(prefix + data)
    print(f"{len(os.listdir(FOLDER))} files in {FOLDER}")


if __name__ == "__main__":
    main()
