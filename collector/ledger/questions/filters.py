"""The names that can be chosen from, read from the small table of names alone."""

from sqlalchemy import func, select

from collector.core.selection import DIMENSIONS
from collector.ledger.questions.ask import Question
from collector.ledger.schema import names

MAX_LISTED = 500
LISTED = (*DIMENSIONS, "error_type")


def names_of(dimension: str, starting_with: str = "") -> Question:
    """The first MAX_LISTED names of one of LISTED, in order: columns name, label.

    `starting_with` narrows a long list, such as that of the users.
    """
    if dimension not in LISTED:
        raise ValueError(dimension)
    question = select(names.c.name, func.coalesce(names.c.label, names.c.name).label("label"))
    question = question.where(names.c.kind == dimension).order_by(names.c.name).limit(MAX_LISTED)
    if not starting_with:
        return question
    return question.where(names.c.name >= starting_with, names.c.name < starting_with + chr(0x10FFFF))
