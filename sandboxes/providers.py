"""Which providers this installation has, by name."""

from functools import cache

from django.conf import settings

from sandboxes.local import Local
from sandboxes.provider import Provider

DEFAULT = "local"


@cache
def provider(name: str) -> Provider:
    """The provider behind a sandbox row. Raises `KeyError` for one this installation does not have."""
    return {"local": lambda: Local(settings.ARBE_VAR / "sandboxes", settings.RUNTIMES)}[name]()
