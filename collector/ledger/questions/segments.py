"""What became of the calls of some segments of the journal."""

from sqlalchemy import func, select

from collector.ledger.questions.ask import Question
from collector.ledger.schema import segments


def counts_of(source: str, pid: int, since_us: int) -> Question:
    """One row for the segments that a process began for a source: accepted, stored, merged, rejected, missing.

    In calls; what is accepted and not in the ledger yet is not counted.
    """
    columns = [segments.c[name] for name in ("accepted", "stored", "merged", "rejected", "missing")]
    began = f"{since_us:016x}"
    return select(*(func.coalesce(func.sum(column), 0).label(column.name) for column in columns)).where(
        segments.c.name >= began, segments.c.name.contains(f"-{source}-{pid}-", autoescape=True)
    )
