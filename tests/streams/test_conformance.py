"""The official conformance suite, all of it, against `manage.py streams --open`."""

import os
import signal
import subprocess
import sys

import pytest

from arbe.ports import free_port
from arbe.up import CHECKOUT, MANAGE
from tests.streams.upstream import conformance

LONG_POLL = 0.5  # seconds, as upstream tests its own server: the suite waits for polls to end
ALL_OF_IT = 338


@pytest.fixture
def served(tmp_path):
    """What an operator starts; its address, and then the process."""
    port, env = free_port(), os.environ | {"ARBE_VAR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    options = ["--open", "--port", str(port), "--folder", str(tmp_path / "streams"), "--long-poll", str(LONG_POLL)]
    with subprocess.Popen(
        [*MANAGE, "streams", *options], cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            said = process.stdout.readline().decode()
            assert f"http://127.0.0.1:{port}/v1/stream/" in said, said + process.stdout.read().decode()
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            assert (process.wait(10), process.stdout.read()) == (0, b"")
        finally:
            process.kill()


@pytest.mark.timeout(500)
def test_all_of_the_official_suite_passes(served, tmp_path):
    told = conformance(served, LONG_POLL, tmp_path)
    failed = {name: outcome for name, outcome in told.items() if outcome != "passed"}
    for name, outcome in failed.items():
        print(f"{name}\n    {outcome}", file=sys.stderr)
    assert (failed, len(told)) == ({}, ALL_OF_IT)
