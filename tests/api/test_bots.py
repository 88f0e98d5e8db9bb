"""The API of bots: how they think, what they may spend, what they cost; and of inboxes."""

import pytest

from houses.giving import give
from houses.models import Agent, Secret
from houses.tenancy import inside
from tests.api.conftest import Api, token_of
from threads.inbox import MENTION, WAITING
from threads.models import InboxEntry, Spending, Thread

GPT = {"model": "gpt-5", "address": "https://api.openai.com/v1", "key_secret": "OPENAI_API_KEY"}


@pytest.fixture
def bos(oak, bo) -> Api:
    return Api(oak, token_of(bo, oak))


@pytest.fixture
def spent(oak, ada, scribe):
    """`spent(thread, tokens)`: what a run of Scribe cost there."""

    def spent(thread, tokens, **more):
        with inside(oak, ada):
            run = f"run {Spending.objects.count()}"
            given = {"model": "gpt-5", "agent": scribe, "asked_by": ada} | more
            return Spending.objects.create(house=oak, thread_id=thread, run=run, input_tokens=tokens, **given)

    return spent


def test_a_bot_is_created_and_set_up_in_one_request(api, bos):
    new = {"name": "Painter", "runtime": "codex", **GPT}
    made = api.ok("POST", "bots/", new, 201, **{"Idempotency-Key": "a"})
    assert api.ok("POST", "bots/", new, 201, **{"Idempotency-Key": "a"}) == made
    assert (made["agent"]["name"], made["api"], made["is_set_up"], made["key_is_missing"]) == (
        "Painter", "openai-responses", True, True,
    )  # fmt: skip
    assert "OPENAI_API_KEY" in made["problem"]
    assert bos.ok("GET", f"bots/{made['agent']['id']}/") == made
    assert [one["agent"]["name"] for one in bos.ok("GET", "bots/?limit=1")["results"]] == ["Painter"]
    assert bos.refused("POST", "bots/", new) == (403, "forbidden")
    assert api.refused("POST", "bots/", new | {"api": "anthropic-messages"}) == (400, "invalid")
    assert len(bos.ok("GET", "bots/")["results"]) == 1


def test_a_bot_is_set_up_again_and_forgotten(oak, ada, api, bos, scribe):
    path = f"bots/{scribe.pk}/"
    before = api("GET", path)
    assert before.json()["is_set_up"] is False and "has no model yet" in before.json()["problem"]
    told = api.ok("PUT", path, GPT, **{"If-Match": before.headers["ETag"]})
    assert told["model"] == "gpt-5" and told["answers"] == "mention"
    assert api.refused("PUT", path, GPT, **{"If-Match": before.headers["ETag"]}) == (412, "precondition_failed")
    with inside(oak, ada):
        Secret.objects.put("OPENAI_API_KEY", "correct-horse", by=ada)
    told = api.ok("PUT", path, GPT | {"answers": "always", "system_prompt": "Write."})
    assert told == bos.ok("GET", path) and told["problem"] == "" and "correct-horse" not in str(told)
    assert bos.refused("PUT", path, GPT) == (403, "forbidden")
    assert bos.refused("DELETE", path) == (403, "forbidden")
    api.ok("DELETE", path, status=204)
    api.ok("DELETE", path, status=204)
    assert bos.ok("GET", path)["is_set_up"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "http://api.openai.com/v1"},
        {"address": "https://me:secret@api.openai.com"},
        {"key_secret": "sk-live"},
        {"answers": "sometimes"},
        {"system_prompt": "x" * 40_000},
        {"colour": "red"},
    ],
)
def test_what_cannot_be_kept_is_refused(api, scribe, wrong):
    assert api.refused("PUT", f"bots/{scribe.pk}/", GPT | wrong) == (400, "invalid")


def test_people_and_bots_next_door_are_no_bots_here(api, elm, bo, cy):
    with inside(elm, cy):
        from houses.arrivals import welcome_bot

        theirs = welcome_bot(elm, "Theirs", "pi", by=cy).agent
    for agent in (bo, theirs):
        for path in ("bots", "budgets", "limits"):
            assert api.refused("GET", f"{path}/{agent.pk}/") == (404, "not_found")
        assert api.refused("PUT", f"bots/{agent.pk}/", GPT) == (404, "not_found")
        assert api.refused("PUT", f"budgets/{agent.pk}/", {"run_tokens": 1}) == (404, "not_found")


def test_budgets_of_a_bot_and_of_the_house(api, bos, scribe):
    for path in (f"budgets/{scribe.pk}/", "budgets/house/"):
        assert bos.refused("GET", path) == (404, "not_found")
        told = api.ok("PUT", path, {"run_tokens": 1000, "month_usd": "2.5"})
        assert (told["run_tokens"], told["month_usd"], told["run_usd"]) == (1000, "2.500000", None)
        assert bos.ok("GET", path) == told
        assert bos.refused("PUT", path, {"run_tokens": None}) == (403, "forbidden")
        assert api.refused("PUT", path, {"run_usd": "-1"}) == (400, "invalid")
        assert api.refused("PUT", path, {"run_tokens": 2**70}) == (400, "invalid")
    assert [one["agent"] and one["agent"]["name"] for one in bos.ok("GET", "budgets/")["results"]] == [None, "Scribe"]
    api.ok("DELETE", "budgets/house/", status=204)
    assert api.refused("DELETE", "budgets/house/") == (404, "not_found")
    assert len(bos.ok("GET", "budgets/?limit=1")["results"]) == 1


def test_limits_say_what_is_left(api, bos, scribe, kitchen, spent):
    api.ok("PUT", f"budgets/{scribe.pk}/", {"month_tokens": 100, "run_tokens": 3})
    api.ok("PUT", "budgets/house/", {"month_usd": 1})
    spent(kitchen["thread"], 60)
    told = {one["whose"]: one for one in bos.ok("GET", f"limits/{scribe.pk}/")["results"]}
    assert told["bot"] == {
        "whose": "bot",
        "unit": "tokens",
        "most": "100.000000",
        "used": "60.000000",
        "left": "40.000000",
        "sentence": "Scribe has used 60 of the 100 tokens that it may use in a month",
    }
    assert told["house"]["left"] == "1.000000"


def test_what_was_spent_where_one_may_not_read_shows_in_no_figure(
    oak, ada, api, bos, scribe, kitchen, spent, client_of
):
    bo = Agent.objects.get(name="Bo")
    secretly = api.ok("POST", "threads/", {"name": "secretly", "parent": kitchen["thread"]}, 201)["id"]
    api.ok("PUT", f"budgets/{scribe.pk}/", {"month_tokens": 100_000})
    spent(kitchen["thread"], 60)
    spent(secretly, 7_007)
    pages = [f"/houses/{oak.pk}/settings/{page}" for page in ("agents/", f"agents/{scribe.pk}/", "spending/")]
    shown = {who: [client_of(who).get(page).content.decode() for page in pages] for who in (ada, bo)}
    assert bos.ok("GET", f"limits/{scribe.pk}/")["results"][0]["used"] == "7067.000000"
    assert all("7,067" in page for page in shown[ada] + shown[bo])
    with inside(oak, ada):
        give(bo, Thread.objects.get(pk=secretly), "none", by=ada)
    shown = {who: [client_of(who).get(page).content.decode() for page in pages] for who in (ada, bo)}
    assert all("7,067" in page for page in shown[ada])
    assert not any("7,067" in page or "7,007" in page or "secretly" in page for page in shown[bo])
    assert all("60 tokens" in page for page in shown[bo])
    assert bos.refused("GET", f"limits/{scribe.pk}/") == (403, "forbidden")
    assert api.ok("GET", f"limits/{scribe.pk}/")["results"][0]["used"] == "7067.000000"


def test_spending_by_bot_thread_model_and_month(oak, ada, api, bos, bo, scribe, kitchen, spent):
    secretly = api.ok("POST", "threads/", {"name": "secretly", "parent": kitchen["thread"]}, 201)["id"]
    with inside(oak, ada):
        give(bo, Thread.objects.get(pk=secretly), "none", by=ada)
    spent(kitchen["thread"], 60, usd="0.5", at="2026-03-05T00:00:00Z")
    spent(secretly, 7, model="other", at="2026-04-05T00:00:00Z")

    def told(who, query):
        return {one["per"]: one["tokens"] for one in who.ok("GET", f"spending/?{query}")["results"]}

    assert told(api, "") == {str(scribe.pk): 67} == told(api, "per=bot")
    assert told(bos, "") == {str(scribe.pk): 60}
    assert told(api, "per=thread") == {kitchen["thread"]: 60, secretly: 7}
    assert told(bos, f"per=thread&thread={kitchen['thread']}") == {kitchen["thread"]: 60}
    assert told(api, "per=model") == {"gpt-5": 60, "other": 7}
    assert told(api, "per=month") == {"2026-03": 60, "2026-04": 7}
    assert told(api, f"month=2026-04&bot={scribe.pk}") == {str(scribe.pk): 7}
    assert bos.refused("GET", f"spending/?thread={secretly}") == (404, "not_found")
    assert api.refused("GET", "spending/?month=2026-13") == (400, "invalid")
    first = api.ok("GET", "spending/?per=model&limit=1")
    assert [one["per"] for one in first["results"]] == ["gpt-5"]
    assert (first["results"][0]["usd"], first["results"][0]["unpriced"]) == ("0.50000000", 0)
    (last,) = api.ok("GET", f"spending/?per=model&limit=1&cursor={first['next']}")["results"]
    assert (last["per"], last["usd"], last["unpriced"]) == ("other", None, 1)
    whole = api.ok("GET", f"threads/{kitchen['thread']}/spending/")
    assert (whole["itself"]["tokens"], whole["with_children"]["tokens"]) == (60, 67)
    assert bos.ok("GET", f"threads/{kitchen['thread']}/spending/")["with_children"]["tokens"] == 60
    assert bos.refused("GET", f"threads/{secretly}/spending/") == (404, "not_found")


def test_an_inbox_is_read_and_finished_by_whose_it_is(oak, ada, api, bos, bo, scribe, kitchen):
    with inside(oak, ada):
        thread = Thread.objects.get(pk=kitchen["thread"])
        for kind in (MENTION, WAITING):
            InboxEntry.objects.put(bo, thread, kind, "1", f"{kind}?", by=scribe)
    page = bos.ok("GET", "inbox/?limit=1")
    (one,) = page["results"]
    assert (one["kind"], one["by"]["name"], one["thread_name"], one["read_at"]) == ("waiting", "Scribe", "Soup", None)
    assert len(bos.ok("GET", f"inbox/?cursor={page['next']}")["results"]) == 1
    assert api.ok("GET", "inbox/")["results"] == []
    assert api.refused("GET", f"inbox/{one['id']}/") == (404, "not_found")
    assert api.refused("PUT", f"inbox/{one['id']}/done/") == (404, "not_found")
    assert bos.ok("PUT", f"inbox/{one['id']}/read/")["read_at"]
    assert [entry["kind"] for entry in bos.ok("GET", "inbox/?unread=true")["results"]] == ["mention"]
    assert bos.ok("DELETE", f"inbox/{one['id']}/read/")["read_at"] is None
    done = bos.ok("PUT", f"inbox/{one['id']}/done/")
    assert done["done_at"] and done["read_at"]
    assert [entry["kind"] for entry in bos.ok("GET", "inbox/?done=false")["results"]] == ["mention"]
    assert bos.ok("GET", "inbox/?kind=waiting&done=true")["results"] == [done]
    assert bos.ok("GET", f"inbox/?thread={kitchen['thread']}")["results"][0] == done
    with inside(oak, ada):
        give(bo, thread, "none", by=ada)
    assert bos.ok("GET", "inbox/")["results"] == []
    assert bos.refused("GET", f"inbox/{one['id']}/") == (404, "not_found")


def test_a_reading_token_reads_its_inbox_and_marks_nothing(oak, ada, bo, scribe, kitchen):
    reads = Api(oak, token_of(bo, oak, bits="r"))
    with inside(oak, ada):
        thread = Thread.objects.get(pk=kitchen["thread"])
        InboxEntry.objects.put(bo, thread, WAITING, "1", "Which one?", by=scribe)
    (one,) = reads.ok("GET", "inbox/")["results"]
    assert reads.refused("PUT", f"inbox/{one['id']}/read/") == (403, "forbidden")
