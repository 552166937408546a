"""The tree of errors that callmeter raises on purpose.

    CallmeterError
     ├─ UsageError      wrong use or settings: exit code 2
     │   └─ SettingsError
     ├─ InputError      input that cannot be read: exit code 1
     │   ├─ PriceError
     │   └─ TooDear     more money than sums can hold
     ├─ LedgerError     the ledger is missing, newer than the code, or damaged: exit code 1
     ├─ SourceError     a provider's API or a status page did not answer as it should: exit code 1
     ├─ StateError      state.db is locked or of a newer version: exit code 1
     │   └─ StateDamaged
     ├─ JournalFailed   the journal could not be written or synced
 │   └─ JournalFull   the journal has no room for one more call
     └─ LockHeld        another process does this work now: exit code 75

Every message names the value that was wrong and what to do about it.
"""


class CallmeterError(Exception):
    """Base of all errors whose message is meant for the user."""

    exit_code = 1


class UsageError(CallmeterError):
    """A command or a question was asked in a way that cannot be answered."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting, in a file, the environment or a flag, is wrong."""


class InputError(CallmeterError):
    """A file or a record could not be read."""


class PriceError(InputError):
    """A price entry contradicts itself or another one."""


class TooDear(InputError):
    """A sum of money is more than the ledger can hold: a price or a count is absurd."""


class SourceError(CallmeterError):
    """What is asked for figures, prices or its state did not answer as it should."""


class LedgerError(CallmeterError):
    """The ledger cannot be used as it is."""


class StateError(CallmeterError):
    """state.db cannot be used as it is."""


class StateDamaged(StateError):
    """state.db is no database any more."""


class JournalFailed(CallmeterError):
    """A record could not be written, or not be made durable."""


class JournalFull(JournalFailed):
    """The journal cannot take on one more call: no room for its close record, or its disk fails."""


class LockHeld(CallmeterError):
    """Another process holds the lock of this work."""

    exit_code = 75
