"""Houses and who is in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from django.db import IntegrityError, connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import CURRENT_AGENT, CURRENT_HOUSE, HouseOwned, References
from houses.giving import keep_a_manager, lock_grants
from houses.ids import ShortIdField
from houses.refusals import Forbidden, Invalid
from houses.rights import MEMBER, OWNER, require
from houses.scopes import PERMISSIONS, X, scope
from houses.standing import require_owner
from houses.tenancy import inside
from houses.texts import one_line

# Both are shaped so that an index answers them, however many houses there are: an array that is read first, and a
# comparison with nothing while one is inside of a house.
MINE = f'"id" = ANY (ARRAY(SELECT house_id FROM members WHERE agent_id = {CURRENT_AGENT}))'  # noqa: S608  # both are ours
ONES_OWN = f'"agent_id" = CASE WHEN {CURRENT_HOUSE} IS NULL THEN {CURRENT_AGENT} END'


class HouseQuerySet(models.QuerySet["House"]):
    """Houses, as far as row-level security shows them."""

    def found(self, name: str, *, by: Agent) -> "House":
        """A new house with its founder as owner. The id comes first: nothing may be written outside of a house."""
        name = one_line(name)
        if not name:
            raise Invalid("A house needs a name.")
        with connection.cursor() as cursor:
            cursor.execute("SELECT generate_short_id()")
            (house_id,) = cursor.fetchone()
        with inside(house_id, by):
            house = self.create(pk=house_id, name=name)
            Member.objects.create(house=house, agent=by, role=OWNER)
        return house


class House(models.Model):
    """A tenant: the only privacy boundary. Everything below belongs to exactly one house."""

    id = ShortIdField()
    name = models.TextField()
    # Circular with environments.house_id, so a soft pointer.
    default_environment_id = models.TextField(null=True, blank=True)
    signals_stream_id = models.TextField(null=True, blank=True, editable=False)  # made with the first signal
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = HouseQuerySet.as_manager()

    class Meta:
        db_table = "houses"
        permissions = PERMISSIONS
        constraints = [
            HouseOwned(
                name="a_house_is_seen_from_inside",
                column="id",
                also_read=MINE,
            ),
            Audited(name="houses_are_audited"),
        ]

    def __str__(self) -> str:
        return self.name

    def admit(self, agent: Agent, *, role: str = MEMBER, by: Agent) -> "Member":
        """Let an agent in. Saying it twice does it once, and changes nothing of what they may do."""
        require(by, X, self)
        _require_fitting(role, agent)
        if role == OWNER:
            require_owner(by)
        member, _ = Member.objects.get_or_create(house=self, agent=agent, defaults={"role": role})
        return member


scope("house", House)


class MemberQuerySet(models.QuerySet["Member"]):
    """Who is in the house."""

    def owners(self) -> Self:
        return self.filter(role=OWNER)

    def of(self, agent: Agent) -> "Member | None":
        return self.filter(agent=agent).first()

    def require_owner(self, agent: Agent) -> None:
        """Refuse whoever does not own the house we are inside of, or holds a token that may not manage it."""
        require_owner(agent)


class Member(models.Model):
    """An agent in a house, with a role."""

    pk = models.CompositePrimaryKey("house_id", "agent_id")
    house = models.ForeignKey(
        House, on_delete=models.CASCADE, db_constraint=False, related_name="members", db_index=False
    )
    agent = models.ForeignKey(
        Agent, on_delete=models.CASCADE, db_constraint=False, related_name="memberships", db_index=False
    )
    role = models.TextField(choices=[(OWNER, "owner"), (MEMBER, "member")])
    joined_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = MemberQuerySet.as_manager()

    class Meta:
        db_table = "members"
        constraints = [
            models.CheckConstraint(name="a_member_owns_or_belongs", condition=Q(role__in=[OWNER, MEMBER])),
            References(name="a_member_is_an_agent", fields=("agent",), to="houses.Agent", on_delete="cascade"),
            HouseOwned(
                name="members_are_seen_from_inside",
                also_read=ONES_OWN,
            ),
            Audited(name="members_are_audited"),
        ]
        indexes = [models.Index(fields=["agent"], name="members_of_an_agent")]

    def __str__(self) -> str:
        return f"{self.agent} ({self.role})"

    @transaction.atomic
    def change_role(self, role: str, *, by: Agent) -> None:
        """Make a member an owner, or an owner a member; that is for owners alone."""
        lock_grants(House(pk=self.house_id))  # before asking: two owners who demote each other are one after the other
        require(by, X, House(pk=self.house_id))
        require_owner(by)
        _require_fitting(role, self.agent)
        with self._keeping_an_owner(unless=role == OWNER):
            Member.objects.filter(agent_id=self.agent_id).update(role=role)
        self.role = role

    @transaction.atomic
    def leave(self, *, by: Agent) -> None:
        """Take an agent out of the house, and what they were granted with them.

        Anyone may leave; who manages the house sends members away, and only owners send owners. No token takes its own
        agent out that could not manage for them.
        """
        lock_grants(House(pk=self.house_id))
        role = Member.objects.filter(agent_id=self.agent_id).values_list("role", flat=True).first()
        if by.pk != self.agent_id:
            require(by, X, House(pk=self.house_id))
        elif X not in by.cap:
            raise Forbidden(f"The token that asks may only {by.cap or 'nothing'}; leaving takes one with x.")
        if by.pk != self.agent_id and role == OWNER:
            require_owner(by)
        with self._keeping_an_owner():
            self._go()

    def _go(self) -> None:
        try:
            with transaction.atomic():
                Member.objects.filter(agent_id=self.agent_id).delete()
        except IntegrityError as error:
            if "a_driving_bot_is_a_member" not in str(error):
                raise
            raise Forbidden(
                f"{self.agent} drives threads of this house, and they name it for good. Shut it out instead: grant it "
                "nothing on the house, and revoke its tokens."
            ) from error

    @contextmanager
    def _keeping_an_owner(self, unless: bool = False) -> Iterator[None]:
        owners = list(Member.objects.owners().values_list("agent_id", flat=True))
        if not unless and owners == [self.agent_id]:
            raise Forbidden("A house keeps at least one owner; make somebody else an owner first.")
        yield
        if not unless and self.agent_id in owners:
            keep_a_manager()


def _require_fitting(role: str, agent: Agent) -> None:
    if role not in (OWNER, MEMBER):
        raise Invalid("A member's role is either owner or member.")
    if role == OWNER and agent.is_bot:
        raise Invalid("A bot is always a plain member; people own houses.")
