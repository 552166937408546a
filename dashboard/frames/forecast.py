"""What the running month will have cost, from what each day of it and of the weeks before cost."""

from collections.abc import Mapping
from typing import NamedTuple

from dashboard import texts

WEEKS = 4
FEWEST_DAYS = 7  # complete ones, so that every weekday has been seen
METHOD = f"each day to come as the mean of its weekday in the last {WEEKS} weeks"


class Forecast(NamedTuple):
    """A month's spend in picodollars: so far, and what each day to come is expected to add (today: its rest)."""

    so_far: int
    to_come: Mapping[int, int]

    @property
    def total(self) -> int:
        return self.so_far + sum(self.to_come.values())


def month_end(by_day: Mapping[int, int], today: int, first: int, end: int) -> Forecast | None:
    """The forecast for the month of the days from `first` up to but not including `end`.

    `by_day` is the spend of every day with calls of the last WEEKS weeks and of the month; a day without any cost
    nothing. None while fewer than FEWEST_DAYS complete days are known.
    """
    known = range(max(min(by_day, default=today), today - 7 * WEEKS), today)
    if len(known) < FEWEST_DAYS:
        return None
    to_come = {day: _mean([by_day.get(d, 0) for d in known if (day - d) % 7 == 0]) for day in range(today, end)}
    if today in to_come:
        to_come[today] = max(0, to_come[today] - by_day.get(today, 0))
    return Forecast(sum(cost for day, cost in by_day.items() if first <= day < end), to_come)


def says(forecast: Forecast, end: int) -> str:
    """The forecast in a sentence, its method with it."""
    by = texts.short_day(end - 1)
    return f"About {texts.short_usd(forecast.total)} for the month by {by}: {METHOD}"


def _mean(costs: list[int]) -> int:
    return sum(costs) // len(costs)
