"""Data Docs load nothing: no script, style, font or image, from elsewhere or beside them, and no link leads out."""

import re

import pytest

from fakes.deliveries import write_shop_day
from fakes.reviewed_days import Shop
from recflow.data import judge
from recflow.data.docs import standing_alone
from recflow.errors import BadData

# What a browser would load, run or follow elsewhere, wherever it stands in a tag; texts may name addresses.
OUTSIDE = re.compile(
    r"<(script|link|img|iframe|object|embed|base|form|svg|video|audio|source)\b"
    r"|<[^>]*\s(src|srcset|background|action|style|on\w+)\s*="
    r"|<[^>]*\shref\s*=\s*[\"']?\s*([a-z]+:|//|/)"
    r"|<style>[^<]*(@import|url\()",
    re.IGNORECASE,
)
HOSTILE = [
    '<img src="http://evil.example/a.png">',
    "<script>fetch('//evil.example')</script>",
    '"><link rel=stylesheet href=https://evil.example/a.css>',
    "<a href='javascript:alert(1)'>x</a>",
    "</style><style>@import 'http://evil.example'",
]


def searches(count, **changes):
    row = {"at": "2011-01-01T10:00:00+00:00", "kind": "impression", "query": "lamp", "item_id": "i1"}
    return [
        {**row, "event_id": f"e{n}", "request_id": f"r{n}", "user_key": f"u{n}", "position": n + 1, **changes}
        for n in range(count)
    ]


def hostile():
    return [{**row, "event_id": HOSTILE[n], "item_id": HOSTILE[n]} for n, row in enumerate(searches(len(HOSTILE)))]


def pages(folder):
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}


@pytest.mark.parametrize("row_by_row", [True, False])
def test_no_page_of_a_day_loads_anything(tmp_path, monkeypatch, row_by_row):
    limit = judge.ROW_BY_ROW_MAX_ROWS if row_by_row else 0
    monkeypatch.setitem(judge.judge.__kwdefaults__, "row_by_row_max_rows", limit)
    rules = [
        {"name": name, "expectation": f"expect_column_{check}", "kwargs": {"column": column, "max_value": 2}}
        for name, check, column in (
            ("few", "mean_to_be_between", "position"),
            ("short", "value_lengths_to_be_between", "item_id"),
        )
    ]
    shop = Shop(tmp_path, "shop", checks=rules)
    write_shop_day(shop.folder, [*searches(40), *hostile()], items=("i1", *HOSTILE))
    with pytest.raises(BadData):
        shop.build()
    docs = shop.review().folder / "data_docs"
    found = pages(docs)
    assert len(found) >= 3
    for name, page in found.items():
        assert not OUTSIDE.search(page), (name, OUTSIDE.search(page))
        assert "default-src 'none'" in page
    assert any("evil.example" in page for page in found.values())
    assert {path.suffix for path in docs.rglob("*") if path.is_file()} == {".html"}


def test_links_between_the_pages_lead_to_pages(tmp_path):
    shop = Shop(tmp_path, "shop")
    write_shop_day(shop.folder, searches(40))
    docs = shop.bench.artifacts.fetch(shop.build()) / "data_docs"
    links = [
        (docs / name, link) for name, page in pages(docs).items() for link in re.findall(r'href="([^"#][^"]*)"', page)
    ]
    assert {link for page, link in links if page.parent == docs}
    assert all((page.parent / link.partition("#")[0]).resolve().is_file() for page, link in links)


def test_a_verdict_has_its_colour_and_a_table_its_rows(tmp_path):
    shop = Shop(tmp_path, "shop")
    write_shop_day(shop.folder, [*searches(40), {**searches(1)[0], "event_id": "bad", "query": None}])
    docs = shop.bench.artifacts.fetch(shop.build()) / "data_docs"
    index = pages(docs)["index.html"]
    assert re.search(
        r"<td>query_present</td><td>blocking</td><td class=\"failed\">failed</td><td>41</td><td>1</td>", index
    )
    assert '<td class="passed">passed</td>' in index
    (validation,) = (page for name, page in pages(docs).items() if name.startswith("validations/"))
    assert '<i class="fas fa-times text-danger">' in validation
    assert ".text-danger" in validation
    assert validation.count("<table") == validation.count("</table>") > 5


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("<p>a<script>b</script>c</p>", "<p>ac</p>"),
        ("<style>a</style><b>c</b>", "<b>c</b>"),
        ('<a href="https://x.example">a</a>', "a"),
        ('<a href="//x.example">a</a> <a href="../b.html#c:d">b</a>', 'a <a href="../b.html#c:d">b</a>'),
        ('<img src="a.png"><b onclick="c" style="d" id="e">f</b>', '<b id="e">f</b>'),
        ("&lt;img src=a&gt;", "&lt;img src=a&gt;"),
        ("<footer><p>a<footer>b</footer></p></footer>c", "c"),
    ],
)
def test_of_a_page_what_tells_something_is_kept(page, left):
    assert f"<body>{left}</body>" in standing_alone(page, "day")
