"""One running arbe for all acceptance tests, and the cast at work in it: Ada and Bo in Oak, Cy next door in Elm."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.hands import Hand, Person
from tests.acceptance.system import FIRST_OWNER, System

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = ("seattle-weather.csv", "iowa-electricity.csv")


@dataclass
class Cast:
    """Who is at work, each with a token and a browser's cookies."""

    ada: Hand
    bo: Hand
    cy: Hand


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    running = System()
    try:
        running.start()
        yield running
    finally:
        running.remove()


@pytest.fixture(scope="session")
def cast(system: System) -> Cast:
    ada = Person(system, system.manage("sign_in_link", FIRST_OWNER))  # an operator too: she imports folders
    ada.rename("Ada")
    demo = ada.http.get("/api/houses/").json()["results"][0]["id"]
    cy = ada.admit(demo, "Cy", "cy@elm.example")
    oak, elm = ada.found("Oak"), cy.found("Elm")
    bo = ada.admit(oak, "Bo", "bo@oak.example")
    return Cast(ada.at_work(oak), bo.at_work(oak), cy.at_work(elm))


@pytest.fixture(scope="session")
def ada(cast: Cast) -> Hand:
    return cast.ada


@pytest.fixture(scope="session")
def bo(cast: Cast) -> Hand:
    return cast.bo


@pytest.fixture(scope="session")
def cy(cast: Cast) -> Hand:
    return cast.cy


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real data."""
    for name in FILES:
        assert (DATA / name).is_file(), f"These tests need {name} in {DATA}, beside the checkout."
    return DATA
