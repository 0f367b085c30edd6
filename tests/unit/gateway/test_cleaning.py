from fakes.gateway_world import SHADOW, World, ask
from recflow.config.sections.cleaning import CleaningSection

CALLED = "call １３８００１３８０００ or a@b.de"
MASKED = "call [phone] or [email]"


def heard(world):
    """What the stable version is asked from now on: queries and titles."""
    told = []

    def listen(query, items):
        told.append((query, [item.title for item in items]))
        return [1.0] * len(items)

    world.scorer.versions["v1"] = listen
    return told


def test_what_a_shopper_types_is_masked_before_a_model_reads_it_and_before_anything_is_written(world):
    told = heard(world)
    world.router.set(SHADOW)
    world.rank(ask(query=CALLED, context={"page": f"/search?q={CALLED}"}))
    assert told[0][0] == MASKED
    assert {record.query for record in [*world.exposures, *world.comparisons]} == {MASKED}
    assert world.exposures[0].context == {"page": f"/search?q={MASKED}"}


def test_a_recipe_may_leave_queries_unmasked(tmp_path):
    world = World(tmp_path, cleaning=CleaningSection(mask=False))
    world.rank(ask(query="call 13800138000"))
    assert world.exposures[0].query == "call 13800138000"


def test_titles_are_masked_only_where_the_recipe_says_so(tmp_path, world):
    strict = World(tmp_path, cleaning=CleaningSection(mask_catalogue=True))
    items = [{"id": "a", "title": "lorry for hire 13800138000"}]
    for gateway, title in ((world, items[0]["title"]), (strict, "lorry for hire [phone]")):
        told = heard(gateway)
        gateway.rank(ask(items=items))
        assert told[0][1] == [title]


def test_chinese_is_simplified_for_queries_and_titles_alike(tmp_path):
    world = World(tmp_path, cleaning=CleaningSection(simplify_chinese=True))
    told = heard(world)
    world.rank(ask(query="藍牙耳機", items=[{"id": "a", "title": "無線藍牙耳機"}]))
    assert told == [("蓝牙耳机", ["无线蓝牙耳机"])]


def test_ids_are_the_shops_own_and_stay(world):
    shown = world.rank(ask(user_id="13800138000", items=[{"id": "4111111111111111", "title": "hat"}])).json()
    assert shown["items"][0]["id"] == "4111111111111111"
    assert world.exposures[0].user_key == "13800138000"
