"""What a job is, and what it is given."""

from collections.abc import Callable

import msgspec
from sqlalchemy.engine import Engine

from collector.ledger.cells import Progress
from collector.settings import Settings

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


class Work(msgspec.Struct, frozen=True):
    """What a job is given."""

    settings: Settings
    engine: Engine
    now_us: int
    progress: Progress | None = None


class Job(msgspec.Struct, frozen=True):
    """One job. `run` returns how many rows it wrote or read.

    `is_set` says whether the settings ask for it, by what `setting` names; `needed` whether there is anything to do.
    `plan` says what it would do. A job that `feeds` writes to the journal, which is taken into the ledger after it.
    Jobs of one `lane` go one after another, any others side by side.
    """

    name: str
    period_s: int
    summary: str
    limit_s: int
    run: Callable[[Work], int]
    is_set: Callable[[Settings], bool] = lambda settings: True
    setting: str = ""
    needed: Callable[[Work], bool] = lambda work: True
    plan: Callable[[Work], str] | None = None
    feeds: bool = False
    lane: str = ""
