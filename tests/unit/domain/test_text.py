import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recflow.domain.text import normalise, query_key

HOSTILE = st.text(alphabet="&<>;#ampltgqux38 b/!＆＜＞；\u200b\u00ad\u0338é\ufffd", max_size=60)


@given(st.one_of(st.text(), HOSTILE))
@example("&amp;amp;amp;lt;b&amp;gt;")
@example("&" + "amp;" * 30 + "lt;")
@example("<a" * 20 + ">" * 20)
@example("a\u200b\u0301")
@example("<\u200b\u0338")
@example("＆lt；b＆gt；")
@example("ﷺ &nbsp")
def test_normalising_twice_is_normalising_once(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.text())
def test_a_query_has_one_key_however_often_it_is_normalised(query):
    assert query_key(normalise(query)) == query_key(query)


@given(st.one_of(st.text(), HOSTILE))
def test_a_normal_text_has_no_control_characters_and_single_spaces(text):
    normal = normalise(text)
    assert normal == " ".join(normal.split())
    assert normal.isprintable()


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("&lt;b&gt;red&lt;/b&gt; shoe", "red shoe"),
        ("<p class='x'>red<br/>shoe</p>", "red shoe"),
        ("ｒｅｄ　ｓｈｏｅ", "red shoe"),
        ("sho\u200bes", "shoes"),
        ("soft\u00adhyphen", "softhyphen"),
        ("tab\tand\nline\x00end", "tab and line end"),
        ("caf\u0065\u0301", "café"),
        ("size < 42 and > 40", "size < 42 and > 40"),
        ("红色 运动鞋", "红色 运动鞋"),
        ("", ""),
    ],
)
def test_texts_lose_their_markup_width_and_hidden_characters(text, normal):
    assert normalise(text) == normal


def test_deeply_nested_markup_loses_its_brackets_instead_of_time():
    assert "<" not in normalise("<a" * 20_000 + ">" * 20_000)
