"""How much personal data masking finds in sentences and reviews, and what it takes for some in a shop's own texts.

Patterns were chosen on one half of every data set; what is reported is the other half. Sentences are halved by their
template, so that no sentence of one half is a sentence of the other with other values; texts by their number.
"""

import csv
import hashlib
import io
import json
import random
import re
import tarfile
import zipfile
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from recflow.domain.masking import find, mask
from recflow.domain.text import normalise

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "docs" / "results"
# Whether each hit in a reported text is personal data, as a person judged it: "number of the text, kind".
JUDGED = REPOSITORY / "tests" / "fixtures" / "masking_judged.json"
KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "id",
}
LEFT = re.compile(r"[A-Za-z0-9]@[A-Za-z0-9-]+\.|(?<![0-9A-Za-z])1[3-9][0-9]{9}(?![0-9A-Za-z])")


def is_reported(key):
    return hashlib.sha256(key.encode()).digest()[0] % 2 == 1


# ------------------------------------------------------------------------------------------------------------ sentences
def judge_sentences(folder):
    """Per kind: personal data that was masked as what it is, missed, and what was masked besides."""
    records = json.loads((folder / "synth_dataset_v2.json").read_text(encoding="utf-8"))
    counts = {kind: Counter(right=0, missed=0, false=0) for kind in KINDS.values()}
    for record in records:
        if is_reported(record["masked"]):
            judge_sentence(record, counts)
    return counts


def judge_sentence(record, counts):
    text, begin = normalise(record["full_text"]), 0
    found = find(text)
    for span in sorted(record["spans"], key=lambda span: span["start_position"]):
        value = normalise(span["entity_value"])
        start = text.index(value, begin)
        begin = start + len(value)
        kind = KINDS.get(span["entity_type"])
        hit = next((one for one in found if one.kind == kind and one.start <= start and one.end >= begin), None)
        if hit:
            found.remove(hit)
        if kind:
            counts[kind]["right" if hit else "missed"] += 1
    for one in found:
        counts[one.kind]["false"] += 1


# ----------------------------------------------------------------------------------------------------------- real texts
def crowdflower(folder, column):
    for path in sorted(folder.glob("ValidationFolds/*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            yield from (row[column] for row in csv.DictReader(file))


def reviews(folder):
    with zipfile.ZipFile(folder / "online_shopping_10_cats.zip") as archive:
        file = io.TextIOWrapper(archive.open("online_shopping_10_cats.csv"), "utf-8-sig", newline="")
        yield from (row["review"] for row in csv.DictReader(file))


def best_buy(folder, column):
    with tarfile.open(folder / "products.tgz") as archive:
        file = io.TextIOWrapper(archive.extractfile("products.csv"), "utf-8", newline="")
        yield from (row[column] or "" for row in csv.DictReader(file))


def icecat(folder, column):
    for path in sorted(folder.glob("data-encoder/ecommerce/vectors/data/*.zip")):
        with zipfile.ZipFile(path) as archive:
            for product in json.loads(archive.read(archive.namelist()[0])):
                value = product.get(column) or []
                yield from map(str, value if isinstance(value, list) else [value])


def taobao(folder):
    """Titles, one character and its tag a line, a blank line between two."""
    for name in ("train.txt", "dev.txt"):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            for blank, lines in groupby((line.rstrip("\r\n") for line in file), key=lambda line: not line):
                if not blank:
                    yield "".join(line[0] for line in lines)


def qbqtc(folder):
    for line in (folder / "dev.json").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield from (row["query"], row["title"])


def real_texts(folder):
    """Name, what it is, and its texts in their order."""
    flower, best, ice = map(folder, ("crowdflower-search-relevance", "retrotech-bestbuy", "chorus-icecat"))
    return [
        ("reviews", "Chinese reviews", reviews(folder("zh-online-shopping-10-cats"))),
        ("qbqtc", "Chinese web queries and page titles (QBQTC)", qbqtc(folder("zh-qbqtc"))),
        ("taobao", "Chinese product titles (Taobao)", taobao(folder("zh-taobao-title-ner"))),
        ("cf_query", "English product queries (CrowdFlower)", crowdflower(flower, "query")),
        ("cf_title", "English product titles (CrowdFlower)", crowdflower(flower, "product_title")),
        ("cf_desc", "English product descriptions (CrowdFlower)", crowdflower(flower, "product_description")),
        ("bb_name", "English product titles (Best Buy)", best_buy(best, "name")),
        ("upc", "UPC numbers (Best Buy)", best_buy(best, "upc")),
        ("ice_title", "English product titles (Icecat)", icecat(ice, "title")),
        ("ean", "EAN numbers (Icecat)", icecat(ice, "ean")),
    ]


def reported(name, texts):
    return (text for place, text in enumerate(texts) if is_reported(f"{name}{place}"))


def judge_texts(name, texts):
    """Hits by kind and verdict in the reported half; `not judged` where nobody has looked at a hit yet."""
    verdicts = json.loads(JUDGED.read_text()).get(name, {"right": [], "false": []})
    expected = {verdict: Counter(hits) for verdict, hits in verdicts.items()}
    counts, number = Counter(), 0
    for place, raw in enumerate(texts):
        if not is_reported(f"{name}{place}"):
            continue
        number += 1
        text = normalise(raw)
        for found in find(text):
            verdict = take(expected, f"{place} {found.kind}")
            counts[verdict] += 1
            if verdict == "not judged":
                print(f"not judged: {name} {place} {found}")
        counts["left"] += bool(LEFT.search(mask(text)))
    counts["gone"] = sum(map(Counter.total, expected.values()))
    return number, counts


def take(expected, hit):
    for verdict, hits in expected.items():
        if hits[hit]:
            hits[hit] -= 1
            return verdict
    return "not judged"


# -------------------------------------------------------------------------------------------------------- made-up texts
def made_up(seed=11, number=5_000):
    """What shops write with digits and nobody owns, drawn at random."""
    chance = random.Random(seed)

    def digits(least, most):
        return "".join(chance.choices("0123456789", k=chance.randint(least, most)))

    def size():
        return f"{chance.randint(1, 4000)} x {chance.randint(1, 4000)} x {chance.random() * 400:.1f} mm"

    def model():
        letters = "".join(chance.choices("ABCDEFGHKLMNPRSTXZ", k=chance.randint(1, 4)))
        return f"{letters}{chance.choice(['-', '', ' '])}{digits(2, 8)}{chance.choice(['', '/A', '-00', 'XL'])}"

    def price():
        amount = f"{chance.randint(1, 2_000_000) / 100:,.2f}"
        return f"EUR {amount if chance.random() < 0.5 else amount.replace(',', ' ')}"

    drawn = {"sizes": size, "model numbers": model, "prices": price, "order numbers": lambda: digits(8, 12)}
    return {name: [draw() for _ in range(number)] for name, draw in drawn.items()}


def mobile(chance):
    number = f"1{chance.choice('3456789')}{chance.randrange(10**9):09}"
    gap = chance.choice(" -")
    wide = number.translate({ord("0") + digit: ord("０") + digit for digit in range(10)})
    return chance.choice([number, gap.join((number[:3], number[3:7], number[7:])), f"+86 {number}", wide])


def identity(chance):
    born = f"{chance.randint(1930, 2015)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
    number = f"{chance.randint(110000, 659000)}{born}{chance.randrange(1000):03}"
    weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    rest = sum(weight * int(digit) for weight, digit in zip(weights, number, strict=True)) % 11
    return number + "10X98765432"[rest]


def iban(chance):
    country, length = chance.choice([("DE", 18), ("FR", 23), ("BE", 12), ("CH", 17)])
    account = f"{chance.randrange(10**length):0{length}}"
    check = 98 - int(account + "".join(str(int(letter, 36)) for letter in country) + "00") % 97
    number = f"{country}{check:02}{account}"
    return chance.choice([number, " ".join(number[place : place + 4] for place in range(0, len(number), 4))])


PLANTED = {
    "phone": ("Chinese mobile numbers: plain, in groups, with +86, full width", mobile),
    "id": ("Chinese ID numbers", identity),
    "iban": ("IBANs of DE, FR, BE and CH: plain and in groups", iban),
}


def planted(texts, seed=12, number=2_000):
    """By kind, how many numbers with valid check digits, put into real texts, become tokens."""
    chance = random.Random(seed)
    return {
        kind: sum(is_masked(text, draw(chance), kind) for text in chance.sample(texts, number))
        for kind, (_, draw) in PLANTED.items()
    }


def is_masked(text, number, kind):
    """Whether the number, between commas in the middle of the text, becomes a token and nothing else does."""
    first, second = text[: len(text) // 2], text[len(text) // 2 :]
    return mask(normalise(f"{first},{number},{second}")) == mask(normalise(f"{first},[{kind}],{second}"))


def share(part, whole):
    return part / whole if whole else None


def shown(number):
    return "–" if number is None else f"{number:.3f}"


@pytest.fixture
def measured(data_folder):
    sentences = judge_sentences(data_folder("pii-presidio-synth"))
    texts = [(label, *judge_texts(name, found)) for name, label, found in real_texts(data_folder)]
    hosts = list(reported("reviews", reviews(data_folder("zh-online-shopping-10-cats"))))
    drawn = {
        name: (len(texts), sum(bool(find(normalise(text))) for text in texts)) for name, texts in made_up().items()
    }
    return sentences, texts, planted(hosts), drawn


def test_masking_finds_personal_data_and_leaves_what_shops_write(measured):
    sentences, texts, numbers, drawn = measured
    RESULTS.mkdir(exist_ok=True)
    as_json = {
        "sentences": sentences,
        "texts": {label: {"texts": number, **counts} for label, number, counts in texts},
        "planted": numbers,
        "made_up": {name: {"texts": number, "masked": masked} for name, (number, masked) in drawn.items()},
    }
    (RESULTS / "masking.json").write_text(json.dumps(as_json, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    (RESULTS / "masking.md").write_text(markdown(*measured), encoding="utf-8")
    for kind, counts in sentences.items():
        for other in ("missed", "false"):
            # IBANs all stand in one template, which is in the half that patterns were chosen on.
            assert counts["right"] >= 0.95 * (counts["right"] + counts[other]), (kind, other)
    for label, number, counts in texts:
        assert counts["not judged"] == counts["gone"] == 0, f"look at the hits in {label} and say what they are"
        assert counts["false"] <= 0.001 * number, label
    assert min(numbers.values()) >= 1_980, numbers
    assert all(masked <= 0.02 * number for number, masked in drawn.values())


def kind_row(kind, counts):
    right, missed, false = counts["right"], counts["missed"], counts["false"]
    return (
        f"| {kind} | {right + missed} | {shown(share(right, right + false))} | {shown(share(right, right + missed))} |"
    )


def markdown(sentences, texts, numbers, drawn):
    kinds = "\n".join(kind_row(kind, counts) for kind, counts in sentences.items())
    hits = "\n".join(
        f"| {label} | {number:,} | {counts['right']} | {counts['false']} | {counts['left']} |"
        for label, number, counts in texts
    )
    put = "\n".join(f"| {PLANTED[kind][0]} | 2,000 | {found:,} |" for kind, found in numbers.items())
    made = "\n".join(f"| {name} | {number:,} | {masked} |" for name, (number, masked) in drawn.items())
    return f"""# What masking finds, and what it takes for personal data

Written by `tests/proof/test_masking.py` over data that is not part of this repository. Patterns were chosen on one half
of every data set, these are the figures of the other.

## Sentences with made-up personal data (English, Presidio's)
Halved by template. Right is masked whole, and as what it is. `id` here is the US social security number. All IBANs
stand in one template, which is in the half that patterns were chosen on (21 of 21 there).

| kind | pieces | precision | recall |
|---|---|---|---|
{kinds}

## Real texts
A person looked at each hit: hotlines of companies count as phone numbers. `Left` are texts in which an e-mail address
or a Chinese mobile number can still be seen by a loose pattern, whatever it really is.

| texts | number | right | false | left |
|---|---|---|---|---|
{hits}

## Planted in Chinese reviews
Numbers drawn at random with valid check digits, each between commas in the middle of a review.

| numbers | planted | masked as what they are |
|---|---|---|
{put}

## Made up at random
Order numbers of eleven digits that begin as a Chinese mobile number does are masked, and so are long ones that are card
numbers by issuer and check digit: nothing but a shop's own knowledge tells them apart.

| texts | number | masked |
|---|---|---|
{made}
"""
