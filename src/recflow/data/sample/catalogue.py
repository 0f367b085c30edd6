"""Items and queries of the generated shop, and the true grade of every pair."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from recflow.data.sample.goods import CATEGORIES, COLOURS, Category, Series

_CONTRADICTED = 2


@dataclass(frozen=True)
class Good:
    """An item for sale from `since` (day number). `features`: True, False, absent when nobody knows."""

    item_id: str
    category: str
    title: str
    description: str
    price: float
    since: int
    brand: str
    series: str = ""
    accessory: str = ""
    features: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Wish:
    """A query with what the shopper means by it; `features` are wanted (True) or unwanted (False)."""

    text: str
    category: str
    since: int = 0
    brand: str = ""
    series: str = ""
    accessory: str = ""
    features: Mapping[str, bool] = field(default_factory=dict)


def true_grade(wish: Wish, good: Good) -> int:
    """3: just what is meant; 2: one wish open; 1: against a wish, or the accessory of it (or the reverse); 0: else."""
    if wish.category != good.category:
        return 0
    other_series = bool(wish.series) and wish.series != good.series
    if wish.accessory or good.accessory:
        if wish.accessory == good.accessory:
            return 2 if other_series else 3
        return 0 if other_series else 1
    misses = _CONTRADICTED * other_series + (bool(wish.brand) and wish.brand != good.brand)
    for name, wanted in wish.features.items():
        has = good.features.get(name)
        misses += 0 if has is wanted else 1 if has is None else _CONTRADICTED
    return max(1, 3 - misses)


def make_goods(seed: int) -> list[Good]:
    """The whole assortment, also what is launched later."""
    random = Random(f"goods-{seed}")
    goods = [good for category in CATEGORIES for good in _goods_of(category, random)]
    return [Good(**{**vars(good), "item_id": f"p{number:04d}"}) for number, good in enumerate(goods, start=1)]


def make_wishes(seed: int) -> list[Wish]:
    """Every query that the shop hears, in random order, each text once."""
    random = Random(f"wishes-{seed}")
    wishes = {wish.text: wish for category in CATEGORIES for wish in _wishes_of(category, random)}
    return random.sample(list(wishes.values()), len(wishes))


def _goods_of(category: Category, random: Random) -> Iterator[Good]:
    for series in category.series:
        for colour in random.sample(COLOURS, 4):
            yield _of_series(category, series, colour, random)
        for accessory in category.accessories:
            yield _accessory(category, accessory, series, random)
    for number in range(10):
        yield _without_series(category, random, since=0 if number < 6 else 2 * (number - 5))


def _of_series(category: Category, series: Series, colour: str, random: Random) -> Good:
    noun = random.choice(category.nouns)
    title = random.choice((f"{series.brand} {series.name}, {colour}", f"{series.brand} {series.name} {noun}, {colour}"))
    text = random.choice(
        ("", f"Made for {random.choice(category.uses)}. Part of the {series.name} line by {series.brand}.")
    )
    features = dict.fromkeys(series.has, True) | dict.fromkeys(series.has_not, False)
    return Good(
        "",
        category.name,
        title,
        text,
        _price(category, random),
        series.launch_day,
        series.brand,
        series.name,
        "",
        features,
    )


def _accessory(category: Category, accessory: str, series: Series, random: Random) -> Good:
    noun = random.choice(category.nouns)
    title = random.choice(
        (f"{accessory.capitalize()} for {series.brand} {series.name} {noun}", f"{series.name} {noun} {accessory}")
    )
    text = f"Replacement {accessory}. The {noun} itself is not included."
    price = round(_price(category, random) / 10, 2)
    return Good("", category.name, title, text, price, series.launch_day, series.brand, series.name, accessory)


def _without_series(category: Category, random: Random, since: int) -> Good:
    noun, brand, colour = random.choice(category.nouns), random.choice(category.brands), random.choice(COLOURS)
    features = {feature.name: random.random() < 0.5 for feature in category.features if random.random() < 0.8}
    words = [
        (feature.yes if features[feature.name] else feature.no)
        for feature in category.features
        if feature.name in features
    ]
    told, hidden = words[:1], words[1:]
    title = f"{brand} {noun}, {', '.join([*told, colour])}"
    text = " ".join(
        [f"{noun.capitalize()} for {random.choice(category.uses)}.", *(f"Note: {word}." for word in hidden)]
    )
    return Good("", category.name, title, text, _price(category, random), since, brand, "", "", features)


def _price(category: Category, random: Random) -> float:
    return round(random.uniform(*category.price), 2)


def _wishes_of(category: Category, random: Random) -> Iterator[Wish]:
    nouns = (*category.nouns, *category.asked)
    for noun in nouns:
        yield Wish(noun, category.name)
        for feature in category.features:
            yield Wish(f"{feature.yes} {noun}", category.name, features={feature.name: True})
            yield Wish(f"{noun} {feature.no}", category.name, features={feature.name: False})
    for brand in category.brands:
        yield Wish(f"{brand.lower()} {random.choice(nouns)}", category.name, brand=brand)
    first, second = category.features
    both = f"{first.yes} {random.choice(nouns)} {second.yes}"
    yield Wish(both, category.name, features={first.name: True, second.name: True})
    for series in category.series:
        name, accessory = series.name.lower(), random.choice(category.accessories)
        for text in (name, f"{name} {random.choice(nouns)}"):
            yield Wish(text, category.name, series.launch_day, series=series.name)
        yield Wish(f"{name} {accessory}", category.name, series.launch_day, series=series.name, accessory=accessory)
    for accessory in category.accessories:
        yield Wish(f"{random.choice(nouns)} {accessory}", category.name, accessory=accessory)
