"""What a command is started with that nobody may read: the secrets of its environment, and the token of its run."""

import json
from dataclasses import dataclass, field

from django.conf import settings

from houses import run_tokens
from houses.agents import Agent
from houses.deliveries import SecretDelivery
from sandboxes.models import Environment


@dataclass(frozen=True)
class Handed:
    """Values by name, the token among them; and of what comes from the vault, which version it is."""

    values: dict[str, str]
    versions: dict[str, int] = field(default_factory=dict)
    token: str = ""  # that begins to speak with this run, if any does

    @classmethod
    def out_of(cls, environment: Environment) -> "Handed":
        """For a run that begins. Raises `MissingSecret`."""
        secrets = environment.wanted_secrets()
        values = {secret.name: secret.reveal() for secret in secrets}
        token = run_tokens.new_text() if environment.network else ""
        values |= {run_tokens.NAME: token} if token else {}
        return cls(values, {secret.name: secret.version for secret in secrets}, token)

    @classmethod
    def again(cls, text: str) -> "Handed":
        """For whoever takes over: the same values, whatever they are now."""
        return cls(dict(json.loads(text)))

    @property
    def text(self) -> str:
        return json.dumps(self.values)

    def note(self, *, run: str, agent: Agent, thread_id: str, environment: Environment) -> None:
        """Write down what goes to whom, and let the token speak; in the transaction that writes down the start."""
        if self.token:
            seconds = environment.limits.wall_seconds
            run_tokens.mint(agent, run, self.token, thread_id=thread_id, seconds=seconds)
        if self.versions:
            SecretDelivery.objects.note(
                self.versions, command_id=run, agent=agent, thread_id=thread_id, environment_id=environment.pk
            )


def take_back(run: str, redactions: dict[str, int]) -> None:
    """The run rests: its token speaks no more, and it is known how often each secret had to be hidden."""
    run_tokens.end(run)
    SecretDelivery.objects.note_redactions(run, redactions)


def place(house_id: str, thread_id: str) -> dict[str, str]:
    """Where a run is, for what it asks of arbe with its token."""
    return {"ARBE_URL": settings.ARBE_URL, "ARBE_HOUSE": house_id, "ARBE_THREAD": thread_id}
