"""What the generated shop sells. Brands and series are invented, so that no pre-trained model has read about them."""

from typing import NamedTuple


class Feature(NamedTuple):
    """A property with the words for having it and for not having it."""

    name: str
    yes: str
    no: str


class Series(NamedTuple):
    """A product line. Its name says nothing by itself: shoppers know what it stands for, a model must learn it."""

    name: str
    brand: str
    has: tuple[str, ...]
    has_not: tuple[str, ...]
    launch_day: int = 0


class Category(NamedTuple):
    """One kind of goods: `nouns` stand in titles, `asked` in queries only (synonyms and the shoppers' own words)."""

    name: str
    nouns: tuple[str, ...]
    asked: tuple[str, ...]
    features: tuple[Feature, ...]
    series: tuple[Series, ...]
    brands: tuple[str, ...]
    accessories: tuple[str, ...]
    uses: tuple[str, ...]
    price: tuple[int, int]


COLOURS = ("black", "white", "graphite", "navy", "olive", "sand", "red", "teal")

CATEGORIES = (
    Category(
        "boots",
        ("hiking boots", "walking boots"),
        ("trekking shoes", "trail footwear", "stompers"),
        (Feature("waterproof", "waterproof", "not waterproof"), Feature("vegan", "vegan", "real leather")),
        (
            Series("Fjell", "Nordvik", ("waterproof",), ("vegan",)),
            Series("Marlo", "Ostrava", ("vegan",), ("waterproof",)),
            Series("Tindra", "Nordvik", ("waterproof", "vegan"), (), 5),
        ),
        ("Nordvik", "Ostrava", "Calder & Finch"),
        ("laces", "insoles", "wax"),
        ("mountain trails", "wet winters", "long weekends"),
        (60, 180),
    ),
    Category(
        "espresso",
        ("espresso machine", "coffee machine"),
        ("espresso maker", "brewbox", "barista station"),
        (
            Feature("grinder", "with grinder", "without grinder"),
            Feature("automatic", "fully automatic", "manual lever"),
        ),
        (
            Series("Nesso", "Brevanti", ("grinder", "automatic"), ()),
            Series("Lira", "Kaffra", (), ("grinder", "automatic")),
            Series("Cortado", "Brevanti", ("automatic",), ("grinder",), 4),
        ),
        ("Brevanti", "Kaffra", "Molino"),
        ("descaler", "filter basket", "milk jug"),
        ("small kitchens", "offices", "cappuccino"),
        (120, 420),
    ),
    Category(
        "headphones",
        ("headphones", "over-ear headphones"),
        ("cans", "headset", "ear cups"),
        (Feature("wireless", "wireless", "wired"), Feature("quiet", "noise cancelling", "without noise cancelling")),
        (
            Series("Hush", "Audenza", ("wireless", "quiet"), ()),
            Series("Studio 4", "Klangwerk", (), ("wireless", "quiet")),
            Series("Pulse", "Audenza", ("wireless",), ("quiet",), 6),
        ),
        ("Audenza", "Klangwerk", "Sonorix"),
        ("ear pads", "carry case", "cable"),
        ("commuting", "mixing", "gaming"),
        (40, 260),
    ),
    Category(
        "sofa",
        ("sofa", "couch"),
        ("settee", "loveseat", "lounger"),
        (Feature("bed", "with sleep function", "without sleep function"), Feature("leather", "leather", "fabric")),
        (
            Series("Hygga", "Lindholm", ("bed",), ("leather",)),
            Series("Baron", "Westmoor", ("leather",), ("bed",)),
            Series("Nook", "Lindholm", ("bed", "leather"), (), 7),
        ),
        ("Lindholm", "Westmoor", "Casabella"),
        ("cover", "feet", "armrest tray"),
        ("studio flats", "guest rooms", "family rooms"),
        (180, 600),
    ),
    Category(
        "backpack",
        ("backpack", "rucksack"),
        ("daypack", "knapsack", "school bag"),
        (
            Feature("laptop", "with laptop sleeve", "without laptop sleeve"),
            Feature("carry_on", "cabin size", "oversize"),
        ),
        (
            Series("Metro", "Packwell", ("laptop", "carry_on"), ()),
            Series("Summit", "Nordvik", (), ("laptop", "carry_on")),
            Series("Shuttle", "Packwell", ("carry_on",), ("laptop",), 5),
        ),
        ("Packwell", "Nordvik", "Urbanite"),
        ("rain cover", "chest strap", "key leash"),
        ("commuting", "flights", "school days"),
        (30, 150),
    ),
    Category(
        "vacuum",
        ("vacuum cleaner", "hoover"),
        ("dust sucker", "cleaner for carpets", "whirly"),
        (Feature("cordless", "cordless", "corded"), Feature("bagless", "bagless", "bagged")),
        (
            Series("Zephyr", "Dustin & Co", ("cordless", "bagless"), ()),
            Series("Titan 900", "Reinhaus", (), ("cordless", "bagless")),
            Series("Breeze", "Dustin & Co", ("bagless",), ("cordless",), 6),
        ),
        ("Dustin & Co", "Reinhaus", "Sweepwell"),
        ("dust bags", "hose", "brush head"),
        ("pet hair", "stairs", "hard floors"),
        (70, 380),
    ),
    Category(
        "candle",
        ("scented candle", "candle"),
        ("wax light", "mood light", "glim"),
        (Feature("soy", "soy wax", "paraffin"), Feature("scented", "lavender scented", "unscented")),
        (
            Series("Aurelia", "Wickhaven", ("soy", "scented"), ()),
            Series("Vesper", "Lumora", ("soy",), ("scented",)),
            Series("Festa", "Lumora", ("scented",), ("soy",), 4),
        ),
        ("Wickhaven", "Lumora", "Hearthside"),
        ("holder", "wick trimmer", "snuffer"),
        ("evenings", "the bath", "gifts"),
        (8, 45),
    ),
    Category(
        "watch",
        ("wrist watch", "watch"),
        ("timepiece", "ticker", "chronometer"),
        (Feature("automatic", "automatic", "quartz"), Feature("diver", "water resistant 200 m", "not water resistant")),
        (
            Series("Pelagos", "Meridian", ("automatic", "diver"), ()),
            Series("Dandy", "Ticktown", (), ("automatic", "diver")),
            Series("Regent", "Meridian", ("automatic",), ("diver",), 7),
        ),
        ("Meridian", "Ticktown", "Halden"),
        ("strap", "winder", "link remover"),
        ("diving", "the office", "weddings"),
        (45, 500),
    ),
    Category(
        "tent",
        ("tent", "dome tent"),
        ("canvas shelter", "bivvy", "pop-up home"),
        (Feature("winter", "four season", "summer only"), Feature("large", "for four people", "for one person")),
        (
            Series("Storm", "Nordvik", ("winter",), ("large",)),
            Series("Clan", "Campari Outdoors", ("large",), ("winter",)),
            Series("Basecamp", "Nordvik", ("winter", "large"), (), 5),
        ),
        ("Nordvik", "Campari Outdoors", "Greenfold"),
        ("pegs", "groundsheet", "repair kit"),
        ("festivals", "alpine nights", "family camping"),
        (55, 450),
    ),
    Category(
        "blender",
        ("blender", "smoothie maker"),
        ("liquidiser", "mixer jug", "blitzer"),
        (Feature("glass", "glass jug", "plastic jug"), Feature("hot", "heats soup", "cold drinks only")),
        (
            Series("Vortex", "Molino", ("glass",), ("hot",)),
            Series("Souper", "Kaffra", ("glass", "hot"), ()),
            Series("Sip", "Molino", (), ("glass", "hot"), 6),
        ),
        ("Molino", "Kaffra", "Juiceberg"),
        ("blade set", "travel cup", "seal ring"),
        ("breakfast", "baby food", "protein shakes"),
        (25, 210),
    ),
)
