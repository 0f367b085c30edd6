"""What shops call our columns and the acts that we know."""

import re
from collections.abc import Mapping

from recflow.artifacts.digests import digest_bytes

COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "event_id": ("eventid", "id", "uuid", "rowid", "logid", "messageid", "recordid", "exampleid", "invoiceno",
                 "orderid", "orderno", "transactionid"),
    "at": ("at", "timestamp", "time", "datetime", "eventtime", "happenedat", "happened", "createdat", "created",
           "occurredat", "date", "eventdate", "invoicedate", "orderdate", "ts", "servertime", "clienttime", "时间"),
    "kind": ("kind", "event", "eventtype", "eventname", "action", "actionname", "actiontype", "type", "behavior",
             "behaviour", "行为"),
    "request_id": ("requestid", "searchid", "queryid", "impressionid", "serpid"),
    "user_key": ("userkey", "userid", "user", "customerid", "customer", "visitorid", "visitor", "clientid", "memberid",
                 "member", "shopperid", "uid", "cookieid", "用户"),
    "query": ("query", "userquery", "searchterm", "searchquery", "searchtext", "keyword", "keywords", "searchphrase",
              "q", "搜索词", "查询"),
    "item_id": ("itemid", "productid", "sku", "skuid", "stockcode", "asin", "articleid", "article", "docid", "ean",
                "gtin", "goodsid", "item", "product", "objectid", "商品", "eventattributesobjectobjectid"),
    "title": ("title", "producttitle", "productname", "itemname", "itemtitle", "name", "goodsname", "标题"),
    "description": ("description", "productdescription", "itemdescription", "longdescription", "描述"),
    "position": ("position", "rank", "slot", "pos", "positionordinal", "eventattributespositionordinal"),
    "grade": ("grade", "relevance", "medianrelevance", "judgement", "judgment", "relevancegrade"),
    "value": ("value", "revenue", "amount", "total", "ordervalue", "totalprice", "linetotal"),
    "price": ("price", "unitprice", "itemprice", "listprice", "价格"),
    "category": ("category", "cat", "categoryid", "categoryname", "department", "类别", "类目"),
    "seller": ("seller", "sellerid", "brand", "vendor", "merchant", "shop", "店铺", "品牌"),
    "language": ("language", "lang", "locale", "productlocale"),
    "session_id": ("sessionid", "session", "visitid"),
    "text": ("text", "review", "reviewtext", "comment", "body", "评论"),
    "rating": ("rating", "stars", "score", "label", "reviewrating", "评分"),
}  # fmt: skip
QUANTITY = ("quantity", "qty", "count", "units", "数量")
ACTS: Mapping[str, tuple[str, ...]] = {
    "impression": ("impression", "view", "viewed", "shown", "show", "exposure", "expose"),
    "click": ("click", "clicked", "clickthrough", "pageview", "detail", "pv"),
    "cart": ("cart", "addtocart", "addcart", "basket", "addtobasket", "atc"),
    "purchase": ("purchase", "purchased", "order", "ordered", "buy", "transaction", "sale", "checkout"),
    "search": ("search", "query"),
}


def plain(name: str) -> str:
    """A name without case, spaces and signs: Event-Type, event_type and eventType are one."""
    return re.sub(r"[^\w]|_", "", name).casefold()


def called(name: str, known: tuple[str, ...]) -> int | None:
    """The place of a name, or of its last part (a.b), among those that are known; None for another."""
    forms = (plain(name), plain(name.rpartition(".")[2]))
    return next((place for place, one in enumerate(known) if one in forms), None)


def act_of(value: str) -> str | None:
    """The act that a value names; None for an unknown one."""
    return next((act for act, names in ACTS.items() if plain(value) in names), None)


def ascii_name(value: str) -> str:
    """A value as recipes name lines and kinds: at most 40 small letters, digits and low lines, a letter first.

    What has none of them is known by its digest.
    """
    made = re.sub(r"[^a-z0-9]+", "_", value.casefold()).strip("_")[:38].strip("_")
    if not made:
        made = f"kind_{digest_bytes(value.encode())[:6]}"
    return made if made[0].isalpha() else f"k_{made}"
