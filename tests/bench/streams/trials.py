"""Several short rounds in which all take their turn, so that a noisy machine hurts them all alike; then the ratios."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.streams.load import Taken


@dataclass(frozen=True)
class Aim:
    """How the figure of one is to stand to that of another."""

    who: str
    over: str
    at_least: float | None = None
    at_most: float | None = None

    def told(self, figures: dict[str, float]) -> str:
        ratio = figures[self.who] / figures[self.over]
        if self.at_least is not None:
            is_met, aim = ratio >= self.at_least, f"at least {self.at_least:g}"
        else:
            assert self.at_most is not None
            is_met, aim = ratio <= self.at_most, f"at most {self.at_most:g}"
        return f"{self.who} : {self.over} = {ratio:.2f}, the aim is {aim}: {'met' if is_met else 'MISSED'}"


@dataclass
class Trial:
    """One thing that is measured, of everybody who takes part."""

    name: str
    unit: str
    takers: dict[str, Callable[[], Taken]]
    aims: list[Aim]
    taken: dict[str, list[Taken]] = field(default_factory=dict)

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            for who, take in self.takers.items():
                try:
                    self.taken.setdefault(who, []).append(take())
                except Exception as error:
                    error.add_note(f"while measuring {who}: {self.name}")
                    raise

    def told(self) -> list[str]:
        lines, medians = [self.name], {}
        for who, taken in self.taken.items():
            figures = [one.figure for one in taken]
            medians[who] = statistics.median(figures)
            line = f"  {who:<22} {_said(medians[who]):>9} {self.unit}  ({_said(min(figures))} to {_said(max(figures))})"
            spent = [one.processor for one in taken if one.processor is not None]
            line += f", {statistics.median(spent):.0f} µs of processor a request" if spent else ""
            failed = sum(one.failed for one in taken)
            lines.append(line + (f", {failed} REQUESTS FAILED" if failed else ""))
        return lines + [f"  → {aim.told(medians)}" for aim in self.aims]


def _said(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"
