"""How tests are shared out among workers (`pytest -n 2`): whole files, and the long ones first."""

import pytest

# A file that is begun last and takes a minute leaves the other workers with nothing to do for that minute.
LONG = (
    "tests/acceptance/",
    "tests/agents/",
    "tests/pages/test_agents.py",
    "tests/pages/test_browser.py",
    "tests/streams/test_conformance.py",
    "tests/streams/test_jetstream.py",
    "tests/streams/test_crash.py",
    "tests/operations/test_migrations.py",
    "tests/operations/test_up.py",
    "tests/tenancy/test_addresses.py",
    "tests/api/test_schemathesis.py",
    "tests/pages/test_identity.py",
    "tests/threads/test_rights_at_addresses.py",
    "tests/houses/test_rights_model.py",
    "tests/api/test_admin.py",
)
TOGETHER = ("tests/acceptance/",)  # one running arbe for all of them


def place(nodeid: str) -> int:
    return next((place for place, name in enumerate(LONG) if nodeid.startswith(name)), len(LONG))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    from xdist.scheduler import LoadFileScheduling

    class WholeFiles(LoadFileScheduling):
        """What was started for a file is started once, and a test may go on where the one before it ended."""

        def _split_scope(self, nodeid: str) -> str:
            return next((name for name in TOGETHER if nodeid.startswith(name)), super()._split_scope(nodeid))

    config.option.loadscopereorder = False  # the order they were collected in, and not the file with most tests first
    return WholeFiles(config, log)
