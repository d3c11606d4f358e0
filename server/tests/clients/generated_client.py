"""A client that openapi-python-client makes of `/openapi.json`, and what it can do.

`generated_client.py BASE KEY FOLDER`: writes, reads and deletes below the root of what BASE serves. The client is made in FOLDER.
"""

import base64
import importlib
import json
import re
import subprocess
import sys
import urllib.request
from io import BytesIO
from pathlib import Path

METHODS = ("get", "head", "put", "post", "patch", "delete")
# With a folder, and characters that stand encoded in an address.
PATH = "run/sub folder/Köln (50%).csv"
CONTENT = "person;trip\n1;2\n".encode() * 1000


def generate(base, folder):
    """Makes the client; the modules of its operations by their names in the description."""
    description = folder / "openapi.json"
    description.write_bytes(urllib.request.urlopen(f"{base}/openapi.json").read())
    # Without the formatting that comes afterwards.
    (folder / "config.json").write_text('{"post_hooks": []}')
    options = ["--path", description, "--config", folder / "config.json", "--meta", "none"]
    generator = Path(sys.executable).parent / "openapi-python-client"
    ran = subprocess.run(
        [generator, "generate", *options, "--output-path", folder / "made"], capture_output=True, text=True, check=True
    )
    sys.path.insert(0, str(folder))
    operations = [
        operation["operationId"]
        for path in json.loads(description.read_bytes())["paths"].values()
        for method, operation in path.items()
        if method in METHODS
    ]
    assert len(operations) > 15, operations
    left_out = []
    made = {}
    for name in operations:
        module = re.sub("[A-Z]", lambda it: "_" + it[0].lower(), name)
        try:
            made[module] = importlib.import_module(f"made.api.default.{module}")
        except ModuleNotFoundError:
            left_out.append(name)
    assert not left_out, f"left out: {left_out}\n{ran.stdout}{ran.stderr}"
    print(f"{len(made)} operations")
    return made


def main():
    base, key, folder = sys.argv[1:]
    made = generate(base, Path(folder))
    # A coded answer has another tag.
    plain = {"Accept-Encoding": "identity"}
    client = importlib.import_module("made.client").AuthenticatedClient(base_url=base, token=key, headers=plain)
    models = importlib.import_module("made.models")
    File = importlib.import_module("made.types").File

    def ask(operation, expected, *args, **named):
        answer = made[operation].sync_detailed(*args, client=client, **named)
        assert answer.status_code == expected, f"{operation}: {answer.status_code} {answer.content}"
        return answer

    def file(content):
        return File(payload=BytesIO(content))

    # One file at once.
    put = ask("put_file", 201, PATH, body=file(CONTENT))
    assert ask("get_file", 200, PATH).content == CONTENT
    head = ask("head_file", 200, PATH)
    assert head.headers["etag"] == put.headers["etag"], (head.headers, put.headers)
    assert ask("get_file", 206, PATH, range_="bytes=7-10").content == CONTENT[7:11]
    assert ask("get_shared", 200, key, PATH).content == CONTENT
    ask("put_file", 412, PATH, body=file(b"other"), if_none_match="*")
    # Listings.
    listing = ask("get_file", 200, "run/sub folder/", format_=models.GetFileFormat.JSON)
    assert [it["name"] for it in json.loads(listing.content)] == [Path(PATH).name], listing.content
    # In pieces.
    tus = {"tus_resumable": models.BeginUploadTusResumable.VALUE_0}
    name = base64.b64encode("large one.bin".encode()).decode()
    begun = ask(
        "begin_upload", 201, into="run/sub folder", upload_length=10, upload_metadata=f"filename {name}", **tus
    )
    upload = begun.headers["location"].rsplit("/", 1)[1]
    piece = ask("continue_upload", 204, upload, body=file(b"01234"), upload_offset=0, **tus)
    assert piece.headers["upload-offset"] == "5"
    assert ask("look_at_upload", 200, upload, **tus).headers["upload-offset"] == "5"
    ask("continue_upload", 204, upload, body=file(b"56789"), upload_offset=5, **tus)
    assert ask("get_file", 200, "run/sub folder/large one.bin").content == b"0123456789"
    # With the first bytes, and given up.
    begun = ask(
        "begin_upload", 201, body=file(b"012"), into="run", upload_length=10, upload_metadata=f"filename {name}", **tus
    )
    assert begun.headers["upload-offset"] == "3"
    upload = begun.headers["location"].rsplit("/", 1)[1]
    ask("end_upload", 204, upload, **tus)
    ask("look_at_upload", 404, upload, **tus)
    # What is read as an object.
    assert ask("get_health", 200).parsed.status == models.HealthStatus.OK
    assert isinstance(ask("get_changes", 200, path="run").parsed.cursor, str)
    missing = ask("get_file", 404, "run/none").parsed
    assert missing.status == 404 and missing.title, missing
    ask("delete_file", 204, PATH)
    ask("get_file", 404, PATH)


main()
