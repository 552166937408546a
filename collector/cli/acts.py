"""What commands that change the books by hand have in common: who did it, and the lock of the ingest."""

import os
import pwd
from contextlib import AbstractContextManager

from collector.ledger.ingest import LOCK_NAME
from collector.locks import hold
from collector.settings import Settings

LOCK_WAIT_S = 30.0


def os_user() -> str:
    """The system's name of who runs this, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def ingest_lock(settings: Settings) -> AbstractContextManager[None]:
    """The lock of the ingest, which holds it for a moment at a time. Raises LockHeld when it stays held."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return hold(settings.journal_dir.parent / LOCK_NAME, "ingest", LOCK_WAIT_S)
