"""Operators look at bots, budgets and spending of every house, and never at what a bot is told."""

import pytest

from houses.models import Agent, Bot, Budget
from houses.tenancy import inside
from threads.models import Answer, Spending, Thread

pytestmark = pytest.mark.usefixtures("committed")


def page(model, rest: str = "") -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{rest}"


@pytest.fixture
def operator(client_of, committed):
    return client_of(Agent.objects.create_superuser("ops@example.org", "correct horse battery staple"), factor=True)


@pytest.fixture
def kept(oak, ada, scribe):
    """One of each of Oak, by model."""
    with inside(oak, ada):
        thread = Thread.objects.open_in(oak, by=ada, name="work")
        told = {"house": oak, "thread": thread, "agent": scribe, "asked_by": ada}
        return {
            Bot: Bot.objects.set_up(scribe, model="m", address="https://m.example", system_prompt="quincunx", by=ada),
            Budget: Budget.objects.limit(scribe, run_tokens=1, by=ada),
            Answer: Answer.objects.create(text="What?", done=[{"said": "mumblety"}], **told),
            Spending: Spending.objects.create(run="run 1", **told),
        }


def test_each_is_looked_at_and_what_a_bot_is_told_is_not(operator, oak, kept):
    for model, row in kept.items():
        listed = operator.get(f"{page(model)}?house={oak.pk}&q=scribe")
        shown = operator.get(page(model, f"{row.pk}/change/"))
        assert (listed.status_code, shown.status_code) == (200, 200), model
        assert row.pk in listed.content.decode(), model
        for answer in (listed, shown):
            assert not any(word in answer.content.decode() for word in ("quincunx", "mumblety")), model


@pytest.mark.parametrize(("model", "action"), [(Bot, "forget"), (Budget, "lift")])
def test_operators_act_through_verbs(operator, oak, ada, kept, model, action):
    operator.post(page(model), {"action": action, "_selected_action": [kept[model].pk]}, follow=True)
    with inside(oak, ada):
        assert not model.objects.exists()


def test_operators_stop_answers(operator, oak, ada, kept):
    operator.post(page(Answer), {"action": "stop", "_selected_action": [kept[Answer].pk]}, follow=True)
    with inside(oak, ada):
        assert Answer.objects.get().status == "cancelled"
