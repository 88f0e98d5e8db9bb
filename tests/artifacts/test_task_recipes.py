"""Files that a bot made, by a prompt, with a model, from what it read: stale like all others, and by the bot."""

import json
import shutil

import pytest

from artifacts.made import Made
from artifacts.models import Derivation, Repository
from artifacts.notes import notes
from artifacts.recipes import headline, identity, mentioned
from artifacts.steps import EditedByHand
from houses.models import Bot
from houses.tenancy import inside

PROMPT = "Sum up data.csv.\nWrite it to `summary.md`."


@pytest.fixture
def bot(bench, scribe, oak):
    return Bot.objects.create(
        house=oak,
        agent=scribe,
        model="m1",
        address="https://m.example",
        api="openai-completions",
        system_prompt="Short.",
    )


@pytest.fixture
def task(bench, bot, ada):
    """Tell of a run of Scribe's: what it read, and what it wrote."""

    def told(prompt=PROMPT, reads=("data.csv",), recipe=(), **given):
        writes = {name: given.pop(name) for name in list(given) if name not in Made.__dataclass_fields__}
        bench.count += 1
        before = bench.repository.tree
        after = bench.bare.edit(before, {n.replace("__", "."): t.encode() for n, t in writes.items()})
        landing = bench.repository.land(before, after, by=bot.agent, message=prompt, key=f"r{bench.count}")
        frozen = {key: value for key, value in bot.frozen().items() if key != "key_secret"}
        what = {"kind": "task", **frozen, "version": "1.5.2", "prompt": prompt, "environment": "env", **dict(recipe)}
        run = Made(
            before=before,
            after=after,
            reads=None if reads is None else set(reads),
            recipe=what | {"environment_digest": "1"},
            commit=landing.commit,
            by=bot.agent,
            asked_by=ada,
            thread_id="t",
            command_id=f"r{bench.count}",
            **given,
        )
        return bench.repository.record(run)

    return told


@pytest.fixture
def summary(bench, task):
    """data.csv → summary.md, and a file that nobody read"""
    bench.repository.write("data.csv", b"1\n", by=bench.by)
    bench.repository.write("other.csv", b"1\n", by=bench.by)
    (row,) = task(summary__md="one")
    return row


def change(bot, **settings):
    Bot.objects.filter(pk=bot.pk).update(**settings)


def reasons(bench, path="summary.md"):
    return [str(reason) for reason in bench.repository.why(path).reasons]


def test_it_is_remembered_with_its_prompt_its_bot_and_who_asked(summary, scribe):
    assert (summary.made_by, summary.made_by_name, summary.asked_by_name) == (scribe, "Scribe", "Ada")
    assert summary.task == {
        "bot": str(scribe.pk),
        "bot_name": "Scribe",
        "runtime": "pi",
        "model": "m1",
        "system_prompt": "Short.",
        "prompt": PROMPT,
    }
    assert [(one.path, one.how) for one in summary.inputs.all()] == [("data.csv", "observed")]
    assert "key_secret" not in summary.recipe and summary.command == ""


@pytest.mark.parametrize("other", [{"version": "2"}, {"address": "https://n.example"}, {"bot_name": "Scribbler"}])
def test_what_does_not_change_the_result_does_not_make_it_another_recipe(task, summary, other):
    (again,) = task(recipe=other, summary__md="two", targets=["summary.md"])
    assert again.recipe_oid == summary.recipe_oid


@pytest.mark.parametrize(
    "other", [{"model": "m2"}, {"system_prompt": ""}, {"runtime": "codex"}, {"prompt": "x"}, {"environment": "e"}]
)
def test_what_changes_the_result_does(summary, other):
    assert identity(summary.recipe | other) != identity(summary.recipe)


def test_what_it_read_makes_it_stale_and_what_it_did_not_read_does_not(bench, summary):
    bench.repository.write("other.csv", b"2\n", by=bench.by)
    assert bench.stale() == {} and bench.steps("summary.md") == []
    bench.repository.write("data.csv", b"2\n", by=bench.by)
    assert bench.stale() == {"summary.md": "stale"}
    (step,) = bench.repository.plan("summary.md").steps
    assert (step.headline, step.command, step.runs) == ("ask Scribe: Sum up data.csv.", "", (summary.command_id,))
    assert step.recipe["prompt"] == PROMPT


def test_another_model_makes_it_stale_and_says_so(bench, summary, bot):
    change(bot, model="m2")
    assert reasons(bench) == ["The model of Scribe changed: m1 → m2."]
    assert bench.stale() == {"summary.md": "stale"} and bench.steps() == [("summary.md",)]
    (cause,) = bench.repository.why("summary.md").causes
    assert (cause.reason.kind, cause.commit) == ("model_changed", None)
    change(bot, model="m1")
    assert bench.stale() == {}


def test_other_words_before_the_prompt_make_it_stale(bench, summary, bot):
    change(bot, system_prompt="Long.")
    assert reasons(bench) == ["What Scribe is told before anything else changed."]
    assert not any("Long" in sentence for sentence in reasons(bench))


def test_another_program_makes_it_stale(bench, summary, bot, scribe):
    type(scribe).objects.filter(pk=scribe.pk).update(runtime="codex")
    assert reasons(bench) == ["Scribe works with another program: pi → codex."]


@pytest.mark.parametrize("other", [{"address": "https://n.example"}, {"key_secret": "OTHER"}, {"answers": "always"}])
def test_where_the_model_is_and_what_opens_it_make_nothing_stale(bench, summary, bot, other):
    change(bot, **other)
    assert bench.stale() == {}


def test_what_a_bot_made_that_is_gone_stays_fresh(bench, summary, bot):
    bot.delete()
    assert bench.stale() == {} and bench.steps("summary.md") == []


def test_made_again_with_another_model_it_is_fresh(bench, task, summary, bot):
    change(bot, model="m2")
    bot.refresh_from_db()
    (again,) = task(summary__md="two", targets=["summary.md"])
    assert bench.stale() == {} and again.recipe["model"] == "m2"


def test_a_question_whether_anything_is_due_costs_the_same_with_bots(bench, summary, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        assert bench.repository.plan("summary.md").steps == ()


def test_a_file_that_it_read_and_changed_was_edited_not_made(bench, task):
    bench.repository.write("app.py", b"print(1)\n", by=bench.by)
    assert task("Fix app.py", reads=["app.py"], app__py="print(2)\n") == []


def test_a_file_that_it_wrote_over_unseen_is_made(bench, task):
    bench.repository.write("summary.md", b"old", by=bench.by)
    bench.repository.write("data.csv", b"1\n", by=bench.by)
    assert [row.path for row in task(summary__md="new")] == ["summary.md"]


def test_a_target_that_it_read_before_writing_is_made(bench, task, summary):
    (again,) = task(reads=["data.csv", "summary.md"], summary__md="two", targets=["summary.md"])
    assert [one.path for one in again.inputs.all()] == ["data.csv"]


def test_a_target_that_came_out_the_same_is_made_from_what_there_is_now(bench, task, summary):
    bench.repository.write("data.csv", b"1.0\n", by=bench.by)
    assert bench.stale() == {"summary.md": "stale"}
    task(reads=["other.csv"], targets=["summary.md"])
    assert bench.stale() == {"summary.md": "stale"}  # whoever did not look cannot say that it is the same
    task(targets=["summary.md"])
    assert bench.stale() == {}


def test_beside_others_only_what_the_prompt_names_is_its_own(bench, task):
    bench.repository.write("data.csv", b"1\n", by=bench.by)
    rows = task(summary__md="one", strange__md="?", overlapped=True)
    assert [row.path for row in rows] == ["summary.md"] and not rows[0].known_complete


def test_where_nobody_saw_what_it_read_the_prompt_tells(bench, task):
    bench.repository.write("data.csv", b"1\n", by=bench.by)
    (row,) = task(reads=None, summary__md="one")
    assert [(one.path, one.how) for one in row.inputs.all()] == [("data.csv", "declared")] and not row.known_complete


@pytest.mark.parametrize("text", ["Read a/b.csv.", "(a/b.csv)", "**a/b.csv**!", "`./a/b.csv`,", 'in "a/b.csv"?'])
def test_a_path_is_found_in_prose(text):
    assert "a/b.csv" in mentioned(text)


def test_what_it_had_read_earlier_in_its_session_counts(bench, task):
    bench.repository.write("data.csv", b"1\n", by=bench.by)
    oid = bench.oid("data.csv")
    bench.repository.write("data.csv", b"2\n", by=bench.by)
    (row,) = task("Now write it down", reads=[], earlier={"data.csv": oid}, summary__md="one")
    assert [(one.path, one.oid) for one in row.inputs.all()] == [("data.csv", oid)]
    assert bench.stale() == {"summary.md": "stale"}


def test_what_it_made_in_its_session_it_may_go_on_to_change(bench, task, summary):
    rows = task("Shorter, please", reads=["summary.md"], own=["summary.md"], summary__md="1")
    assert [row.path for row in rows] == ["summary.md"]


def test_an_edit_by_hand_is_not_written_over_and_the_sentence_names_the_task(bench, summary):
    bench.repository.write("summary.md", b"by hand", by=bench.by)
    bench.repository.write("data.csv", b"2\n", by=bench.by)
    with pytest.raises(EditedByHand) as refused:
        bench.repository.plan("summary.md")
    assert refused.value.detail.endswith("have it done anew: ask Scribe: Sum up data.csv.")


def test_a_long_prompt_is_shown_by_its_beginning(summary):
    assert len(headline(summary.recipe | {"prompt": "x" * 5000})) < 250
    assert headline({"kind": "task", "prompt": ""}) == "ask a bot: "


def test_the_lineage_says_whom_to_ask(bench, summary):
    nodes = {node.path: node.command for node in bench.repository.lineage("summary.md").nodes}
    assert nodes == {"summary.md": "ask Scribe: Sum up data.csv.", "data.csv": ""}


def test_the_note_carries_the_prompt_and_who_asked(bench, summary):
    ((_, told),) = notes(bench.bare)
    assert told["recipe"]["prompt"] == PROMPT and told["asked"] == "Ada"
    assert "key_secret" not in json.dumps(told)


@pytest.fixture
def copy(bench, summary, settings, tmp_path):
    """Bring what the repository holds into a house, as an operator does."""

    def copied(house, by):
        shutil.copytree(bench.repository.folder, tmp_path / "work.git")
        settings.LOCAL_IMPORTS = by.is_operator = True
        with inside(house, by):
            return Repository.objects.create_in(house, "copy", by=by, source=str(tmp_path / "work.git"))

    return copied


def test_a_copy_in_the_house_knows_the_bot_again(copy, oak, ada, bot):
    copied = copy(oak, ada)
    row = Derivation.objects.of(copied).get(path="summary.md")
    assert (row.task["prompt"], row.asked_by_name, row.bot) == (PROMPT, "Ada", str(bot.agent_id))
    change(bot, model="m2")
    assert [reason.kind for reason in copied.why("summary.md").reasons] == ["model_changed"]


def test_a_copy_next_door_keeps_the_prompt_and_knows_no_bot(copy, elm, cy):
    copied = copy(elm, cy)
    with inside(elm, cy):
        row = Derivation.objects.of(copied).get(path="summary.md")
    assert (row.bot, row.task["bot"], row.task["bot_name"], row.made_by) == ("", "", "Scribe", None)
    assert row.task["prompt"] == PROMPT and "environment" not in row.recipe


def test_a_task_without_words_is_not_believed(bench, summary):
    from artifacts.importing import _recipe

    assert _recipe({"kind": "task", "prompt": 3}, set()) is None
    assert _recipe({"kind": "wish", "prompt": "x"}, set()) is None
    assert _recipe({"kind": "task", "prompt": "a\0b", "model": 7, "bot": []}, set())["prompt"] == "ab"
