"""What was accepted and could not be read or stored, with the reason."""

from sqlalchemy import func, select

from collector.ledger.questions.ask import Question
from collector.ledger.schema import names, rejects, segments


def by_reason() -> Question:
    """Rows of source, reason and lines, those that came most first."""
    r, s = rejects.c, segments.c
    lines = func.count().label("lines")
    return (
        select(names.c.name.label("source"), r.reason, lines)
        .join(segments, s.id == r.segment)
        .join(names, names.c.id == s.source)
        .group_by(names.c.name, r.reason)
        .order_by(lines.desc(), names.c.name, r.reason)
    )


def newest(limit: int) -> Question:
    """The last rejects: source, segment (its file), position (a byte in it), line (of an imported file), reason, text
    (as it came, cut)."""
    r, s = rejects.c, segments.c
    return (
        select(names.c.name.label("source"), s.name.label("segment"), r.position, r.line, r.reason, r.text)
        .join(segments, s.id == r.segment)
        .join(names, names.c.id == s.source)
        .order_by(r.segment.desc(), r.position.desc())
        .limit(limit)
    )
