"""Writes small inputs for every target into corpus, for the fuzzer to begin with."""

import base64
import io
import pathlib
import tarfile
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


def key_files():
    """Keys files for the target `keys`: the first byte says which edit of which row."""
    key = b"kmt-4Jq0vT7sYb2NcXw8ZpL5eRk3HdUm6AfG"
    sealed = b"#!sha256,zoe,9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08,read,zurich\n"
    rows = b"# username,apikey,scope,path,expires,created,note\nkmt," + key + b",write,berlin/v6,2099-12-31,2026-11-24,a, b\n"
    texts = [
        rows + sealed,
        b"\xef\xbb\xbfusername,apikey\r\nkmt, " + key + b" \r\nx,\r\n",
        b"# kmt," + key + b"\nkmt," + key + b",read,,2020-01-01\n" + sealed * 2,
        b'"kmt","' + key + b'","read"\n"#!sha256";"zoe";"' + sealed[13:77] + b'"\n',
        b"kmt;" + key + b";read\nkmt\t" + key + b"\n",
        b"#!sha256,x,e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855,write\ny,y-\n",
    ]
    for edit in range(8):
        for number, text in enumerate(texts):
            yield bytes([edit + 16 * (number % 3)]) + text


def heads():
    """Requests for the target `http_head`."""
    fields = b"Host: localhost\r\nAuthorization: kmt-1\r\nAccept-Encoding: gzip;q=1.0, br\r\nRange: bytes=0-1,-5\r\n"
    for target in (b"/files/a%20b/c.csv", b"/files/", b"/health", b"/share/k/a?x=1", b"*", b"http://h/files/a"):
        for method in (b"GET", b"HEAD", b"PUT", b"OPTIONS"):
            yield method + b" " + target + b" HTTP/1.1\r\n" + fields + b"Connection: close\r\n\r\n"
    yield b"GET /files/a HTTP/1.1\r\nHost: a\r\nIf-Range: \"x\"\r\nIf-None-Match: *\r\nX-Forwarded-For: ::1\r\n\r\nGET /files/b HTTP/1.1\r\n"
    yield b"GET /files/a HTTP/1.1\nHost: a\n Folded: b\nContent-Length: 1\nTransfer-Encoding: chunked\n\n1"


def tars():
    """Archives for the target `unpack_tar`."""
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for members in (
            [("t", None), ("t/a.txt", b"one"), ("t/" + "n" * 60 + "/" + "n" * 60, b"two")],
            [("./a", b"x"), ("../b", b"y"), ("/c", b"z"), (".hidden", b"h")],
        ):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=form) as made:
                for name, data in members:
                    entry = tarfile.TarInfo(name)
                    entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
                    entry.size = len(data or b"")
                    made.addfile(entry, io.BytesIO(data or b""))
                link = tarfile.TarInfo("link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                made.addfile(link)
            # Without the empty blocks at its end, which only cost time.
            yield out.getvalue().rstrip(b"\0") + bytes(1024)


def others():
    """Inputs of the other targets, by its name."""
    length = (1000).to_bytes(8, "little")
    ranges = (b"bytes=0-", b"bytes=5-9", b"bytes=-3", b"bytes=0-0,2-3,-1", b"bytes=999-,1000-", b"bytes= 1 - 2 , ,3-", b"bits=0-1")
    yield "range", [length + it for it in ranges]
    name, folders = base64.b64encode(b"a b.csv"), base64.b64encode(b"run/it.0/x.gz")
    yield "upload_metadata", [
        b"filename " + name + b",exists cmVwbGFjZQ==",
        b"relativePath " + folders + b", name " + name + b"\ninto=berlin%2Fx&exists=keep-both",
        b"filename " + base64.b64encode(b"../x") + b"\ninto=/a//b/",
    ]
    yield "path", [b"a/b%20c/d.csv", b"a//./b", b"a%2fb", b"..%2f", b"%2e%2e/x", b".simwrapper/x", b"a/.sounding/b", b"%ff%00", "ä".encode()]
    row = b"i" + bytes(7) + b"\x05i" + bytes(7) + b"\x01t\x05addedb\x05a.csv-t\x04file" + (b"i" + bytes(7) + b"\x09") * 4
    yield "journal_row", [row, row.replace(b"-t", b"b\x01bt"), row.replace(b"i", b"r"), b"17-199c0", b"0--5"]
    yield "keys", list(key_files())
    yield "http_head", list(heads())
    yield "unpack_tar", list(tars())


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
    for target, inputs in [*others(), ("unpack_zip", list(made.values()))]:
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (CORPUS / target / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main()
