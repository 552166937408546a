"""All that is shared, as the gateway uses it: who is let in, what may be spent, how endpoints fared.

Reservations and counts per minute are written at once, in the loop, because they decide; everything else is saved and
read once a second in a thread. Calls without key and budget never touch the file.
"""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence

from collector.core.budgets import Budget
from collector.core.calls import Call
from collector.core.errors import StateDamaged, StateError
from collector.core.money import format_usd
from collector.intake.gateway import claims
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.planning import without
from collector.intake.gateway.router import Planned
from collector.intake.gateway.shared import budgets, health, rates, sessions
from collector.intake.gateway.shared.budgets import Claim, Standing
from collector.intake.gateway.shared.fared import SLOT_S, Fared, Saved
from collector.intake.gateway.shared.keys import Key, all_keys, digest_of
from collector.intake.gateway.shared.recorded import Ended, Records
from collector.intake.gateway.shared.recovery import Known, hold_again, recover
from collector.intake.gateway.shared.sessions import Sessions
from collector.intake.gateway.shared.state import State
from collector.intake.gateway.shared.workers import Presence, is_alive, sweep
from collector.settings import Settings

log = logging.getLogger("callmeter.gateway")
EVERY_S = 1.0
OVER_BUDGET = "is over its budget"
CostOf = Callable[[Call], int | None]  # of an ended call, None: unpriced
_DENIALS = {None: "no key was sent", "disabled": "the key is disabled", "expired": "the key has expired"}
_LOG_EVERY_S = 60.0


class Shared:
    """One worker's share. `is_public`: it is served beyond this machine, so nobody is let in without a key."""

    def __init__(
        self,
        settings: Settings,
        fared: Fared,
        served: Sessions,
        cost_of: CostOf,
        records: Records,
        is_public: bool = False,
    ) -> None:
        self.fared = fared
        self._served = served
        self._served_until_us = 0  # what others have saved is known up to then
        self._state = State(settings.state_path)
        self._folder = settings.data_dir / "workers"
        self._zone = settings.zone
        self._budgets = settings.budgets
        self._cost_of = cost_of
        self._records = records
        self.is_public = is_public
        self._had_keys = False
        self._keys: dict[bytes, Key] = {}
        self._keys_stamp: object = None
        self._reserved: dict[str, list[Claim]] = {}
        self._unsettled: list[tuple[Call, list[Claim]]] = []
        self._turned_away: dict[tuple[int, str], int] = {}
        self._connection: sqlite3.Connection | None = None
        self._identity: int | None = None  # of the file that it is to
        self._presence: Presence | None = None
        self._task: asyncio.Task[None] | None = None
        self._told_at = 0.0

    def open(self, now_us: int) -> None:
        """Open the file, and take over what it says. Raises StateError, saying what to do."""
        self._connection = self._connected()
        self._presence = Presence(self._folder)
        sweep(self._folder)
        with self._state.writing(self._connection) as connection:
            self._read_keys(connection)
            self.fared.learn(*health.load(connection, 0))
            self._served.learn(sessions.load(connection, now_us - sessions.IDLE_US))
        self._served_until_us = now_us
        self._look_elsewhere(now_us)

    def start(self) -> None:
        """From now on, save and read once a second."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Save what is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self._save()
        self.close()

    def close(self) -> None:
        """Let go of the file; what is still reserved is settled by whoever comes next."""
        if self._presence is not None:
            self._presence.end()
        if self._connection is not None:
            self._connection.close()
        self._presence = self._connection = None

    @property
    def needs_key(self) -> bool:
        """Whether calls need a gateway key: once one exists, and always beyond this machine."""
        return self.is_public or self._had_keys

    def has_key(self, now_us: int) -> bool:
        """Whether there is a key that lets somebody in."""
        return any(key.state(now_us) == "active" for key in self._keys.values())

    def admit(self, text: str | None, now_us: int) -> Key | None:
        """The key that a request came with, None where none is needed. Raises Refusal (401)."""
        if not self.needs_key:
            return None
        key = self._keys.get(digest_of(text)) if text else None
        state = key.state(now_us) if key else None
        if key is not None and state == "active":
            return key
        why = "it is not a key of this gateway" if text and key is None else _DENIALS[state]
        raise Refusal(401, "invalid_api_key", f"{why}: send `Authorization: Bearer KEY` with a key of this gateway")

    def turn_away(self, reason: str, now_us: int) -> None:
        """Count a request that is no call."""
        place = now_us // rates.MINUTE_US, reason
        self._turned_away[place] = self._turned_away.get(place, 0) + 1

    def turned_away(self) -> dict[str, int]:
        """How often all workers ever turned a request away, by reason, as far as they have saved it."""
        with contextlib.closing(self._state.connect()) as connection:
            return rates.turned_away(connection, 0)

    def count(self, key: Key, now_us: int) -> None:
        """Count a call of a key. Raises Refusal (429) where its minute is full."""
        if key.rpm is None:
            return
        with self._at_hand() as connection:
            calls = rates.count(connection, key.id, now_us)
        if calls > key.rpm:
            message = f"the key {key.id} may make {key.rpm} calls a minute: try again in the next one"
            raise Refusal(429, "rate_limit_exceeded", message, retry_after=str(rates.seconds_left(now_us)))

    def budgets_of(self, key: Key | None, app: str | None, user: str | None) -> list[Budget]:
        """The budgets that a caller's calls may count in."""
        own = [key.budget] if key is not None and key.budget is not None else []
        if not own and not self._budgets:
            return own
        who = {"app": app, "key": key.id if key else None, "user": user}
        return own + claims.that_apply(self._budgets, who)

    def reserve(self, call: Call, planned: Planned, applying: Sequence[Budget], now_us: int) -> Planned:
        """Keep free what the call may cost, of every budget; endpoints whose own budget has no room leave the plan.

        Raises Refusal: 403 where a budget is used up, 402 where less is left than the call may cost.
        """
        while applying and planned.plan.steps:
            wanted = self._claims(planned, applying, call.operation)
            with self._at_hand() as connection:
                full = budgets.reserve(connection, call.id, self._name, wanted, self._zone, now_us)
            if full is None:
                self._reserved[call.id] = wanted
                return planned
            held = {id(r) for r in planned.plan.routes if claims.covers(full.budget, r.model, r.provider)}
            left = without(planned.plan, held, OVER_BUDGET)
            if not left.steps:
                raise over(full, next(c.picousd for c in wanted if c.budget == full.budget))
            planned = planned.replaced(left)
        return planned

    def settle(self, call: Call) -> None:
        """The call has ended: its reservations become what it cost."""
        claimed = self._reserved.pop(call.id, None)
        if claimed is not None:
            self._unsettled.append((call, claimed))
            with contextlib.suppress(Refusal), self._at_hand() as connection:
                self._settle_all(connection)

    def standing(self, budget: Budget, now_us: int) -> Standing:
        """How a budget stands, asked from any thread. Raises StateError."""
        with contextlib.closing(self._state.connect()) as connection:
            return budgets.standing(connection, budget, self._zone, now_us)

    @property
    def _name(self) -> str:
        return self._presence.name if self._presence else ""

    def _claims(self, planned: Planned, applying: Sequence[Budget], operation: str) -> list[Claim]:
        found = []
        for budget in applying:
            routes = [r for r in planned.plan.routes if claims.covers(budget, r.model, r.provider)]
            if routes:
                most = claims.dearest(routes, planned.need, operation)
                if most is None:
                    message = f"{budget} applies to this call, and an endpoint has no price for all that it may use"
                    raise Refusal(403, "unpriced", f"{message}: give it a price for input and output")
                found.append(Claim(budget, most))
        return found

    @contextlib.contextmanager
    def _at_hand(self) -> Iterator[sqlite3.Connection]:
        """A transaction here and now. What has to be counted and cannot be is refused, never let pass."""
        try:
            if self._connection is None:
                self._connection = self._connected()
            with self._state.writing(self._connection) as connection:
                yield connection
        except StateError as error:
            if not isinstance(error, StateDamaged):  # which is mended, and told, within a second
                self._tell(str(error))
            message = "the limits that apply to this call cannot be looked up now: try again"
            raise Refusal(503, "limits_unavailable", message, retry_after="1") from None

    def _connected(self) -> sqlite3.Connection:
        connection = self._state.connect()
        self._identity = self._state.identity()
        return connection

    def _settle_all(self, connection: sqlite3.Connection) -> None:
        for call, claimed in self._unsettled:
            cost, applying = self._cost_of(call) or 0, [claim.budget for claim in claimed]
            budgets.settle(connection, call.id, cost, claims.counted_by(applying, call), self._zone, call.started_at)
        self._unsettled = []

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._save()

    async def _save(self) -> None:
        """Save and read in a thread what this worker and the others have seen since the last time."""
        now_us = time.time_ns() // 1000
        taken, waits, served = self.fared.take(), self.fared.waits(now_us), self._served.take()
        turned_away, self._turned_away = self._turned_away, {}
        since = now_us // (SLOT_S * 1_000_000) - health.RECENT_SLOTS

        def work() -> tuple[Saved, dict[str, int], list[tuple[bytes, str, int]]]:
            with self._state.once() as connection:
                health.save(connection, taken, waits, now_us)
                sessions.save(connection, served, now_us)
                rates.add_turned_away(connection, turned_away, now_us)
                self._read_keys(connection)
                found = *health.load(connection, since), sessions.load(connection, self._served_until_us)
            self._look_elsewhere(now_us)
            return found

        try:
            seen, told, answered = await asyncio.to_thread(work)
        except Exception as error:  # this goes on as long as the worker does
            if isinstance(error, StateDamaged):
                await self._recover(error, now_us)
            else:
                self._tell(f"what workers share is not saved: {error}")
            self.fared.put_back(taken)
            self._served.put_back(served)
            for place, n in turned_away.items():
                self._turned_away[place] = self._turned_away.get(place, 0) + n
            return
        self.fared.learn(seen, told)
        self._served.learn(answered)
        self._served_until_us = now_us
        self._follow()
        if self._unsettled:
            with contextlib.suppress(Refusal), self._at_hand() as connection:
                self._settle_all(connection)

    async def _recover(self, damage: StateDamaged, now_us: int) -> None:
        """The file is damaged: a new one in its place, and one line that says what became of what it held."""
        keys = tuple(self._keys.values())
        own = [key.budget for key in keys if key.budget is not None]
        limits = tuple({(each.scope, each.period): each for each in (*self._budgets, *own)}.values())
        known = Known(self._name, keys, self._held(), limits, self._records.spent, self._zone, now_us)
        try:
            if told := await asyncio.to_thread(recover, self._state, self._folder, known):
                log.error("%s", told)
        except (StateError, OSError) as error:
            self._tell(f"{damage}; a new one cannot be made: {error}")
        else:
            self._follow()

    def _held(self) -> dict[str, list[Claim]]:
        """What the calls hold that run here, or have ended and are not settled yet."""
        return {**self._reserved, **{call.id: claimed for call, claimed in self._unsettled}}

    def _follow(self) -> None:
        """Where the file was replaced, go on with the new one, and hold there what the running calls hold."""
        identity = self._state.identity()
        if self._connection is None or identity == self._identity:
            return
        self._connection.close()
        self._connection = None
        with contextlib.suppress(Refusal), self._at_hand() as connection:
            hold_again(connection, self._name, self._held())

    def _read_keys(self, connection: sqlite3.Connection) -> None:
        """Take over keys that were made or disabled; where all are gone, a gateway that had some stays closed."""
        stamp = connection.execute("SELECT count(*), max(created_us), sum(disabled_us) FROM keys").fetchone()
        if stamp == self._keys_stamp:
            return
        keys = {key.digest: key for key in all_keys(connection)}
        self._had_keys = self._had_keys or bool(keys)
        self._keys, self._keys_stamp = keys, stamp

    def _look_elsewhere(self, now_us: int) -> None:
        """What only the ledger and the journal can say: of budgets that are new here, and of workers that died."""
        with contextlib.closing(self._state.connect()) as connection:
            new = [b for b in self._budgets if not budgets.is_begun(connection, b, self._zone, now_us)]
            leases = budgets.leases_by_worker(connection)
            orphans = [call for name, calls in leases.items() if not is_alive(self._folder, name) for call in calls]
            if not new and not orphans:
                return
            try:
                begun = [(budget, self._records.spent(budget, now_us)) for budget in new]
                ended = self._records.ended(orphans) if orphans else {}
            except Exception as error:  # whatever ails the ledger: limits hold by what is known here
                self._tell(f"what was spent before is not known yet: {error}")
                return
            with self._state.writing(connection):
                for budget, picousd in begun:
                    budgets.begin(connection, budget, picousd, self._zone, now_us)
                for call_id in orphans:
                    self._settle_orphan(connection, call_id, ended.get(call_id), now_us)

    def _settle_orphan(self, connection: sqlite3.Connection, call_id: str, ended: Ended | None, now_us: int) -> None:
        """A call whose worker died: what its record says it cost; nothing where it was never sent and has none."""
        leased = budgets.leased_by(connection, call_id)
        if ended is None:
            budgets.settle(connection, call_id, 0, leased, self._zone, now_us)
            return
        counted = [budget for budget in leased if claims.covers(budget, ended.model, ended.provider)]
        budgets.settle(connection, call_id, ended.cost, counted, self._zone, ended.started_us)

    def _tell(self, message: str) -> None:
        now = time.monotonic()
        if now - self._told_at > _LOG_EVERY_S or not self._told_at:
            self._told_at = now
            log.error("%s", " ".join(message.split()))


def over(full: Standing, wanted: int) -> Refusal:
    """The refusal of a call that a budget has no room for, with the statuses that OpenRouter uses."""
    budget = full.budget
    name = f"the limit of {budget}" + (" (this key)" if budget.dimension == "key" else "")
    if full.spent >= budget.limit:
        return Refusal(403, "limit_exceeded", f"{name} is used up: raise it, or wait for the next {budget.period}")
    left, most = format_usd(full.left), format_usd(wanted)
    message = f"{name} has {left} USD left, and this call may cost {most} USD: lower max_tokens or shorten the prompt"
    return Refusal(402, "limit_exceeded", message)
