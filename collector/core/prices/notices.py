"""What a reader must know of a price besides its numbers: how old it is, and images that are paid for twice."""

from collections.abc import Mapping
from datetime import date

from collector.core.money import format_usd
from collector.core.prices.sets import PER_IMAGE, PriceSet

# Their prompt count holds a picture's tokens without stating how many they are.
COUNT_IMAGES_INSIDE = ("openai", "azure", "openrouter")
STALE_DAYS = 180
_IN_TOKENS_LINE = 'images = "in tokens" under [[endpoints]] in callmeter.toml'


def source_sentence(price_set: PriceSet, today: date) -> str:
    """Where a price comes from and how long ago somebody read it there."""
    read = price_set.checked
    if not read:
        return f"Stated by {price_set.source}; no date of reading is given."
    days = age_days(price_set, today)
    if days is None:
        return f"Stated by {price_set.source}, as {read} has it."
    if days < 0:
        return f"Stated by {price_set.source}, read on {read}, a day that is still to come."
    ago = "today" if days == 0 else f"{days:,} day{'s' if days != 1 else ''} ago"
    return f"Stated by {price_set.source}, read on {read}, {ago}."


def age_days(price_set: PriceSet, today: date) -> int | None:
    """Days since the source was read; None when no date is given."""
    try:
        return (today - date.fromisoformat(price_set.checked or "")).days
    except ValueError:
        return None


def image_notice(price_set: PriceSet, provider_id: str | None, meters: Mapping[str, int] | None = None) -> str | None:
    """That a charge per image comes on top of the tokens an image is counted as; None where it does not.

    `provider_id` is the provider as price lists name it (None: any). With the meters of a call or of a total
    the sentence says how much it is; None when they hold no image, or when its tokens are stated.
    """
    inside = provider_id is None or provider_id in COUNT_IMAGES_INSIDE
    price = price_set.prices.get("images_in", 0)
    if price_set.images != PER_IMAGE or not price or not inside:
        return None
    where = f"{provider_id} counts" if provider_id else f"{', '.join(COUNT_IMAGES_INSIDE)} count"
    much = f"{format_usd(price)} USD an image"
    if meters is not None:
        images = meters.get("images_in", 0)
        if not images or meters.get("image_in_tokens"):
            return None
        much = f"{format_usd(images * price)} USD for {images:,} image{'s' if images != 1 else ''}"
    return (
        f"{where} the tokens of an image inside the prompt without stating them, so that the charge per image, "
        f"{much}, comes on top of them. To charge tokens only, write {_IN_TOKENS_LINE}."
    )
