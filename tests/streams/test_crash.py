"""Whenever process or machine die: what was acknowledged is there, once, in order, and nothing by half."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from tests.bench.crash import Killing
from tests.streams.crashing import DEAD, WHOLE, crash, findings
from tests.streams.model import put_back

QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.mark.parametrize(("power", "seeds"), [(False, (1, 2)), (True, (3, 4))], ids=["process", "machine"])
def test_at_whichever_call_it_dies(power, seeds):
    with tempfile.TemporaryDirectory(dir=QUICK) as folder:
        points = 0
        for seed in seeds:
            status, call = DEAD, seed
            while status != WHOLE:
                put_back(Path(folder), {})
                status, acked = crash(Path(folder), seed, call, power)
                assert status in (DEAD, WHOLE)
                assert asyncio.run(findings(Path(folder), seed, acked)) == [], f"seed {seed}, call {call}"
                call, points = call + 4, points + 1
        assert points > 60


def test_killed_again_and_again_while_many_write_over_http(tmp_path):
    killing = Killing(tmp_path, seed=1, say=lambda line: None)
    assert killing.run(kills=20) == []
    assert killing.acked > 200
