"""The web process, alone."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from arbe.up import Place, Up
from streams.storage.store import Store


def test_a_web_process_whose_streams_cannot_be_opened_says_why_and_ends(tmp_path: Path):
    var = tmp_path / "var"
    var.mkdir()
    store = Store(var / "streams")
    options = Up(Place(var, "127.0.0.1", 0), {})._uvicorn_options()
    env = os.environ | {"ARBE_VAR": str(var), "ARBE_SECRET_KEY": "x" * 50, "ARBE_STREAMS_KEY": "y" * 50}
    web = [sys.executable, "-m", "uvicorn", "arbe.asgi:application", *options]
    ended = subprocess.run(web, env=env, capture_output=True, text=True, timeout=60, check=False)
    asyncio.run(store.close())
    assert ended.returncode != 0
    assert "already held by another stream server" in ended.stderr
