"""What an agent made is made again by the same bot, with the same prompt, when what it read has changed."""

import pytest

from artifacts.models import Derivation
from houses.tenancy import inside
from tests.agents.scenarios import say


@pytest.fixture
def report(crew, bot, thread, repository, oak, ada):
    """report.md, made by a bot from data.csv; other.csv was not read."""
    with inside(oak, ada):
        repository.write("data.csv", b"name,count\napples,40\npears,2\n", by=ada)
        repository.write("other.csv", b"name,count\nplums,7\n", by=ada)
    run = crew.done(thread, say("report"), bot=bot, by=ada)
    assert crew.status(run) == ("completed", "")
    return run


def test_it_is_made_again_when_its_input_changed(crew, report, thread, repository, oak, ada, bo, model):
    asked = len(model.requests)
    assert crew.make(thread, "report.md", by=bo).status == "completed"
    assert len(model.requests) == asked
    with inside(oak, ada):
        repository.write("other.csv", b"name,count\nplums,8\n", by=ada)
    assert crew.make(thread, "report.md", by=bo).status == "completed"
    assert len(model.requests) == asked
    with inside(oak, ada):
        repository.write("data.csv", b"name,count\napples,40\npears,3\n", by=ada)
    assert crew.make(thread, "report.md", by=bo).status == "completed"
    assert len(model.requests) > asked
    with inside(oak):
        assert b"2 rows, 43 in all" in repository.read("report.md")
        again = Derivation.objects.filter(path="report.md").latest("made_at")
        first = Derivation.objects.filter(path="report.md").earliest("made_at")
    assert again.pk != first.pk
