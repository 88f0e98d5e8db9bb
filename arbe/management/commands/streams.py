from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from streams.serving.alone import PORT, Alone, CannotServe, is_loopback
from streams.serving.server import StreamServer
from streams.storage.opening import store_at
from streams.wire import OpenDoor


class Command(BaseCommand):
    """Serve streams in a process of their own until Ctrl-C or SIGTERM.

    To whom the web process would serve them, which then must not hold them itself: it is told ARBE_STREAMS_HERE=no and
    STREAMS_URL. With --open, to everybody on this machine.
    """

    help = __doc__ or ""
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--open", action="store_true", help="ask nobody who they are: for tests, on loopback alone")
        parser.add_argument(
            "--host", default="127.0.0.1", help="the address to answer on (default: this machine alone)"
        )
        parser.add_argument("--port", type=int, default=PORT, help=f"the port to answer on (default: {PORT})")
        parser.add_argument(
            "--jetstream",
            action="append",
            default=[],
            metavar="URL",
            help="a node of the cluster that orders the streams of several machines, once for each"
            " (default: STREAMS_JETSTREAM; with --open, none)",
        )
        parser.add_argument("--folder", type=Path, help="where the streams are kept (default: `streams` in ARBE_VAR)")
        parser.add_argument("--long-poll", type=float, default=20.0, help="seconds that a poll waits (default: 20)")
        parser.add_argument("--sse", type=float, default=60.0, help="seconds that an event stream lasts (default: 60)")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"] or settings.ARBE_VAR / "streams"
        times = {"long_poll": options["long_poll"], "sse": options["sse"]}
        if options["open"]:
            alone, to_whom = self._open(folder, options, times), "everybody on this machine"
        else:
            alone, to_whom = self._guarded(folder, options, times), "whoever may read them"
        try:
            alone.serve_here(self._say, f"The streams in {folder} are served at {{where}} to {to_whom}.")
        except (CannotServe, OSError) as refusal:
            raise CommandError(str(refusal)) from refusal

    def _open(self, folder: Path, options: dict[str, Any], times: dict[str, Any]) -> Alone:
        host, nodes = options["host"], options["jetstream"]
        if not is_loopback(host):
            raise CommandError(f"With --open everybody may read and write, so not on {host}: only on loopback.")
        return Alone(
            lambda: StreamServer(store_at(folder, nodes), OpenDoor(), public=True, **times), host, options["port"]
        )

    def _guarded(self, folder: Path, options: dict[str, Any], times: dict[str, Any]) -> Alone:
        from arbe.serving import stream_server  # it brings all of arbe along

        if not settings.STREAMS_KEY:
            raise CommandError("ARBE_STREAMS_KEY is not set; `manage.py up` makes one.")
        make = partial(stream_server, folder, jetstream=options["jetstream"], **times)
        return Alone(make, options["host"], options["port"])

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
