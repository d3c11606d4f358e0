"""The servers that are compared: how each is started on the same files, and what it has used."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
KEY = "bench-key"
# Programs that `--install` builds.
CRATES = {"dufs": "dufs", "miniserve": "miniserve", "static-web-server": "static-web-server"}
BUILT = TOP / "target/peers"

NGINX = """
user root; daemon off; worker_processes {workers}; pid {here}/nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {more}
    client_body_temp_path {here}/t1; proxy_temp_path {here}/t2; fastcgi_temp_path {here}/t3; uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
    server {{ listen 127.0.0.1:{port} reuseport; root {root}; autoindex on; autoindex_format json; default_type application/octet-stream; }}
}}
"""
CADDY = """
{{ admin off
   auto_https off
   persist_config off }}
http://127.0.0.1:{port} {{ root * {root}
   file_server browse }}
"""


def program(name):
    built = BUILT / "bin" / name
    return str(built) if built.exists() else shutil.which(name)


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Peer:
    """A running server. `files` is what its URLs of public files begin with, `private` those that need the key."""

    name, label = "", ""
    files = private = ""
    fields = ()

    def __init__(self, volume, here):
        self.volume, self.here, self.port = volume, here, free_port()
        began = time.perf_counter()
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=self.environment()
        )
        self.started_in = self.wait(began)

    def environment(self):
        return dict(os.environ)

    def command(self):
        raise NotImplementedError

    def wait(self, began):
        """Seconds until the first answer."""
        while time.perf_counter() - began < 20:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as it:
                    it.sendall(f"GET {self.files}/small/0.csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    if it.recv(12).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - began
            except ConnectionRefusedError:
                time.sleep(0.0002)
        self.end()
        raise RuntimeError(f"{self.name} does not answer")

    def processes(self):
        """This process and its children."""
        found, new = [], [self.process.pid]
        while new:
            pid = new.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    new += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except FileNotFoundError:
                pass
        return found

    def cpu(self):
        """Seconds of the processor, of all its processes and of their threads that have ended."""
        ticks = 0
        for pid in self.processes():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self, field="RssAnon"):
        """KiB of its own, not of files that are mapped."""
        total = 0
        for pid in self.processes():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    total += int(line.split()[1])
        return total

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Ours(Peer):
    name, label = "ours", "sounding-server"
    files, private = "/files/public", "/files/runs"
    fields = (f"Authorization: {KEY}",)
    binary = str(TOP / "target/release/sounding-server")

    def environment(self):
        return {**os.environ, "API_KEYS": KEY}

    def command(self):
        return [self.binary, "--volume", self.volume, "--listen", f"127.0.0.1:{self.port}", "--admin", f"{self.here}/admin.sock"]


class Nginx(Peer):
    name, label, more = "nginx", "nginx, sendfile", ""
    files, private = "/public", "/runs"

    def command(self):
        path = pathlib.Path(self.here) / f"{self.name}.conf"
        path.write_text(NGINX.format(workers=len(os.sched_getaffinity(0)), here=self.here, port=self.port, root=self.volume, more=self.more))
        return [program("nginx"), "-e", "stderr", "-c", str(path)]


class NginxCached(Nginx):
    name, label = "nginx-cached", "nginx, open_file_cache (may be 2 s stale)"
    more = "open_file_cache max=10000 inactive=60s; open_file_cache_valid 2s;"


class Caddy(Peer):
    name = label = "caddy"
    files, private = "/public", "/runs"

    def command(self):
        path = pathlib.Path(self.here) / "Caddyfile"
        path.write_text(CADDY.format(port=self.port, root=self.volume))
        return [program("caddy"), "run", "--config", str(path), "--adapter", "caddyfile"]


class Dufs(Peer):
    name = label = "dufs"
    files, private = "/public", "/runs"

    def command(self):
        return [program("dufs"), self.volume, "--bind", "127.0.0.1", "--port", str(self.port), "--log-format", ""]


class Miniserve(Peer):
    name = label = "miniserve"
    files, private = "/public", "/runs"

    def command(self):
        return [program("miniserve"), self.volume, "--interfaces", "127.0.0.1", "--port", str(self.port)]


class StaticWebServer(Peer):
    name, label = "static-web-server", "static-web-server"
    files, private = "/public", "/runs"

    def command(self):
        return [program("static-web-server"), "--host", "127.0.0.1", "--port", str(self.port), "--root", self.volume]


ALL = {it.name: it for it in (Nginx, Ours, NginxCached, Caddy, Dufs, Miniserve, StaticWebServer)}


def available(names):
    return [ALL[it] for it in names if it == "ours" or program({"nginx-cached": "nginx"}.get(it, it))]


def install():
    """What can be had: nginx and caddy from the system, the others built. Takes some minutes."""
    missing = [it for it in ("nginx", "caddy") if not shutil.which(it)]
    if missing:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True)
    for name, crate in CRATES.items():
        if not program(name):
            subprocess.run(["cargo", "install", "--root", BUILT, "--locked", crate], check=True)
