"""The real mailbox server and transit relay, on loopback: `servers.py [mailbox[:PORT]] [relay[:PORT]] [key=value …]`.

Says `mailbox PORT` and `relay PORT`, one a line, once they listen. Ends when its input ends, so that it can't outlive the
test that started it.
"""

import sys

from twisted.internet import endpoints, protocol, reactor, stdio

from wormhole_mailbox_server.database import create_or_upgrade_channel_db
from wormhole_mailbox_server.server import make_server
from wormhole_mailbox_server.web import make_web_server
from wormhole_transit_relay import transit_server, usage


class EndOfInput(protocol.Protocol):
    def connectionLost(self, reason):
        reactor.stop()


def mailbox(options):
    server = make_server(
        create_or_upgrade_channel_db(options.get("db", ":memory:")),
        allow_list=options.get("list", "yes") == "yes",
        signal_error=options.get("error"),
        welcome_motd=options.get("motd"),
    )
    return make_web_server(server, False)


def relay(options):
    factory = protocol.ServerFactory()
    factory.protocol = transit_server.TransitConnection
    factory.log_requests = False
    factory.transit = transit_server.Transit(usage.create_usage_tracker(None, None, None), reactor.seconds)
    return factory


def main(arguments):
    options = dict(it.split("=", 1) for it in arguments if "=" in it)
    for name in (it for it in arguments if "=" not in it):
        kind, _, port = name.partition(":")
        factory = {"mailbox": mailbox, "relay": relay}[kind](options)
        endpoint = endpoints.TCP4ServerEndpoint(reactor, int(port or 0), interface="127.0.0.1")
        endpoint.listen(factory).addCallback(
            lambda it, kind=kind: print(kind, it.getHost().port, flush=True)
        )
    stdio.StandardIO(EndOfInput())
    reactor.run()


main(sys.argv[1:])
