"""Uploads a file with tuspy, checksums and all: tus.py URL KEY FILE"""

import os
import sys

from tusclient.client import TusClient

url, key, path = sys.argv[1:]
client = TusClient(url, headers={"Authorization": key})
uploader = client.uploader(
    path,
    metadata={"filename": os.path.basename(path)},
    chunk_size=8 * 1024 * 1024,
    upload_checksum=True,
    retries=200,
    retry_delay=0.2,
)
uploader.upload()
