"""No is a sentence with a code: the one family of errors that people and bots get to read."""

LARGEST_FILE = 64 * 1024 * 1024  # bytes, whichever way it comes


class Refused(Exception):
    """Something was asked that cannot be done; `detail` says what happened and what to do.

    `code` is stable and for programs, `detail` is for people, `status` is the HTTP status an edge answers with.
    A refused request leaves nothing behind.
    """

    code = "refused"
    status = 409

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotFound(Refused):
    """It is not there, or it is not yours: the answer is the same for both."""

    code = "not_found"
    status = 404

    def __init__(self, detail: str = "There is nothing here under that address.") -> None:
        super().__init__(detail)


class Forbidden(Refused):
    """You may see it, but this is not yours to do."""

    code = "forbidden"
    status = 403


class Invalid(Refused):
    """What was sent cannot be understood or kept."""

    code = "invalid"
    status = 400


class NameTaken(Refused):
    """Something else of the house, or of the installation, has that name."""

    code = "name_taken"


class TooLarge(Refused):
    """More bytes than this place takes."""

    code = "too_large"
    status = 413


class TooMany(Refused):
    """Asked too often; after `retry_after` seconds it is answered again."""

    code = "too_many_requests"
    status = 429

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
