"""Whose fault it was: the outcome of a call or an attempt, decided once, on write, by one table of cases."""

from collections.abc import Container
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec


class Outcome(StrEnum):
    """The eight outcomes. `code` is what tables store."""

    OK = "ok"
    PROVIDER_FAULT = "provider_fault"
    RATE_LIMITED = "rate_limited"
    CALLER_FAULT = "caller_fault"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"

    @property
    def code(self) -> int:
        """The small integer that stands for this outcome in the ledger; never renumbered."""
        return OUTCOME_CODES[self]


OUTCOME_CODES: dict[Outcome, int] = {outcome: n for n, outcome in enumerate(Outcome, start=1)}
OUTCOMES_BY_CODE: dict[int, Outcome] = {n: outcome for outcome, n in OUTCOME_CODES.items()}


class Facts(msgspec.Struct, frozen=True):
    """What is known of how an attempt, or a call's last attempt, ended.

    `status` is the HTTP status, None where none arrived or the source states none. `terminal` says whether a stream's
    last event arrived; plain answers leave it True. `error_type` and `finish_reason` are the provider's own words.
    """

    status: int | None
    error_type: str | None = None
    key_holder: Literal["ours", "caller", "unknown"] = "unknown"  # whose account at the provider the key belongs to
    source: str = "gateway"
    streamed: bool = False
    terminal: bool = True
    error_inside: bool = False  # an `error` in the body or the stream of an answer that began with a 2xx
    finish_reason: str | None = None
    failure: str | None = None  # "timeout", "connect", "tls", "disconnect", "malformed"
    client: Literal["stayed", "left", "left_after_finish"] = "stayed"
    refused: bool = False  # by the gateway itself, before any attempt
    interrupted: bool = False  # our process died


class Ending(StrEnum):
    """How it ended, apart from the status: the first of these that is so."""

    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    ERROR = "error"
    LEFT = "left"
    LEFT_AFTER_FINISH = "left after finish"
    UNTERMINATED = "unterminated"
    COMPLETE = "complete"


class Case(NamedTuple):
    """One line of OUTCOMES; a column that is None fits everything."""

    outcome: Outcome
    statuses: Container[int | None] | None = None
    error_types: Container[str] | None = None
    key_holders: Container[str] | None = None
    endings: Container[Ending] | None = None

    def fits(self, facts: Facts, ending: Ending) -> bool:
        """Whether every column of this line fits."""
        return (
            (self.statuses is None or facts.status in self.statuses)
            and (self.endings is None or ending in self.endings)
            and (self.key_holders is None or facts.key_holder in self.key_holders)
            and (self.error_types is None or (facts.error_type or "").lower() in self.error_types)
        )


# A 429 that waiting does not mend: OpenAI's type and its codes (help.openai.com, usage and spend limits), older names.
QUOTA_ERRORS = frozenset(
    {"insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"}
    | {"project_spend_limit_exceeded", "organization_usage_limit_exceeded"}
    | {"billing_hard_limit_reached", "billing_not_active", "payment_required"}
)
# A 403 for what was asked or from where, not for lack of permission (OpenRouter's error types, OpenAI's region error).
CONTENT_ERRORS = frozenset(
    {"content_policy_violation", "content_filter", "refusal", "moderation", "guardrail", "invalid_prompt"}
    | {"unsupported_country_region_territory"}
)

OUTCOMES: tuple[Case, ...] = (
    Case(Outcome.REFUSED, endings={Ending.REFUSED}),
    Case(Outcome.INTERRUPTED, endings={Ending.INTERRUPTED}),
    # What the provider answered stands, whatever happened to the connection or the client afterwards.
    Case(Outcome.PROVIDER_FAULT, statuses=range(500, 1000)),
    Case(Outcome.PROVIDER_FAULT, statuses={408}),
    Case(Outcome.CALLER_FAULT, statuses={403}, error_types=CONTENT_ERRORS),
    Case(Outcome.PROVIDER_FAULT, statuses={401, 402, 403, 404}, key_holders={"ours"}),
    Case(Outcome.PROVIDER_FAULT, statuses={429}, error_types=QUOTA_ERRORS, key_holders={"ours"}),
    Case(Outcome.RATE_LIMITED, statuses={429}),
    Case(Outcome.CALLER_FAULT, statuses=range(400, 500)),
    # No error status.
    Case(Outcome.PROVIDER_FAULT, endings={Ending.FAILED}),
    Case(Outcome.CANCELLED, endings={Ending.LEFT}),
    Case(Outcome.UNKNOWN, statuses={None}),
    Case(Outcome.OK, statuses=range(200, 300), endings={Ending.COMPLETE, Ending.LEFT_AFTER_FINISH}),
    # An error inside a 200, a stream without its terminal event, a redirect or another status that is no answer.
    Case(Outcome.PROVIDER_FAULT),
)


def decide(facts: Facts) -> Outcome:
    """The outcome of an attempt or a call: that of the first line of OUTCOMES which fits."""
    ending = ending_of(facts)
    return next(case.outcome for case in OUTCOMES if case.fits(facts, ending))


def ending_of(facts: Facts) -> Ending:
    """How it ended, apart from the status."""
    endings = (
        (facts.refused, Ending.REFUSED),
        (facts.interrupted, Ending.INTERRUPTED),
        (facts.failure is not None, Ending.FAILED),
        (facts.error_inside or normal_finish_reason(facts.finish_reason) == "error", Ending.ERROR),
        (facts.client == "left", Ending.LEFT),
        (facts.client == "left_after_finish", Ending.LEFT_AFTER_FINISH),
        (not facts.terminal, Ending.UNTERMINATED),
    )
    return next((ending for holds, ending in endings if holds), Ending.COMPLETE)


# Native words, in lower case, of OpenAI, Anthropic, Gemini, Bedrock, Cohere, Mistral, DeepSeek, Z.ai and Hugging Face.
_NATIVE_FINISH_REASONS = {
    "stop": "stop end_turn stop_sequence complete completed eos eos_token pause_turn compaction finish",
    "length": "length max_tokens max_output_tokens model_length model_context_window_exceeded error_limit incomplete",
    "tool_calls": "tool_calls tool_call tool_use function_call",
    "content_filter": (
        "content_filter content_filtered guardrail_intervened refusal safety recitation blocklist prohibited_content"
        " spii image_safety image_prohibited_content image_recitation model_armor error_toxic sensitive"
    ),
    "error": (
        "error failed timeout network_error insufficient_system_resource malformed_function_call unexpected_tool_call"
        " malformed_model_output malformed_tool_use malformed_response"
    ),
}
FINISH_REASONS = {native: normal for normal, words in _NATIVE_FINISH_REASONS.items() for native in words.split()}


def normal_finish_reason(native: str | None) -> str | None:
    """stop, length, tool_calls, content_filter or error for a provider's word; None for None and for unknown words."""
    return FINISH_REASONS.get(native.lower()) if native else None
