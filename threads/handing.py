"""What work is started with that nobody may read: secrets of its environment, a model's key, the token of its run."""

import json
from dataclasses import dataclass, field

from django.conf import settings

from houses import run_tokens
from houses.agents import Agent
from houses.deliveries import SecretDelivery
from houses.refusals import Refused
from houses.secrets import Secret
from sandboxes.models import Environment

MODEL_KEY = "the model's key"  # no variable has such a name


class NoKey(Refused):
    """The house has no secret of the name that its bot's key should have."""

    code = "no_model_key"


@dataclass(frozen=True)
class Handed:
    """Variables by name; and what is held at the doors of a run, outside of its sandbox: a model's key, its token.

    Of what comes from the vault, `versions` says which version it is.
    """

    values: dict[str, str]
    held: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    token: str = ""  # that begins to speak with this run, if any does

    @classmethod
    def out_of(cls, environment: Environment, key_secret: str | None = None) -> "Handed":
        """For work that begins; that of a bot names the secret of its model's key. Raises `MissingSecret`, `NoKey`."""
        secrets = environment.wanted_secrets()
        values = {secret.name: secret.reveal() for secret in secrets}
        is_run = key_secret is not None
        token = run_tokens.new_text() if environment.network or is_run else ""
        held = {run_tokens.NAME: token} if is_run else {}
        if key_secret:
            key = _key(key_secret)
            secrets, held = [*secrets, key], held | {MODEL_KEY: key.reveal()}
        if token and not is_run:
            values |= {run_tokens.NAME: token}
        return cls(values, held, {secret.name: secret.version for secret in secrets}, token)

    @classmethod
    def again(cls, text: str) -> "Handed":
        """For whoever takes over: the same values, whatever they are now."""
        told = json.loads(text)
        return cls(told["values"], told["held"]) if "held" in told else cls(told)

    @property
    def is_empty(self) -> bool:
        return not (self.values or self.held)

    @property
    def text(self) -> str:
        return json.dumps({"values": self.values, "held": self.held})

    @property
    def hidden(self) -> dict[str, str]:
        """All that output never shows, by name."""
        return self.values | self.held

    def note(self, *, run: str, agent: Agent, thread_id: str, environment: Environment, calls: bool = False) -> None:
        """Write down what goes to whom, and let the token speak; in the transaction that writes down the start."""
        if self.token:
            seconds = environment.limits.wall_seconds if not calls else environment.run_limits.wall_seconds
            run_tokens.mint(agent, run, self.token, thread_id=thread_id, seconds=seconds, calls=calls)
        if self.versions:
            SecretDelivery.objects.note(
                self.versions, command_id=run, agent=agent, thread_id=thread_id, environment_id=environment.pk
            )


def _key(name: str) -> Secret:
    found = Secret.objects.named([name])
    if not found:
        raise NoKey(
            f"This house has no secret {name}, which is the key of the bot's model; add it under Settings → Secrets."
        )
    return found[0]


def take_back(run: str, redactions: dict[str, int]) -> None:
    """The run rests: its token speaks no more, and it is known how often each secret had to be hidden."""
    run_tokens.end(run)
    SecretDelivery.objects.note_redactions(run, redactions)


def place(house_id: str, thread_id: str) -> dict[str, str]:
    """Where a run is, for what it asks of arbe with its token."""
    return {"ARBE_URL": settings.ARBE_URL, "ARBE_HOUSE": house_id, "ARBE_THREAD": thread_id}
