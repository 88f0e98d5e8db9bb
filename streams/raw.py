"""What may be a raw stream: bytes, text or JSON that a house keeps for itself, at `/v1/stream/HOUSE/raw.NAME`.

No stream of arbe's own has a dot in its id, so a raw stream is never taken for the log of a thread.
"""

import re

from streams.refusals import Malformed
from streams.terms import media_type

NAME = re.compile(r"raw\.[a-z0-9][a-z0-9._-]{0,59}", re.ASCII)
NAMES = "`raw.` and a name in small letters and digits, with dots, dashes and underscores"
# It is served from arbe's own address: nothing that a browser would run, or take for a page of ours.
_HARMLESS = re.compile(
    r"application/(octet-stream|json|[a-z0-9.-]+\+json|x-ndjson|cbor|msgpack|x-protobuf|protobuf|gzip|zstd)"
    r"|text/(plain|markdown|csv|tab-separated-values)"
    r"|audio/[a-z0-9.+-]+|video/[a-z0-9.+-]+|image/(png|jpeg|gif|webp|avif)",
    re.ASCII,
)
# Of two types in one header browsers believe the last: nothing is kept but what is known to mean nothing else.
_PARAMETERS = re.compile(r'[^;,]+(;[ \t]*charset="?utf-8"?)?', re.ASCII | re.IGNORECASE)


def is_raw(name: str) -> bool:
    """Whether that is a name a house may give to a stream."""
    return NAME.fullmatch(name) is not None


def require_harmless(content_type: str) -> None:
    """Refuse what a browser would do something with."""
    if not _PARAMETERS.fullmatch(content_type):
        raise Malformed("Of parameters, the Content-Type of a raw stream has `charset=utf-8` or none.")
    if not _HARMLESS.fullmatch(media_type(content_type)):
        raise Malformed(
            "A raw stream holds bytes (application/octet-stream), text (text/plain, text/markdown, text/csv), JSON "
            "(application/json), sound or pictures; nothing that a browser would run."
        )
