"""Runs a server where port 22 and the terminals are a test's own, and says how long it stayed awake.

Started by `unshare`, as root of a network and a mount of its own. Arguments: what is logged in (`session`, `forgotten`
or `shell`), and the server's command.
"""

import os
import pty
import socket
import subprocess
import sys
import time

kind, command = sys.argv[1], sys.argv[2:]
subprocess.run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=666", "devpts", "/dev/pts"], check=True)
subprocess.run(["mount", "--bind", "/dev/pts/ptmx", "/dev/ptmx"], check=True)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    import fcntl
    import struct

    # `ip link set lo up`
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))

listener = socket.create_server(("127.0.0.1", 22))
client = socket.create_connection(("127.0.0.1", 22))
session, _ = listener.accept()
outer, inner = pty.openpty()

began = time.monotonic()
server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
while True:
    awake = time.monotonic() - began
    ends = {"session": 3, "shell": 15}.get(kind)
    if ends and awake > ends and client.fileno() >= 0:
        client.close()
        session.close()
    if kind == "shell":
        # The kernel notes a terminal's use every eight seconds only.
        os.utime(os.ttyname(inner))
    try:
        code = server.wait(timeout=0.1)
        break
    except subprocess.TimeoutExpired:
        if awake > 60:
            server.kill()
            sys.exit("it does not sleep")
print(code, time.monotonic() - began)
