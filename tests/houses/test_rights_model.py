"""The rule of rights, written down once more in plain Python, and many lives of a house to compare the two over.

The nearest grant decides, else the role; a token caps it; whoever is not in the house, or shut out, has nothing.
"""

import copy
from dataclasses import dataclass, field
from random import Random

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from houses.explaining import everybody, explain
from houses.giving import give, withdraw
from houses.models import Agent, Grant, House, Member, Resource, Tool
from houses.refusals import Refused
from houses.rights import may, permitted, rights
from houses.tenancy import inside
from houses.tools import MAKE
from threads.models import Thread

GRANTS = ("r", "w", "x", "rw", "rx", "wx", "rwx", "none")
CAPS = ("rwx", "rw", "r", "rx", "")


@dataclass
class Rule:
    """Everything that rights depend on, and the rule itself."""

    house: str
    roles: dict[str, str] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    bots: set[str] = field(default_factory=set)
    grants: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # (agent, scope) to (bits, by)
    parents: dict[str, str | None] = field(default_factory=dict)  # of threads
    tools: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)

    @property
    def scopes(self) -> set[str]:
        return {self.house, *self.parents, *self.tools, *self.resources}

    def decisive(self, agent: str, scope: str) -> str | None:
        """The scope with the grant that decides; None where the role does."""
        place: str | None = scope
        while place is not None and (agent, place) not in self.grants:
            place = self.parents.get(place)
        place = place or self.house
        return place if (agent, place) in self.grants else None

    def bits(self, agent: str, scope: str, cap: str = "rwx") -> str:
        if agent not in self.roles or agent in self.inactive or scope not in self.scopes:
            return ""
        place = self.decisive(agent, scope)
        if place is not None:
            granted = self.grants[agent, place][0]
            bits = "" if granted == "none" else granted
        else:
            bits = "rwx" if self.roles[agent] == "owner" or scope in self.tools else "rw"
        return "".join(bit for bit in bits if bit in cap)

    def manages(self, agent: str, scope: str, cap: str) -> bool:
        here = self.bits(agent, scope, cap) if scope == self.house or scope in self.parents else ""
        return "x" in here + self.bits(agent, self.house, cap)

    def may_give(self, agent: str, scope: str, by: str, cap: str) -> bool:
        of_an_owner = scope == self.house and self.roles.get(agent) == "owner" and agent not in self.inactive
        return self.manages(by, scope, cap) and (not of_an_owner or self.roles[by] == "owner")

    def has_a_manager(self) -> bool:
        return any(
            role == "owner" and agent not in self.inactive and "x" in self.grants.get((agent, self.house), ("x", ""))[0]
            for agent, role in self.roles.items()
        )

    def forget(self, agent: str = "", scope: str = "") -> None:
        self.grants = {key: value for key, value in self.grants.items() if agent != key[0] and scope != key[1]}

    # What the verbs do to it; False if they have to refuse.

    def give(self, agent: str, scope: str, bits: str, by: str, cap: str) -> bool:
        if not self.may_give(agent, scope, by, cap) or agent not in self.roles or agent in self.inactive:
            return False
        if self.grants.get((agent, scope), ("", ""))[0] != bits:
            self.grants[agent, scope] = (bits, by)
        return scope != self.house or self.roles[agent] != "owner" or "x" in bits or self.has_a_manager()

    def withdraw(self, agent: str, scope: str, by: str, cap: str) -> bool:
        if not self.may_give(agent, scope, by, cap):
            return False
        self.grants.pop((agent, scope), None)
        return True

    def admit(self, agent: str, by: str, cap: str) -> bool:
        if "x" not in self.bits(by, self.house, cap):
            return False
        self.roles.setdefault(agent, "member")
        return True

    def leave(self, agent: str, by: str, cap: str) -> bool:
        if agent not in self.roles:
            return False
        if by == agent:
            allowed = "x" in cap
        else:
            needed = "owner" if self.roles[agent] == "owner" else self.roles.get(by)
            allowed = "x" in self.bits(by, self.house, cap) and self.roles[by] == needed
        role = self.roles.pop(agent)
        self.forget(agent=agent)
        return allowed and (role != "owner" or ("owner" in self.roles.values() and self.has_a_manager()))

    def change_role(self, agent: str, role: str, by: str, cap: str) -> bool:
        if agent not in self.roles or "x" not in self.bits(by, self.house, cap) or self.roles[by] != "owner":
            return False
        before, self.roles[agent] = self.roles[agent], role
        if role == "owner":
            return agent not in self.bots
        return before != "owner" or ("owner" in self.roles.values() and self.has_a_manager())

    def remove_thread(self, thread: str) -> None:
        for child in [one for one, parent in self.parents.items() if parent == thread]:
            self.remove_thread(child)
        del self.parents[thread]
        self.forget(scope=thread)


NAMES = ("Ada", "Bo", "Dee", "Scribe", "Cy")
NAME, SPOT, CAP = st.sampled_from(NAMES), st.integers(0, 8), st.sampled_from(("rwx", "rwx", "rwx", "rw", "x"))


class Lives(RuleBasedStateMachine):
    """A house in which everything happens that rights depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.life = transaction.atomic()
        self.life.__enter__()
        self.steps = 0
        people = {name: Agent.objects.create_human(name, f"{name}@oak.example") for name in NAMES if name != "Scribe"}
        people["Scribe"] = Agent.objects.create_bot("Scribe", "pi")
        self.people = {str(agent.pk): agent for agent in people.values()}
        self.ids = {name: str(agent.pk) for name, agent in people.items()}
        self.oak = House.objects.found("Oak", by=people["Ada"])
        self.rule = Rule(self.oak.pk, roles={self.ids["Ada"]: "owner"}, bots={self.ids["Scribe"]})
        elm = House.objects.found("Elm", by=people["Cy"])
        with inside(elm, people["Cy"]):
            elm.admit(people["Bo"], by=people["Cy"])
            self.elsewhere = Thread.objects.create(house=elm, stream_id="elsewhere", name="Elsewhere")
            give(people["Bo"], self.elsewhere, "rwx", by=people["Cy"])
        with inside(self.oak, people["Ada"]):
            for name in ("Bo", "Dee", "Scribe"):
                self.oak.admit(people[name], by=people["Ada"])
                self.rule.roles[self.ids[name]] = "member"
            self.rule.tools = set(Tool.objects.values_list("pk", flat=True))
        self.spots = [self.oak.pk, MAKE]
        for above in (None, 2, 3):
            self._open(None if above is None else self.spots[above])
        self.add_a_tool_and_a_resource()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.life.__exit__(None, None, None)

    # What there is

    @rule(above=SPOT)
    def open_a_thread(self, above):
        self._open(self.spots[above % len(self.spots)])

    def _open(self, above):
        parent, name = (above if above in self.rule.parents else None), f"T{len(self.spots)}"
        with inside(self.oak):
            thread = Thread.objects.create(house=self.oak, stream_id=name, name=name, parent_thread_id=parent)
        self.rule.parents[thread.pk] = parent
        self.spots.append(thread.pk)

    @precondition(lambda self: len(self.rule.resources) < 2)
    @rule()
    def add_a_tool_and_a_resource(self):
        with inside(self.oak):
            number = len(self.spots)
            tool = Tool.objects.create(house=self.oak, name=f"tool{number}", kind="http")
            resource = Resource.objects.create(house=self.oak, name="place", kind="x", external_id=f"{number}")
        self.rule.tools.add(tool.pk)
        self.rule.resources.add(resource.pk)
        self.spots += [tool.pk, resource.pk]

    @precondition(lambda self: len(self.spots) > 6)
    @rule(spot=st.integers(2, 8))
    def delete_one(self, spot):
        scope = self.spots[spot % len(self.spots)]
        if scope in (self.oak.pk, MAKE):
            return
        with inside(self.oak):
            for model in (Thread, Tool, Resource):
                model.objects.filter(pk=scope).delete()
        if scope in self.rule.parents:
            self.rule.remove_thread(scope)
        self.rule.tools.discard(scope)
        self.rule.resources.discard(scope)
        self.rule.forget(scope=scope)
        self.spots = [one for one in self.spots if one in self.rule.scopes]

    # Who may

    @initialize(seed=st.integers(0, 1_000_000))
    def much_is_granted_already(self, seed):
        self._give_many(Random(seed), 14)

    @rule(seed=st.integers(0, 1_000_000))
    def a_manager_gives(self, seed):
        self._give_many(Random(seed), 3)

    def _give_many(self, chance, count):
        """Grants that are allowed, so that there are many of them."""
        for _ in range(count):
            name = chance.choice(NAMES[:4])
            manager = next((one for one in self.people if self.rule.manages(one, self.oak.pk, "rwx")), None)
            if manager and self.ids[name] in self.rule.roles:
                self._give(name, chance.randrange(9), chance.choice(GRANTS), self.people[manager].name, "rwx")

    @rule(name=NAME, spot=SPOT, bits=st.sampled_from(GRANTS), by=NAME, cap=CAP)
    def somebody_gives(self, name, spot, bits, by, cap):
        self._give(name, spot, bits, by, cap)

    def _give(self, name, spot, bits, by, cap):
        row = self._row(spot)
        giving = lambda actor: give(self.people[self.ids[name]], row, bits, by=actor)  # noqa: E731  # it is said below
        self._say(giving, by, cap, lambda rule: rule.give(self.ids[name], row.pk, bits, self.ids[by], cap))

    @rule(name=NAME, spot=SPOT, by=NAME, cap=CAP)
    def somebody_withdraws(self, name, spot, by, cap):
        row = self._row(spot)
        withdrawing = lambda actor: withdraw(self.people[self.ids[name]], row, by=actor)  # noqa: E731  # as above
        self._say(withdrawing, by, cap, lambda rule: rule.withdraw(self.ids[name], row.pk, self.ids[by], cap))

    @rule(name=NAME, by=NAME, cap=CAP)
    def somebody_admits(self, name, by, cap):
        admitting = lambda actor: self.oak.admit(self.people[self.ids[name]], by=actor)  # noqa: E731  # as above
        self._say(admitting, by, cap, lambda rule: rule.admit(self.ids[name], self.ids[by], cap))

    @rule(name=NAME, by=NAME, cap=CAP)
    def somebody_goes(self, name, by, cap):
        if self.ids[name] in self.rule.roles:
            going = lambda actor: self._member(name).leave(by=actor)  # noqa: E731  # as above
            self._say(going, by, cap, lambda rule: rule.leave(self.ids[name], self.ids[by], cap))

    @rule(name=NAME, role=st.sampled_from(["owner", "member"]), by=NAME, cap=CAP)
    def somebody_changes_a_role(self, name, role, by, cap):
        if self.ids[name] in self.rule.roles:
            changing = lambda actor: self._member(name).change_role(role, by=actor)  # noqa: E731  # as above
            self._say(changing, by, cap, lambda rule: rule.change_role(self.ids[name], role, self.ids[by], cap))

    @rule(name=NAME)
    def shut_one_out_or_let_them_in_again(self, name):
        for agent in list(self.rule.inactive):
            self.people[agent].reactivate()
            self.rule.inactive.discard(agent)
            return
        self.people[self.ids[name]].deactivate()
        self.rule.inactive.add(self.ids[name])

    def _say(self, verb, by, cap, told) -> None:
        """The verb and the rule, which agree whether it is refused; what is refused leaves nothing."""
        after = copy.deepcopy(self.rule)
        allowed = told(after)
        with inside(self.oak, self.ids[by]):
            try:
                verb(self._as(self.ids[by], cap))
            except Refused:
                assert not allowed, "refused, though the rule allows it"
            else:
                assert allowed, "done, though the rule forbids it"
                self.rule = after

    def _as(self, agent, cap):
        actor = copy.copy(self.people[agent])
        actor.cap = cap
        return actor

    def _member(self, name):
        return Member.objects.select_related("agent").get(agent_id=self.ids[name])

    def _row(self, spot):
        """A scope as verbs take it."""
        scope = self.spots[spot % len(self.spots)]
        with inside(self.oak):
            rows = (model.objects.filter(pk=scope).first() for model in (House, Thread, Tool, Resource))
            return next(row for row in rows if row)

    # Whether the two agree

    @invariant()
    def they_agree(self):
        self.steps += 1
        bit, cap = "rwx"[self.steps % 3], CAPS[self.steps % len(CAPS)]
        with inside(self.oak):
            rows = {
                model: list(model.objects.filter(pk__in=self.rule.scopes)) for model in (House, Thread, Tool, Resource)
            }
            assert {row.pk for several in rows.values() for row in several} == self.rule.scopes
            given = {(str(one.user_id), one.object_pk) for one in Grant.objects.all()}
            assert given == set(self.rule.grants)
            for agent in self.people:
                for actor in (self._as(agent, "rwx"), self._as(agent, cap)):
                    self._agree(actor, bit, rows)
            for row in (row for several in rows.values() for row in several):
                told = everybody(row, self.people.values())
                assert {str(who): one.bits for who, one in told.items()} == {
                    agent: self.rule.bits(agent, row.pk) for agent in self.people
                }

    def _agree(self, actor, bit, rows):
        agent = str(actor.pk)
        assert rights(actor, [self.elsewhere])[self.elsewhere.pk].bits == ""
        for model, several in rows.items():
            expected = {row.pk: self.rule.bits(agent, row.pk, actor.cap) for row in several}
            found = rights(actor, several)
            assert {pk: one.bits for pk, one in found.items()} == expected
            assert set(permitted(model.objects.filter(pk__in=expected), actor, bit).values_list("pk", flat=True)) == {
                pk for pk, bits in expected.items() if bit in bits
            }
            if actor.name == NAMES[self.steps % len(NAMES)]:  # one question at a time costs more; they take turns
                for row in several:
                    assert may(actor, bit, row) == (bit in expected[row.pk])
                    self._agree_in_words(actor, agent, bit, row, bit in expected[row.pk])

    def _agree_in_words(self, actor, agent, bit, row, expected):
        sentence = explain(actor, bit, row)
        assert sentence.startswith("yes: " if expected else "no: "), sentence
        place = self.rule.decisive(agent, row.pk)
        if expected and place:
            title = (
                str(row) if place == row.pk else "Oak" if place == self.oak.pk else Thread.objects.get(pk=place).name
            )
            giver = self.people[self.rule.grants[agent, place][1]].name
            assert f"“{title}”" in sentence and f"granted by {giver} on" in sentence, sentence
        elif expected:
            assert f"as {self.rule.roles[agent]} of this house" in sentence


@pytest.mark.timeout(600)
def test_rights_are_what_the_rule_says_whatever_happens(db):
    run_state_machine_as_test(
        Lives, settings=settings(max_examples=8, stateful_step_count=8, deadline=None, derandomize=True)
    )
