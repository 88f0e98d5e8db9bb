"""The one question of the doors: is this agent in that house?"""

from uuid import UUID

from houses.models import Agent, House, Member
from houses.refusals import NotFound
from houses.tenancy import as_agent, inside


def is_member(house_id: str, agent_id: UUID | str) -> bool:
    """True if the agent is active and in the house. Opens its own view of the house."""
    with inside(house_id, agent_id):
        return Member.objects.filter(agent_id=agent_id, agent__is_active=True).exists()


def house_for(house_id: str, agent: Agent) -> House:
    """The house, for one of its members; for everybody else there is nothing under that address."""
    with inside(house_id, agent):
        house = House.objects.filter(pk=house_id, members__agent_id=agent.pk).first()
    if house is None or not agent.is_active:
        raise NotFound
    return house


def houses_of(agent: Agent) -> list[House]:
    """Every house the agent is in, by name."""
    with as_agent(agent):
        return list(House.objects.order_by("name"))
