"""Files that only this account may read: generated passwords and keys."""

import base64
import os
import secrets
from pathlib import Path


def write(file: Path, text: str) -> None:
    """Replace the whole file at once; it is never readable by others, not even for a moment."""
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(file)


def generated(file: Path) -> str:
    """The secret in the file; made up on first asking: 32 random bytes, as url-safe base64."""
    if not file.exists():
        write(file, new_key() + "\n")
    return file.read_text().strip()


def new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
