"""The container's first program: makes the folders, then is supervisord, which keeps nginx and the server up.

Exits with 0 when the server went to sleep or was told to stop, and with 1 when one of the two can't be kept up.
"""

import os

VOLUME = os.environ.get("SOUNDING_VOLUME", "/data")
# KiB that the kernel reads around a page that is touched for the first time: a start touches a third of the programs, all over.
READ_AHEAD = 32


def read_less_ahead():
    """Of the disk that the programs are on, which on Fly gives 8 MiB a second. The volume's is left as it is."""
    try:
        device = os.stat("/").st_dev
        if os.stat(VOLUME).st_dev == device:
            return
        with open(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb", "w") as setting:
            setting.write(str(READ_AHEAD))
    except OSError:
        # There is no volume yet. Or, in a container on somebody's machine, no such disk, or it is not ours to set: it is quick, then.
        pass


# Before all that follows is read.
read_less_ahead()

import collections
import errno
import pwd
import resource
import signal
import socket
import sys
import types

# supervisord loads these for its remote control, which is not used here, and they are most of its start: nothing stands in for them.
for name in ["hashlib", "html.parser", "http.client", "pkg_resources", "supervisor.xmlrpc", "xmlrpc.client"]:
    module = sys.modules[name] = types.ModuleType(name)
    module.__getattr__ = lambda attribute: None

from supervisor import events
from supervisor.datatypes import SocketConfig
from supervisor.medusa.asyncore_25 import ExitNow
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

CONFIGURATION = "/etc/sounding/supervisord.conf"
# What nginx reads of its own (nginx.conf), in a folder in which only root can put something else in its place.
CONNECTIONS = "/run/connections.conf"
# Bytes that a socket takes beyond what its client is known to have room for.
MOST_UNSENT = 128 * 1024


class Port(SocketConfig):
    """The public port, for the server itself: IPv6, and IPv4 by it."""

    url = "tcp://[::]:8080"

    def create_and_bind(self):
        return socket.create_server(("", 8080), family=socket.AF_INET6, dualstack_ipv6=True)


# A user, who may have no name in the image.
User = collections.namedtuple("User", "uid gid")


class Options(ServerOptions):
    """supervisord's, which knows only users who have a name."""

    def drop_privileges(self, user):
        if not isinstance(user, User):
            return super().drop_privileges(user)
        if user.uid == os.getuid():
            return None
        try:
            os.setgroups([])
            os.setgid(user.gid)
            os.setuid(user.uid)
        except OSError as error:
            return f"can't become user {user.uid}: {error.strerror} (the capabilities SETUID and SETGID are needed)"


class Container(Supervisor):
    """A supervisord that starts its programs at once, and ends with them."""

    failed = False

    def runforever(self):
        events.subscribe(events.ProcessStateExitedEvent, self.exited)
        events.subscribe(events.ProcessStateBackoffEvent, self.ended_early)
        events.subscribe(events.ProcessStateFatalEvent, self.given_up)
        events.subscribe(events.SupervisorStoppingEvent, self.stopping_now)
        # Held also while the server is started anew after a crash, so that requests wait for it.
        self.sockets = [
            group.socket_manager.get_socket()
            for group in self.process_groups.values()
            if hasattr(group, "socket_manager")
        ]
        # The loop would wait a second before it starts anything.
        for group in sorted(self.process_groups.values()):
            group.transition()
        super().runforever()

    def exited(self, event):
        self.ended_early(event)
        if event.expected and event.process.config.name == "server":
            self.options.mood = SupervisorStates.SHUTDOWN

    def ended_early(self, event):
        """What nginx left when it was killed still has the port: it finishes what it is at, and lets go of it."""
        if event.process.config.name == "nginx" and event.process.pid:
            try:
                os.killpg(event.process.pid, signal.SIGQUIT)
            except ProcessLookupError:
                pass

    def given_up(self, event):
        self.failed = self.failed or not self.stopping
        self.options.mood = SupervisorStates.SHUTDOWN

    def stopping_now(self, event):
        # Nobody would answer any more: with the server's end, whoever waits shall hear so from nginx.
        self.sockets.clear()


def opened(path):
    """Opens a folder, which is made if it is missing.

    The folder above may be the service's, which could plant a link there to a folder of root's. So none is followed.
    """
    try:
        os.makedirs(path, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ELOOP, errno.ENOTDIR):
            sys.exit(f"{path} must be a folder, and can't be a link or a file. Move it away and start again.")
        sys.exit(f"{path} can't be made or opened: {error.strerror}")


def named(name):
    """A user of the image."""
    found = pwd.getpwnam(name)
    return User(found.pw_uid, found.pw_gid)


def folder(path, user, mode):
    """Makes a folder, or takes over one that is another's. What is in it stays as it is: a volume is too large to be walked."""
    it = opened(path)
    try:
        before = os.fstat(it).st_uid
        if before != user.uid:
            os.fchmod(it, mode)
            os.fchown(it, user.uid, user.gid)
            if before != 0:
                print(f"{path} was user {before}'s: `sounding doctor --fix-owners` gives the service what is in it", file=sys.stderr)
    except OSError as error:
        sys.exit(f"{path} can't be given to user {user.uid}: {error.strerror} (the capabilities CHOWN and FOWNER are needed)")
    finally:
        os.close(it)


def service_user():
    """Who the service runs as: the owner of the volume. One that is root's, as a new one is, becomes that of the image's own user; but a
    folder of somebody's on the machine around the container stays theirs, and so does what the service puts there."""
    # The volume's own path is the operator's word, and may be a link.
    root = os.path.realpath(VOLUME)
    it = opened(root)
    stat = os.fstat(it)
    os.close(it)
    # Root of a namespace is who has started it: without rights of root's, and this is their folder.
    with open("/proc/self/uid_map") as file:
        is_root_of_the_machine = file.read().split()[:2] == ["0", "0"]
    if stat.st_uid != 0 or not is_root_of_the_machine:
        return User(stat.st_uid, stat.st_gid)
    user = named("sounding")
    folder(root, user, 0o750)
    return user


def old_keys(user):
    """The keys of the server before this one, which the first start takes over: whoever put them there, they are the service's to read."""
    for folder, names in [(VOLUME, ["auth-keys.csv"]), (f"{VOLUME}/.admin", [".", "auth-keys.csv"])]:
        try:
            it = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if folder != VOLUME else 0))
        except OSError:
            continue
        for name in names:
            # A link's target may be anybody's.
            try:
                os.chown(name, user.uid, user.gid, dir_fd=it, follow_symlinks=False)
            except FileNotFoundError:
                pass
            except OSError as error:
                print(f"{folder}/{name} can't be given to user {user.uid}: {error.strerror}", file=sys.stderr)
        os.close(it)


def connections():
    """How many clients' connections there may be at a time. What is no such number the server refuses."""
    try:
        return max(1, min(int(os.environ.get("SOUNDING_CONNECTIONS", 10_000)), 1_000_000))
    except ValueError:
        return 10_000


def open_files():
    """Lets both programs open as many files as connections take, or as the platform lets them. Returns how many that are.

    A connection takes a socket and a file of the server, and two sockets of nginx; a third is for all else.
    """
    wanted = 3 * connections()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard > wanted:
        # Not more than is of use: who goes through all that may be open takes long.
        wanted = max(wanted, 4096 if hard == resource.RLIM_INFINITY else min(4096, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        return wanted
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard


def bound_unsent():
    """In the container's own network: without it a client that does not read holds megabytes, which are lost when the machine stops."""
    try:
        with open("/proc/sys/net/ipv4/tcp_notsent_lowat", "w") as setting:
            setting.write(str(MOST_UNSENT))
    except OSError as error:
        print(f"tcp_notsent_lowat can't be set ({error.strerror}): each slow client may hold some megabytes of memory", file=sys.stderr)


def main():
    if os.geteuid() != 0:
        sys.exit("the container must be started as root: it runs the service as the volume's owner, or as `sounding`")
    front = os.environ.get("SOUNDING_FRONT", "nginx")
    if front not in ("nginx", "direct"):
        sys.exit("SOUNDING_FRONT is `nginx`, or `direct` for the server on the port itself")
    if not os.path.ismount(VOLUME):
        print(f"no volume is mounted at {VOLUME}: what is stored goes with the container", file=sys.stderr)
    user = service_user()
    folder(f"{VOLUME}/.sounding", user, 0o700)
    if not os.path.exists(f"{VOLUME}/.sounding/auth-keys.csv"):
        old_keys(user)
    folder("/run/sounding", user, 0o700)
    folder("/run/nginx", named("www-data"), 0o700)
    bound_unsent()
    with open(CONNECTIONS, "w") as setting:
        # More than the server takes, so that it is the server who says that there are no more: nginx's own sockets are among them.
        setting.write(f"worker_connections {min(2 * connections() + 64, open_files())};\n")

    options = Options()
    options.realize(["-c", CONFIGURATION])
    options.first, options.test = True, False
    [nginx] = [it for it in options.process_group_configs if it.name == "nginx"]
    [server] = [it for it in options.process_group_configs if it.name == "server"]
    [program] = server.process_configs
    program.uid = user
    if front == "direct":
        options.process_group_configs.remove(nginx)
        server.socket_config = Port()
        # Elsewhere somebody must say that nobody else can reach the port (SOUNDING_BEHIND_PROXY).
        if "FLY_APP_NAME" in os.environ:
            program.command += " --behind-proxy"
    else:
        server.socket_config.owner = (user.uid, server.socket_config.owner[1])
    container = Container(options)
    try:
        container.main()
    except ExitNow:
        pass
    sys.exit(1 if container.failed else 0)


if __name__ == "__main__":
    main()
