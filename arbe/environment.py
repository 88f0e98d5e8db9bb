"""What the environment says, and what the file that `manage.py up` writes says where the environment is silent."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
ARBE_VAR = Path(os.environ.get("ARBE_VAR", BASE_DIR / "var")).resolve()


def _written() -> dict[str, str]:
    try:
        lines = (ARBE_VAR / "arbe.env").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


_from_file = _written()


def env(name: str, default: str = "") -> str:
    return os.environ.get(name) or _from_file.get(name) or default


def env_or_file(name: str) -> str:
    """The setting, or what is in the file that `<name>_FILE` names; what the environment says in either way wins."""
    for given in (os.environ, _from_file):
        if given.get(name):
            return given[name]
        if given.get(f"{name}_FILE"):
            return Path(given[f"{name}_FILE"]).read_text()
    return ""


def database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "arbe",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": "arbe", **dict(parse_qsl(parts.query))},  # sslmode and the like
    }


def pooled(url: str) -> dict[str, Any]:
    """Requests and followers of commands live in threads of their own, and connecting takes longer than their work."""
    one = database(url)
    pool = {"min_size": 0, "max_size": 40, "timeout": 20}
    return one | {"CONN_MAX_AGE": 0, "OPTIONS": one["OPTIONS"] | {"pool": pool}}
