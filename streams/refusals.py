"""Every way the stream plane says no: a status for HTTP, a code for programs, a sentence for people."""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """The request cannot be done, and nothing was changed by it."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = headers or {}


class Known(Refusal):
    """A refusal whose status and code are fixed by its class."""

    answer: ClassVar[tuple[int, str]]

    def __init__(self, detail: str, **headers: str) -> None:
        status, code = self.answer
        super().__init__(status, code, detail, {name.replace("_", "-"): value for name, value in headers.items()})


class NoStream(Known):
    answer = (404, "not_found")


class Gone(Known):
    """Deleted, while forks still borrow from it."""

    answer = (410, "gone")


class Dropped(Known):
    """Older than what is kept."""

    answer = (410, "dropped")


class TailMoved(Known):
    answer = (412, "tail_moved")


class AlreadyThere(Known):
    answer = (409, "different_stream")


class StreamClosed(Known):
    answer = (409, "closed")


class WrongType(Known):
    answer = (409, "content_type")


class OutOfSequence(Known):
    answer = (409, "sequence")


class ProducerGap(Known):
    answer = (409, "producer_gap")


class ProducerFenced(Known):
    answer = (403, "producer_fenced")


class Malformed(Known):
    answer = (400, "malformed")


class TooLarge(Known):
    answer = (413, "too_large")


class DiskFull(Known):
    answer = (507, "disk_full")


class StorageFailed(Known):
    answer = (503, "storage_failed")
