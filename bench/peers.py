"""The servers that are compared: how each is started on the same files, and what it has used."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
KEY = "bench-key"
# Where `--install` puts what it builds: programs that are crates of the same name.
BUILT = TOP / "target/peers"
CRATES = ("dufs", "miniserve", "static-web-server")
# From Debian.
PACKAGES = ("nginx", "caddy")

NGINX = """
user root; daemon off; worker_processes {workers}; pid {here}/nginx.pid; error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {more}
    client_body_temp_path {here}/t1; proxy_temp_path {here}/t2; fastcgi_temp_path {here}/t3; uwsgi_temp_path {here}/t4; scgi_temp_path {here}/t5;
    server {{
        listen 127.0.0.1:{port} reuseport; root {root}; autoindex on; autoindex_format json; default_type application/octet-stream;
        location = /health {{ default_type application/json; add_header Cache-Control no-store; return 200 '{health}'; }}
    }}
}}
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    root * {root}
    file_server browse
}}
"""


def program(name):
    built = BUILT / "bin" / name
    return str(built) if built.exists() else shutil.which(name)


def health():
    """What a server that is well tells."""
    return f'{{"status":"ok","version":"{Ours.version()}","warnings":[]}}'


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Peer:
    """A running server. `files` is what its URLs of public files begin with, `private` those that need the key, and `top` all others."""

    name, label = "", ""
    files = private = top = ""
    fields = ()
    version_word = "--version"

    # Bytes that a socket takes beyond what its client has room for: all that there is room for, as the kernel has it.
    most_unsent = 0xFFFF_FFFF

    def __init__(self, volume, here):
        self.volume, self.here, self.port = volume, pathlib.Path(here), free_port()
        self.started = []
        self.bound_unsent()
        began = time.perf_counter()
        for command in self.commands():
            quiet = dict(stdin=self.standard_input(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.started.append(subprocess.Popen(command, **quiet, start_new_session=True, env=self.environment()))
        self.started_in = self.wait(began)

    def bound_unsent(self):
        """As the container's first program does it in its own network, which all of this runs in, or else is left alone."""
        # Only in a network of one's own is there nothing but the loopback.
        if len(socket.if_nameindex()) == 1:
            pathlib.Path("/proc/sys/net/ipv4/tcp_notsent_lowat").write_text(str(self.most_unsent))

    def standard_input(self):
        return subprocess.DEVNULL

    def environment(self):
        return dict(os.environ)

    def commands(self):
        """The program that listens comes last."""
        raise NotImplementedError

    @classmethod
    def binary(cls):
        return program(cls.name)

    @classmethod
    def version(cls):
        output = subprocess.run([cls.binary(), cls.version_word], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
        return re.search(r"\d+(\.\d+)+", output)[0]

    def wait(self, began):
        """Seconds until the first answer."""
        while time.perf_counter() - began < 20:
            try:
                with socket.create_connection(("127.0.0.1", self.port)) as it:
                    it.sendall(f"GET {self.files}/small/0.csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    if it.recv(12).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - began
            except OSError:
                pass
            time.sleep(0.0002)
        self.end()
        raise RuntimeError(f"{self.name} does not answer")

    def settle(self):
        """Waits until it rests: some have things to do after their first answer."""
        before = self.cpu()
        for _ in range(300):
            time.sleep(0.1)
            now = self.cpu()
            if now - before < 0.001:
                return
            before = now
        raise RuntimeError(f"{self.name} does not come to rest")

    def processes(self):
        """These processes and their children."""
        found, new = [], [it.pid for it in self.started]
        while new:
            pid = new.pop()
            found.append(pid)
            for task in os.listdir(f"/proc/{pid}/task"):
                new += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        return found

    def cpu(self):
        """Seconds of the processor that all threads have used, those too that have ended."""
        # A process's CPU clock, see clock_getcpuclockid(3): nanoseconds, where /proc has hundredths of a second.
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.processes())

    def memory(self, field="RssAnon"):
        """KiB; by default of its own, not of files that are mapped."""
        total = 0
        for pid in self.processes():
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    total += int(line.split()[1])
        return total

    def forget_peak(self):
        """`VmHWM` begins anew."""
        for pid in self.processes():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def end(self):
        for process in reversed(self.started):
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class Ours(Peer):
    name, label = "ours", "sounding-server"
    files, private = "/files/public", "/files/runs"
    fields = (f"Authorization: {KEY}",)
    path = str(TOP / "target/dist/sounding-server")

    def environment(self):
        return {**os.environ, "API_KEYS": KEY}

    def commands(self):
        return [self.server(f"127.0.0.1:{self.port}")]

    def server(self, listen):
        return [self.binary(), "--volume", self.volume, "--listen", listen, "--admin", f"{self.here}/admin.sock"]

    @classmethod
    def binary(cls):
        return cls.path


class Chain(Ours):
    """As it is deployed: nginx in front, with the container's own configuration."""

    most_unsent = 131_072

    def commands(self):
        text = (TOP / "nginx.conf").read_text()
        connections = self.here / "connections.conf"
        connections.write_text("worker_connections 20000;")
        for theirs, here in (
            ("/run/server.sock", f"{self.here}/server.sock"),
            ("/run/connections.conf", connections),
            ("/run/nginx", self.here),
            ("8080", self.port),
        ):
            assert theirs in text, f"nginx.conf has no {theirs}"
            text = text.replace(theirs, str(here))
        path = self.here / "chain.conf"
        path.write_text(text)
        return [self.server(f"unix:{self.here}/server.sock"), [program("nginx"), "-e", "stderr", "-g", "user root;", "-c", str(path)]]


class Direct(Ours):
    """As it is deployed with `SOUNDING_FRONT=direct`: a socket of both protocols is handed over."""

    most_unsent = 131_072

    def commands(self):
        return [[*self.server("fd:0"), "--behind-proxy"]]

    def standard_input(self):
        return socket.create_server(("", self.port), family=socket.AF_INET6, dualstack_ipv6=True)


class Nginx(Peer):
    name, label, more = "nginx", "nginx, sendfile", ""
    files, private = "/public", "/runs"
    version_word = "-v"

    def commands(self):
        path = self.here / "nginx.conf"
        path.write_text(NGINX.format(workers=len(os.sched_getaffinity(0)), here=self.here, port=self.port, root=self.volume, more=self.more, health=health()))
        return [[self.binary(), "-e", "stderr", "-c", str(path)]]

    @classmethod
    def binary(cls):
        return program("nginx")


class NginxCached(Nginx):
    """Answers for as long as two seconds with what a file was."""

    name, label = "nginx-cached", "nginx, open_file_cache"
    more = "open_file_cache max=10000 inactive=60s; open_file_cache_valid 2s;"


class Caddy(Peer):
    name = label = "caddy"
    files, private = "/public", "/runs"
    version_word = "version"

    def environment(self):
        # Where it keeps its configuration.
        return {**os.environ, "XDG_CONFIG_HOME": str(self.here), "XDG_DATA_HOME": str(self.here)}

    def commands(self):
        path = self.here / "Caddyfile"
        path.write_text(CADDY.format(port=self.port, root=self.volume))
        return [[self.binary(), "run", "--config", str(path), "--adapter", "caddyfile"]]


class Dufs(Peer):
    name = label = "dufs"
    files, private = "/public", "/runs"

    def commands(self):
        return [[self.binary(), self.volume, "--bind", "127.0.0.1", "--port", str(self.port), "--log-format", ""]]


class Miniserve(Peer):
    name = label = "miniserve"
    files, private = "/public", "/runs"

    def commands(self):
        return [[self.binary(), self.volume, "--interfaces", "127.0.0.1", "--port", str(self.port)]]


class StaticWebServer(Peer):
    name = label = "static-web-server"
    files, private = "/public", "/runs"

    def commands(self):
        return [[self.binary(), "--host", "127.0.0.1", "--port", str(self.port), "--root", self.volume]]


ALL = {it.name: it for it in (Nginx, Ours, NginxCached, Caddy, Dufs, Miniserve, StaticWebServer)}


def available(names):
    """Those that are there, nginx and ours in any case."""
    return [it for it in ALL.values() if it in (Nginx, Ours) or it.name in names and it.binary()]


def need(ours):
    """Ends with what to do where nginx or ours is not there: all others are left out."""
    if not Nginx.binary():
        sys.exit("there is no nginx here to compare with: `bench/streaming.py --install` brings it")
    if not pathlib.Path(ours).exists():
        sys.exit(f"there is no {ours}: run `cargo build --profile dist --workspace` first")


def install():
    """nginx and caddy from the system, the others built from their sources: some ten minutes, once."""
    missing = [it for it in PACKAGES if not program(it)]
    if missing:
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*as_root, "apt-get", "install", "-y", "--no-install-recommends", *missing], check=True)
    for name in CRATES:
        if not program(name):
            subprocess.run(["cargo", "install", "--locked", "--root", BUILT, name], check=True)
