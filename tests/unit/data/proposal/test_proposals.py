"""What is guessed of a sample's columns, acts, times and task, and that a recipe has none of the sample's values."""

from datetime import UTC, datetime, timedelta

import pytest

from recflow.config.recipe_loader import parse_recipe
from recflow.data.proposal.looks import look_at
from recflow.data.proposal.names import act_of, ascii_name
from recflow.data.proposal.propose import Told, needs_zone, propose
from recflow.data.proposal.sample import read_sample
from recflow.errors import BadConfiguration

START = datetime(2011, 1, 4, 8, 30, tzinfo=UTC)


def times(form="%Y-%m-%dT%H:%M:%SZ", number=60):
    return [(START + timedelta(minutes=17 * place)).strftime(form) for place in range(number)]


class Proposed:
    """The recipe for a CSV of columns, and what was said of it."""

    def __init__(self, folder, columns, *, zone="", name="events.csv"):
        lines = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.sample = read_sample(folder / name)
        self.found = propose(self.sample, Told("shop", "tests", "feed", zone))
        self.recipe = parse_recipe(self.found.text, "shop.yaml")

    @property
    def columns(self):
        return self.recipe.data.source.events[0].columns

    @property
    def open(self):
        return " ".join(self.found.open)


@pytest.fixture
def proposed(tmp_path):
    return lambda columns, **options: Proposed(tmp_path, columns, **options)


def numbered(prefix, number=60):
    return [f"{prefix}{place}" for place in range(number)]


def clicks(**columns):
    return {
        "event_id": numbered("e"),
        "timestamp": times(),
        "event_type": ["view", "click", "add_to_cart", "purchase"] * 15,
        "user_id": numbered("u"),
        "product_id": numbered("p"),
        **columns,
    }


def searches(**columns):
    return clicks(
        search_id=numbered("s"), search_term=["red shoe", "lamp"] * 30, rank=["0", "1", "2"] * 20,
        product_name=["red running shoe", "a lamp"] * 30, **columns,
    )  # fmt: skip


class TestTask:
    def test_queries_items_titles_and_places_are_relevance(self, proposed):
        made = proposed(searches())
        assert made.recipe.task == "relevance"
        assert made.columns["position"].offset == 1
        assert made.columns["kind"].map == {"view": "impression", "add_to_cart": "cart"}
        assert made.recipe.data.other_kinds == ()

    def test_judged_pairs_are_relevance_on_a_scale_from_0_to_3(self, proposed):
        made = proposed(
            {"query": numbered("red shoe "), "title": numbered("shoe "), "relevance": ["1", "3", "5"] * 20},
        )
        assert made.recipe.task == "relevance"
        assert made.columns["kind"].constant == "judgement"
        assert (made.columns["grade"].scale, made.columns["grade"].offset) == (0.75, -0.75)
        assert made.columns["item_id"].id_of_text

    def test_without_titles_it_is_data_alone_and_says_what_relevance_needs(self, proposed):
        columns = searches()
        del columns["product_name"]
        made = proposed(columns)
        assert made.recipe.task == "none"
        assert "relevance needs titles" in made.open
        assert "shown" in made.recipe.data.other_kinds

    def test_users_who_act_on_items_are_recommended_to_where_something_recommends(self, proposed):
        made = proposed(clicks())
        assert made.recipe.task == "recommend"

    def test_acts_on_what_is_not_known_to_have_been_shown_are_kinds_of_their_own(self, proposed):
        made = proposed(clicks())
        acts = made.recipe.labels.weights
        assert acts
        assert acts.keys() <= {*made.recipe.data.other_kinds} & {"visit", "basket", "order"}

    def test_chinese_texts_want_another_base_model_and_simple_characters(self, proposed):
        made = proposed(searches() | {"product_name": ["红色跑鞋", "绿茶"] * 30, "search_term": ["跑鞋", "茶"] * 30})
        assert made.recipe.data.cleaning.simplify_chinese
        assert "training.base_model" in made.open

    def test_one_column_is_data_alone(self, proposed):
        made = proposed({"review": [f"a very good thing number {place}" for place in range(60)]})
        assert made.recipe.task == "none"
        assert made.columns["text"].column == "review"
        assert made.recipe.data.source.events[0].spread.column == "review"


class TestTimes:
    @pytest.mark.parametrize(
        ("form", "read", "wall"),
        [
            ("%Y-%m-%dT%H:%M:%SZ", ("iso",), False),
            ("%Y-%m-%dT%H:%M:%S+01:00", ("iso",), False),
            ("%Y-%m-%d %H:%M:%S", ("iso",), True),
            ("%d.%m.%Y %H:%M", ("%d.%m.%Y %H:%M",), True),
            ("%m/%d/%Y %H:%M", ("%m/%d/%Y %H:%M",), True),
        ],
    )
    def test_a_format_is_read_and_whether_a_zone_must_be_told(self, form, read, wall):
        look = look_at("at", times(form, 2000))
        assert (look.times, look.wall) == (read, wall)

    @pytest.mark.parametrize(("factor", "unit"), [(1, "seconds"), (1000, "milliseconds"), (10**6, "microseconds")])
    def test_numbers_that_count_from_1970_are_times(self, factor, unit):
        look = look_at("ts", [str(1_300_000_000 * factor + place) for place in range(100)])
        assert (look.times, look.wall) == ((unit,), False)

    def test_times_of_two_kinds_are_read_by_both(self):
        assert look_at("at", [*times(), "1733788889378"]).times == ("iso", "milliseconds")

    def test_day_and_month_that_may_be_either_are_told(self, proposed):
        early = [(START + timedelta(minutes=place)).strftime("%d/%m/%Y %H:%M") for place in range(60)]
        assert "day and month may be the other way round" in proposed(clicks(timestamp=early), zone="UTC").open

    def test_times_without_an_offset_wait_for_a_word_about_their_zone(self, tmp_path, proposed):
        columns = clicks(timestamp=times("%Y-%m-%d %H:%M:%S"))
        with pytest.raises(BadConfiguration, match="say --zone"):
            proposed(columns)
        made = proposed(columns, zone="Asia/Shanghai")
        assert needs_zone(made.sample)
        assert made.recipe.data.source.zone == made.recipe.schedule.timezone == "Asia/Shanghai"

    def test_a_file_with_a_day_in_its_name_needs_no_times_of_its_own(self, proposed):
        made = proposed({"sku": numbered("p"), "user": numbered("u")}, name="2011-01-04.csv")
        assert made.recipe.data.source.events[0].files == ("{date:%Y-%m-%d}.csv",)
        assert made.columns["at"].day_start

    def test_one_file_with_times_is_parted_by_them(self, proposed):
        assert proposed(clicks()).recipe.data.source.events[0].own_times


class TestColumns:
    def test_a_name_is_not_believed_against_its_values(self, proposed):
        made = proposed(clicks(position=numbered("left ")))
        assert "position" not in made.columns
        assert "position" in made.found.unused

    def test_columns_called_as_keywords_are_columns_like_others(self, proposed):
        made = proposed(clicks(null=numbered("n"), on=numbered("o"), column=numbered("c"), price=["1.5"] * 60))
        assert made.columns["price"].column == "price"
        assert {"null", "on", "column"} <= set(made.found.unused)

    def test_a_decimal_comma_and_a_quantity_make_a_value(self, tmp_path):
        lines = [f"i{place};sku{place};1.234,50;{2 if place else -2};u{place}" for place in range(60)]
        (tmp_path / "2011-01-04.csv").write_text("InvoiceNo;SKU;UnitPrice;Quantity;CustomerID\n" + "\n".join(lines))
        found = propose(read_sample(tmp_path), Told("shop", "tests", "feed"))
        columns = parse_recipe(found.text, "shop.yaml").data.source.events[0].columns
        assert (columns["value"].decimal, columns["value"].times, columns["value"].absolute) == (",", "Quantity", True)
        assert columns["kind"].match == {"-.+": "return", ".+": "purchase"}

    def test_unknown_acts_are_kept_as_kinds_and_one_that_tells_of_a_person_is_none(self, proposed):
        made = proposed(clicks(event_type=["Swipe Left", "404", "点击"] * 20))
        assert set(made.recipe.data.other_kinds) >= {"swipe_left", "k_404"}
        personal = proposed(clicks(event_type=["call ada@example.com", "click", "view"] * 20))
        assert "example.com" not in personal.found.text
        assert personal.columns["kind"].constant == "event"

    def test_what_the_sample_always_has_becomes_a_check_that_warns(self, proposed):
        checks = {check.name: check for check in proposed(clicks(price=["1.5"] * 60)).recipe.data.checks}
        assert checks["price_is_there"].severity == "warning"
        some = {check.name for check in proposed(clicks(price=["1.5", ""] * 30)).recipe.data.checks}
        assert "price_is_there" not in some

    def test_no_value_of_the_sample_is_in_the_recipe(self, proposed):
        columns = {name: [f"{value}zq" if name != "timestamp" else value for value in values]
                   for name, values in searches().items() if name not in {"event_type", "rank"}}  # fmt: skip
        made = proposed(columns | {"event_type": ["view", "click"] * 30, "rank": ["7"] * 60})
        assert "zq" not in made.found.text
        assert "2011-01-04" not in made.found.text

    def test_a_sample_of_three_rows_makes_no_days_too_small(self, proposed):
        made = proposed({name: values[:3] for name, values in clicks().items()})
        assert made.recipe.data.min_rows == 1


@pytest.mark.parametrize(
    ("value", "act"), [("VIEW", "impression"), ("add-to-cart", "cart"), ("addToCart", "cart"), ("swipe", None)]
)
def test_acts_are_known_however_they_are_written(value, act):
    assert act_of(value) == act


@pytest.mark.parametrize(("value", "name"), [("Swipe Left!", "swipe_left"), ("404", "k_404"), ("x" * 80, "x" * 38)])
def test_kinds_are_names_that_recipes_allow(value, name):
    assert ascii_name(value) == name


def test_a_kind_without_a_latin_letter_is_known_by_its_digest():
    assert ascii_name("点击") == ascii_name("点击") != ascii_name("购买")
