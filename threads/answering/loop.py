"""From the claim of an answer to its rest: ask the model, call what it calls, tell what it says, until it is done."""

import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from django.conf import settings
from pydantic_ai.messages import ModelResponse

from houses.deliveries import SecretDelivery
from houses.refusals import Refused
from houses.secrets import Secret
from houses.tenancy import acting, inside
from streams.outbox import relay
from threads.answering.calling import Work
from threads.answering.context import told
from threads.answering.elsewhere import pieces
from threads.answering.hands import Hands
from threads.answering.journal import Journal, said_in
from threads.answering.telling import Telling
from threads.answering.thinking import Asked, Provider, Unanswered
from threads.answering.troubles import trouble
from threads.answering.turns import call
from threads.answering.watch import Stopped, TakenOver, Watch
from threads.answers import BEHIND, Answer
from threads.followed import CANCELLED, COMPLETED, FAILED, RUNNING
from threads.models import Thread
from threads.rights import NoLongerAllowed
from threads.spending import Spending

MOST_TURNS = 40  # requests of one answer
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)  # seconds before a provider is asked again that did not answer as it should
LONGEST_PAUSE = 30.0


class Gave(Refused):
    """The model, or its provider, gave no whole answer."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Answering:
    """One worker's way with one answer."""

    def __init__(self, answer: Answer, pauses: Sequence[float] = PAUSES) -> None:
        self.answer, self.pauses = answer, pauses
        self.watch = Watch(answer)
        self.journal = Journal(answer, self._clean)
        self.telling = Telling(answer, self.journal.text)
        self.work = Work(answer, self.watch, self.telling.hide)

    def see_through(self) -> None:
        """Until it rests, or another worker has it."""
        with acting(self.answer.agent_id):
            try:
                self._answer()
                self._rest(COMPLETED)
            except TakenOver:
                return
            except Refused as refused:
                gone = isinstance(refused, Stopped | NoLongerAllowed)
                code = "stopped" if gone else refused.code
                self._rest(CANCELLED if gone else FAILED, code=code, reason=self.telling.clean(refused.detail))

    def _answer(self) -> None:
        self.watch()
        self.telling.resume()
        provider = self._provider()
        hands = Hands(self.work)
        if self.journal.instructions is None:
            self.journal.note_told(*told(self.answer, hands.away))
        while True:
            self.watch()
            pending = self.journal.pending()
            if pending is not None:
                call(self.journal, hands, self.work, pending)
            elif self._is_done():
                return
            else:
                self._turn(provider, hands)

    def _clean(self, value: Any) -> Any:
        return self.telling.clean(value)

    def _provider(self) -> Provider:
        """With the key, for as long as this goes on. Raises `Refused` where that is gone."""
        recipe = self.answer.recipe
        name, key = recipe["key_secret"], ""
        if name:
            with inside(self.answer.house_id):
                secret = Secret.objects.named([name]).first()
                if secret is None:
                    raise Gave("bot_not_ready", f"The secret {name} is gone; add it again under Settings → Secrets.")
                key = self.work.open(secret)
        return Provider(
            model=recipe["model"],
            api=recipe["api"],
            address=recipe["address"],
            key=key,
            inside_too=settings.LOCAL_MODELS,
        )

    # Turns

    def _turn(self, provider: Provider, hands: Hands) -> None:
        """One request to the model, again and again as long as there is hope."""
        if len(self.journal.said()) >= MOST_TURNS:
            raise Gave(
                "too_many_turns", f"It called tools {MOST_TURNS} times and came to no end; ask for less at once."
            )
        with inside(self.answer.house_id):
            above = self.answer.recipe.get("above", "")
            Spending.objects.require_left(self.answer.agent, above=above, run=self.answer.pk)
        asked = Asked(
            instructions=self.journal.instructions or "",
            messages=self.journal.messages(),
            tools=hands.definitions(),
        )
        for pause in (*self.pauses, None):
            try:
                response = self._respond(provider, asked)
            except Unanswered as unanswered:
                found = trouble(unanswered.error, str(self.answer.agent), self.answer.recipe)
                if pause is None or not found.again:
                    raise Gave(found.code, found.sentence) from unanswered
                self.telling.again()
                self._pause(max(pause, min(found.after, LONGEST_PAUSE)))
            else:
                self._note(response)
                return

    def _respond(self, provider: Provider, asked: Asked) -> ModelResponse:
        def ask(tell: Callable[[str], None]) -> Coroutine[Any, Any, ModelResponse]:
            return provider.respond(asked, tell)

        response = pieces(ask, self.watch)
        between = "\n\n" if self.telling.settled else ""
        while True:
            try:
                piece = next(response)
            except StopIteration as done:
                whole: ModelResponse = done.value
                return whole
            if piece:
                self.telling.say(between + piece)
                between = ""
                if self.telling.is_full:
                    response.close()
                    raise Gave("length", "It said more than a thread takes; ask for it in a file.")
            else:
                self.telling.flush()

    def _note(self, response: ModelResponse) -> None:
        """Said to the end: nobody asks for this again."""
        self.telling.flush(final=True)
        self.journal.note_said(response)
        self.telling.settle(self.journal.text)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.watch()
            time.sleep(min(0.1, left))

    def _is_done(self) -> bool:
        """Whether the model has said its last word. Raises `Gave` for one that is none."""
        said = self.journal.said()
        if not said or said[-1].tool_calls:
            return False
        why, bot = said[-1].finish_reason, self.answer.agent
        if why == "length":
            raise Gave("length", f"{bot}'s model came to the end of what it may say at once; tell it to go on.")
        if why == "content_filter":
            raise Gave(
                "content_filter", f"The provider of {bot}'s model does not let this answer through; ask otherwise."
            )
        if not any(map(said_in, said)):
            raise Gave("empty_answer", f"{bot}'s model answered nothing; ask again, or give it another model.")
        return True

    # The end

    def _rest(self, status: str, *, code: str = "", reason: str = "") -> None:
        """Write down how it ended; what was said until then stays."""
        answer = self.answer
        try:
            self.telling.flush(final=True)
        except TakenOver:
            return
        text = self.journal.text if status == COMPLETED else self.telling.told
        relay(answer.house_id, answer.thread.stream_id)
        with inside(answer.house_id):
            mine = Answer.objects.select_for_update().filter(pk=answer.pk, status=RUNNING, attempts=answer.attempts)
            row = mine.first()
            if row is None:
                return
            thread = Thread.objects.select_for_update(no_key=True).get(pk=answer.thread_id)
            thread.save(update_fields=["updated_at"])  # rows before streams, and the answer before its thread
            spent = Spending.objects.told(answer.pk)
            row.finish(status, code=code, reason=reason, text=text, spent=spent, by=row.stop_asked_by)
            SecretDelivery.objects.note_redactions(answer.pk, dict(self.telling.hits))
            if status == COMPLETED and text.strip():
                behind = row.recipe.get(BEHIND, [])
                Answer.objects.ask(thread, text, by=row.agent, depth=row.depth + 1, about=row.pk, behind=behind)
