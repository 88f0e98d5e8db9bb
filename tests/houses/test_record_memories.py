"""Memories: kept once, found by their words, superseded, and private ones seen by nobody else."""

import pytest
from django.db import DatabaseError, transaction

from houses.giving import give
from houses.models import Memory
from houses.refusals import Forbidden, Invalid, Refused
from houses.tenancy import inside


def texts(rows):
    return [one.text for one in rows]


def test_a_memory_is_kept_once_however_often_it_is_said(oak, bo):
    with inside(oak, bo):
        first = Memory.objects.remember("Five o'clock.", subject="bread", tags=["b", "a", "b"], by=bo)
        assert Memory.objects.remember("Five o'clock.", subject="bread", tags=["b", "a"], by=bo) == first
        assert Memory.objects.remember("Five o'clock.", subject="bread", private=True, by=bo) != first
        assert first.tags == ["b", "a"] and first.agent_id is None


def test_words_are_searched_as_search_boxes_are(oak, bo):
    with inside(oak, bo):
        for text in ("rain in april", "snow in april", "hail and rain in may"):
            Memory.objects.remember(text, by=bo)
        assert set(texts(Memory.objects.recall("rain"))) == {"rain in april", "hail and rain in may"}
        assert texts(Memory.objects.recall("rain -hail")) == ["rain in april"]
        assert texts(Memory.objects.recall('"rain in may"')) == ["hail and rain in may"]
        assert set(texts(Memory.objects.recall("snow or hail"))) == {"snow in april", "hail and rain in may"}
        assert texts(Memory.objects.recall("'\" & | !( <-> :*")) == []


def test_the_surest_and_then_the_newest_come_first(committed, oak, bo):
    for text, confidence in (("a", None), ("b", 0.5), ("c", 0.9), ("d", 0.5), ("e", None)):
        with inside(oak, bo):
            Memory.objects.remember(text, confidence=confidence, by=bo)
    with inside(oak, bo):
        assert texts(Memory.objects.recall()) == ["c", "d", "b", "e", "a"]


def test_what_was_superseded_is_asked_for(oak, ada, bo):
    with inside(oak, bo):
        old = Memory.objects.remember("Five.", subject="bread", tags=["t"], by=bo)
    with inside(oak, ada):
        new = Memory.objects.get(pk=old.pk).supersede("Six.", by=ada)
        assert old.supersede("Six.", by=ada) == new
        assert (new.subject, new.tags, new.kind) == ("bread", ["t"], "fact")
        assert texts(Memory.objects.recall(subject="BREAD")) == ["Six."]
        assert set(texts(Memory.objects.recall(tags=["t"], superseded=True))) == {"Five.", "Six."}
        with pytest.raises(Refused, match="Something newer"):
            old.supersede("Seven.", by=ada)
        new.forget(by=ada)
        assert texts(Memory.objects.recall()) == ["Five."]


def test_a_memory_of_the_house_takes_w(oak, ada, bo):
    with inside(oak, ada):
        kept = Memory.objects.remember("Five.", by=ada)
        give(bo, oak, "r", by=ada)
    with inside(oak, bo):
        for verb in (
            lambda: Memory.objects.remember("Mine.", by=bo),
            lambda: kept.supersede("Six.", by=bo),
            lambda: kept.forget(by=bo),
        ):
            with pytest.raises(Forbidden):
                verb()
        assert texts(Memory.objects.recall()) == ["Five."]
        assert Memory.objects.remember("Mine.", private=True, by=bo).is_private


def test_a_private_memory_is_for_its_agent_alone(oak, ada, bo):
    with inside(oak, bo):
        mine = Memory.objects.remember("Secretly rye.", private=True, by=bo)
    with inside(oak, ada):
        assert not Memory.objects.exists() and texts(Memory.objects.recall("rye", superseded=True)) == []
        with pytest.raises(Forbidden):
            mine.supersede("Wheat.", by=ada)
        with pytest.raises(Forbidden):
            mine.forget(by=ada)
        with pytest.raises(DatabaseError), transaction.atomic():
            Memory.objects.create(house=oak, agent=bo, kind="fact", text="planted")
    with inside(oak, bo):
        newer = mine.supersede("Wheat.", by=bo)
        assert newer.agent_id == bo.pk and texts(Memory.objects.recall()) == ["Wheat."]


@pytest.mark.parametrize(
    "bad",
    [
        {"text": ""},
        {"text": "a\0"},
        {"text": "\udc00"},
        {"text": "x" * 16_001},
        {"kind": "Two words"},
        {"confidence": 1.5},
        {"confidence": float("nan")},
        {"confidence": True},
        {"tags": ["x" * 101]},
        {"tags": [str(n) for n in range(101)]},
        {"tags": [7]},
        {"subject": "s" * 201},
        {"source": "\0"},
    ],
)
def test_a_memory_that_cannot_be_kept_is_refused(oak, bo, bad):
    with inside(oak, bo):
        with pytest.raises(Invalid):
            Memory.objects.remember(**({"text": "Five."} | bad), by=bo)
        assert not Memory.objects.exists()
