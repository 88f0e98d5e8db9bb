"""Whether bots may ask models on this machine: the operator's word, and what goes without saying."""

import os
import subprocess
import sys

import pytest

from arbe import process_env

TOLD = "ARBE_LOCAL_MODELS"


def said(given, host):
    return process_env.local_models(given, host, process_env.addresses(given, host, 8000))[TOLD]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_who_is_alone_at_the_machine_asks_models_on_it(host):
    assert said({}, host) == "yes"
    assert said({TOLD: "no"}, host) == "no"


@pytest.mark.parametrize(
    ("host", "given"),
    [
        ("0.0.0.0", {}),
        ("::", {}),
        ("", {}),
        ("192.168.1.7", {}),
        ("127.0.0.1", {"ARBE_URL": "https://arbe.example"}),
        ("127.0.0.1", {"ARBE_HOSTS": "localhost,arbe.example"}),
        ("127.0.0.1", {"ARBE_HOSTS": "*"}),
        ("127.0.0.1", {"ARBE_URL": "https://arbe.example", "ARBE_HOSTS": "localhost"}),
    ],
)
def test_where_others_come_in_the_operator_says_so_first(host, given):
    assert said(given, host) == "no"
    assert said({**given, TOLD: "yes"}, host) == "yes"


def test_what_nobody_said_is_no(tmp_path):
    source = "from arbe import settings; print(settings.LOCAL_MODELS)"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ARBE_")}
    told = subprocess.run(
        [sys.executable, "-c", source],
        env={**clean, "ARBE_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "False\n"
