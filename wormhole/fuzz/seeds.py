"""Writes small inputs of every kind into corpus, for the fuzzer to begin with: archives, and messages."""

import io
import os
import pathlib
import zipfile

CORPUS = pathlib.Path(__file__).parent / "corpus"
FOLDER = CORPUS / "zip_stream"
MESSAGES = CORPUS / "messages"
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


def messages():
    """What each of the four says, for the target `messages`: the first byte says who speaks."""
    said = {
        0: [
            b'{"type": "welcome", "welcome": {"motd": "hello"}, "server_tx": 1.5}',
            b'{"type": "nameplates", "nameplates": [{"id": "7"}], "server_tx": 1.5}',
            b'{"type": "allocated", "nameplate": "7"}',
            b'{"type": "claimed", "mailbox": "aaaa"}',
            b'{"type": "message", "side": "ab", "phase": "pake", "body": "7b7d", "id": "x"}',
            b'{"type": "error", "error": "crowded", "orig": {}}',
        ],
        1: [
            b'{"offer": {"file": {"filename": "x.bin", "filesize": 20000000}}}',
            b'{"offer": {"directory": {"dirname": "t", "mode": "zipfile/deflated", "numbytes": 3, "numfiles": 2, "zipsize": 9}}}',
            b'{"offer": {"message": "hello"}}',
            b'{"answer": {"file_ack": "ok"}}',
            b'{"error": "transfer rejected"}',
            b'{"ack": "ok", "sha256": "00"}',
            b'{"transit": {"abilities-v1": [{"type": "relay-v1"}], "hints-v1": [{"type": "direct-tcp-v1", "hostname": "::1", "port": 1, "priority": 0.0}, {"type": "relay-v1", "hints": []}]}}',
        ],
        2: [b"\x07" + bytes(4), b"\x07" + (40).to_bytes(4, "big") + bytes(40), b"\xff" + b"\xff" * 64],
        3: [b"7-guitarist-revenge", b" 4 crossover clockwork\n", b"7-guitarist-rev"],
    }
    for kind, texts in said.items():
        for number, text in enumerate(texts):
            yield f"{kind}-{number}", bytes([kind]) + text



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
    MESSAGES.mkdir(parents=True, exist_ok=True)
    for name, data in messages():
        (MESSAGES / name).write_bytes(data)
    print(f"{len(os.listdir(FOLDER))} files in {FOLDER}, {len(os.listdir(MESSAGES))} in {MESSAGES}")


if __name__ == "__main__":
    main()
