"""Reading a stream's index back into memory, believing no byte that does not prove itself."""

from __future__ import annotations

import logging
from zlib import crc32

from streams.files import DATA, INDEX, StreamFiles
from streams.frames import IndexEntry, frames
from streams.log import Settings, StreamLog

log = logging.getLogger(__name__)
CHECKED = 1 << 20  # how much of the data's end is checked; older bytes were synced long ago


def load(files: StreamFiles, name: str) -> StreamLog | None:
    """The stream up to its last sound entry; None when not even its beginning is sound."""
    raw = files.read(name, INDEX, 0, files.size(name, INDEX))
    entries = [(end, IndexEntry.unpack(payload)) for end, payload in frames(raw)]
    if not entries or "settings" not in entries[0][1].state:
        return None
    birth = dict(entries[0][1].state["settings"])
    if birth.pop("name") != name:
        return None
    stream = StreamLog(name, Settings(**birth))
    data_size = files.size(name, DATA)
    for end, entry in entries:
        if not _is_sound(files, stream, entry, data_size):
            break
        stream.adopt(entry)
        stream.index_size = end
    stream.ragged = stream.index_size < len(raw) or stream.place(stream.tail) < data_size
    if stream.ragged:
        log.warning("Stream %s had a torn end; it was cut at %s.", name, stream.tail)
    return stream if stream.index_size else None


def _is_sound(files: StreamFiles, stream: StreamLog, entry: IndexEntry, data_size: int) -> bool:
    if (entry.messages, entry.before) != stream.tail:
        return False
    length = sum(entry.lengths) + (len(entry.lengths) if stream.settings.is_json else 0)
    start = stream.place(stream.tail)
    if start + length > data_size:
        return False
    if start + length < data_size - CHECKED:
        return True
    return crc32(files.read(stream.name, DATA, start, length)) == entry.checksum
