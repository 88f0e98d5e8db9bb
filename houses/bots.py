"""What a bot is in a house: its model, who provides that, by which key, and what it is told before anything else."""

from collections.abc import Iterable
from typing import Any

from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.functional import cached_property

from houses.agents import Agent
from houses.audit import Audited
from houses.constraints import HouseOwned, SameHouse
from houses.ids import ShortIdField
from houses.model_addresses import model_address
from houses.places import House, Member
from houses.refusals import Invalid, NotFound, Refused, TooLarge
from houses.saying import changed, one_at_a_time
from houses.secrets import NAME, OUR_OWN, Secret
from houses.standing import require_x
from houses.tenancy import current_house
from houses.texts import line_of, text_of

MENTION, ALWAYS = "mention", "always"
ANSWERS = (MENTION, ALWAYS)
CHAT, RESPONSES, MESSAGES = "openai-completions", "openai-responses", "anthropic-messages"
APIS = (CHAT, RESPONSES, MESSAGES)
# What each agent program speaks to providers, its favourite first.
SPEAKS = {"pi": APIS, "claude-code": (MESSAGES,), "codex": (RESPONSES,), "chat": APIS}
LONGEST_PROMPT = 32 * 1024  # bytes


class NotReady(Refused):
    """The bot cannot think as it is set up."""

    code = "bot_not_ready"


class BotQuerySet(models.QuerySet["Bot"]):
    """The bots of the house that somebody has set up."""

    def of(self, agent: Agent) -> "Bot | None":
        return self.select_related("agent").filter(agent=agent).first()

    def of_each(self, agents: Iterable[Agent]) -> "list[Bot]":
        """How each of these thinks, with what it comes to where nobody has set it up. Two queries."""
        agents = list(agents)
        known = {bot.agent_id: bot for bot in self.filter(agent__in=agents)}
        bots = [known.get(agent.pk, Bot(agent=agent, api=SPEAKS[str(agent.runtime)][0])) for agent in agents]
        wanted = [bot.key_secret for bot in bots if bot.key_secret]
        kept = set(Secret.objects.named(wanted).values_list("name", flat=True)) if wanted else set()
        for bot, agent in zip(bots, agents, strict=True):
            bot.agent, bot.misses_key = agent, bool(bot.key_secret) and bot.key_secret not in kept
        return bots

    @transaction.atomic
    def set_up(
        self,
        agent: Agent,
        *,
        model: str,
        address: str,
        api: str = "",
        key_secret: str = "",
        system_prompt: str = "",
        answers: str = MENTION,
        by: Agent,
    ) -> "Bot":
        """Exactly so it thinks from now on; runs that go on keep what they began with.

        A secret that the house does not have yet is named all the same, and shown as missing.
        """
        require_x(by)
        _require_bot(agent)
        given = {
            "model": line_of(model, "model"),
            "address": model_address(address),
            "api": _spoken(agent, api),
            "key_secret": _secret_name(key_secret),
            "system_prompt": _prompt(system_prompt),
            "answers": _when(answers),
        }
        one_at_a_time("bot", str(agent.pk))
        bot = self.of(agent)
        if bot is None:
            return self.create(house_id=current_house(), agent=agent, **given)
        if changed(bot, given):
            bot.save(update_fields=[*given, "updated_at"])
        return bot


class Bot(models.Model):
    """How one bot thinks in one house. The key is a secret of the house, by name; its value never comes near this."""

    id = ShortIdField()
    house = models.ForeignKey(House, on_delete=models.CASCADE, db_constraint=False, related_name="bots", db_index=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, db_constraint=False, related_name="bots")
    model = models.TextField(default="", db_default="", blank=True)
    address = models.TextField(default="", db_default="", blank=True)  # of the provider, up to what its API adds
    api = models.TextField(default=CHAT, db_default=CHAT, choices=[(api, api) for api in APIS])
    key_secret = models.TextField(default="", db_default="", blank=True)  # a soft pointer, as in environments
    system_prompt = models.TextField(default="", db_default="", blank=True)
    answers = models.TextField(default=MENTION, db_default=MENTION, choices=[(when, when) for when in ANSWERS])
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, db_default=Now())

    objects = BotQuerySet.as_manager()

    class Meta:
        db_table = "bots"
        constraints = [
            models.UniqueConstraint(name="bots_house_id", fields=["house", "id"]),
            models.UniqueConstraint(name="a_bot_is_set_up_once_in_a_house", fields=["house", "agent"]),
            models.CheckConstraint(name="a_bot_speaks_a_known_api", condition=Q(api__in=APIS)),
            models.CheckConstraint(name="a_bot_answers_sometimes_or_always", condition=Q(answers__in=ANSWERS)),
            SameHouse(
                name="a_bot_is_a_member",
                fields=("house", "agent"),
                to="houses.Member",
                to_fields=("house", "agent"),
                on_delete="cascade",
            ),
            HouseOwned(name="bots_stay_in_their_house"),
            Audited(name="bots_are_audited", hidden=("system_prompt",)),
        ]

    def __str__(self) -> str:
        return str(self.agent)

    def frozen(self) -> dict[str, Any]:
        """What a run keeps of it, whatever it becomes: everything but the key."""
        return {
            "runtime": self.agent.runtime,
            "bot": str(self.agent_id),
            "bot_name": str(self.agent),
            "model": self.model,
            "api": self.api,
            "address": self.address,
            "key_secret": self.key_secret,
            "system_prompt": self.system_prompt,
        }

    @property
    def is_set_up(self) -> bool:
        return not self._state.adding

    @cached_property
    def misses_key(self) -> bool:
        """Whether the house has no secret of the name that its key should have."""
        return bool(self.key_secret) and not Secret.objects.named([self.key_secret]).exists()

    @property
    def problem(self) -> str:
        """What keeps it from thinking, with what to do; nothing, if it can."""
        if not self.model or not self.address:
            return f"{self} has no model yet; choose one under Settings → Agents."
        try:
            model_address(self.address)  # which of them may be asked is the operator's to say, also afterwards
        except Refused as refused:
            return refused.detail
        runtime = str(self.agent.runtime)
        if self.api not in SPEAKS[runtime]:
            return (
                f"{runtime} speaks {' or '.join(SPEAKS[runtime])}, and {self}'s provider {self.api}; "
                "change that under Settings → Agents."
            )
        if self.misses_key:
            return (
                f"The key of {self}'s model is to be the secret {self.key_secret}, which this house does not have; "
                "add it under Settings → Secrets, or name another one under Settings → Agents."
            )
        return ""

    def ready(self) -> None:
        """Refuse to begin where the bot cannot think. Raises `NotReady`."""
        if self.problem:
            raise NotReady(self.problem)

    def forget(self, *, by: Agent) -> None:
        """It is a member still, and thinks no more until somebody sets it up again."""
        require_x(by)
        Bot.objects.filter(pk=self.pk).delete()


def _require_bot(agent: Agent) -> None:
    if not agent.is_bot:
        raise Invalid(f"{agent} is a person; only bots are set up.")
    if Member.objects.of(agent) is None:
        raise NotFound("Nobody of that id is in this house.")


def _spoken(agent: Agent, api: str) -> str:
    spoken = SPEAKS[str(agent.runtime)]
    api = api or spoken[0]
    if api not in APIS:
        raise Invalid(f"api: this is one of {', '.join(APIS)}.")
    if api not in spoken:
        raise Invalid(f"api: {agent.runtime} speaks {' or '.join(spoken)} alone.")
    return api


def _secret_name(name: str) -> str:
    name = name.strip()
    if name and (not NAME.fullmatch(name) or name.startswith(OUR_OWN)):
        raise Invalid(
            "key_secret: this is the name of a secret of the house, like OPENAI_API_KEY, and never its value; "
            "keep that under Settings → Secrets."
        )
    return name


def _prompt(text: str) -> str:
    text = text_of(text, "system_prompt", LONGEST_PROMPT)
    if len(text.encode()) > LONGEST_PROMPT:
        raise TooLarge("system_prompt: this is longer than 32 kB; put the rest into a file that the bot can read.")
    return text


def _when(answers: str) -> str:
    if answers not in ANSWERS:
        raise Invalid(f"answers: this is one of {', '.join(ANSWERS)}.")
    return answers
