"""What an agent may do with a stream: as much as with what is told there, which is a thread or the house."""

from houses.agents import Agent
from houses.models import House
from houses.rights import right
from houses.scopes import R, X
from houses.tenancy import inside
from streams.models import Stream
from threads.models import Thread


def bits_on(house_id: str, stream_id: str, agent: Agent) -> str:
    """The agent's bits on a stream of the house; none on one of which nobody knows any more what it tells."""
    with inside(house_id, agent):
        thread = Thread.objects.filter(stream_id=stream_id).only("pk", "house_id").first()
        if thread is not None:
            return right(agent, thread).bits
        bits = right(agent, House(pk=house_id)).bits
        if House.objects.filter(pk=house_id, signals_stream_id=stream_id).exists():
            # There the system speaks and nobody else, of every thread: for whoever manages the house.
            return R if X in bits else ""
        # The bytes that a house keeps have no row; a row without a thread told of one that has gone.
        return "" if Stream.objects.filter(pk=stream_id).exists() else bits
