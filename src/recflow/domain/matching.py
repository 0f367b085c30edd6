"""Which acts count, and the narrow facts that experiments read: one rule, as SQL, whatever holds the records.

An act counts for the answer that its request id names, when that answer was given to the same person (`user_key`, or
`visitor_key` for who has signed in since), showed the item, and came first. An act without an item is on the answer as
a whole, of a task that shows no items. Everything else is kept with its reason:

    unknown_request   no answer of the last `ANSWER_DAYS` days has this id
    other_user        the answer was given to somebody else
    not_shown         the answer did not show the item, or shows items and the act names none
    before_shown      the act is older than the answer by more than `SKEW`

Acts on marked answers (bots, employees) and whatever is erased leave no facts. Acts are told apart by (outcome_id,
request_id, item_id, kind); the same act told again is dropped. `nth` numbers the acts that count on one (request, item,
kind), from 1: the first counts, the values of the first few add up. `id_nth` numbers the acts under one outcome id: 2
and more say that the id stands for several.

Facts name users and queries by 64 bits of MD5, which no version of a database changes, and times in microseconds.
"""

from datetime import UTC, datetime, timedelta

# Raised whenever equal records may give other facts or sums: files of another version are not read, but made anew.
VERSION = 1
# The clocks of two gateways may differ by this much: acts that seem so much too early count as at the time shown.
SKEW = timedelta(minutes=2)
# An act on an answer older than this names a request that is not known any more.
ANSWER_DAYS = 7

_FACTS = """
  md5_number_lower(answers.user_key) as user_hash, answers.experiment, answers.arm, answers.fallback,
  len(answers.items)::integer as items,
  md5_number_lower(trim(regexp_replace(lower(nfc_normalize(answers.query)), '\\s+', ' ', 'g'))) as query_hash"""

# From the relation `answers`, records of exposures: (shown_us, latency_ms, user_hash, experiment, arm, fallback, items,
# query_hash), one row a search of a shopper, users side by side.
SHOWN = f"""
select epoch_us(answers."at") as shown_us, answers.latency_ms::float as latency_ms, {_FACTS}
from answers where answers.marked = '' and not answers.erased order by user_hash"""  # noqa: S608 - no input in it

# From `outcomes`, records, and `answers`, exposures among which are those of their requests, each once.
JUDGED = f"""
with acts as (
  select unnest(arg_min(told, told."at")) from (
    select outcome_id, request_id, item_id, kind, "at", user_key, visitor_key, value,
      md5_number_lower(concat_ws(chr(31), outcome_id, request_id, item_id, kind)) as act_hash
    from outcomes where not erased
  ) told group by act_hash
)
select act_hash, md5_number_lower(outcome_id) as id_hash,
  md5_number_lower(concat_ws(chr(31), acts.request_id, item_id, kind)) as target_hash,
  epoch_us(coalesce(answers."at", acts."at")) as shown_us,
  epoch_us(greatest(acts."at", answers."at")) as acted_us, kind, value,
  case
    when answers.request_id is null then 'unknown_request'
    when answers.user_key not in (acts.user_key, acts.visitor_key) then 'other_user'
    when not (list_contains(list_transform(answers.items, lambda shown: shown.item_id), item_id)
      or (item_id = '' and len(answers.items) = 0 and answers.answer <> '')) then 'not_shown'
    when epoch_us(acts."at") < epoch_us(answers."at") - {SKEW // timedelta(microseconds=1)} then 'before_shown'
    else ''
  end as reason, {_FACTS}
from acts left join answers
  on answers.request_id = acts.request_id and answers."at" >= acts."at" - interval {ANSWER_DAYS} days
where coalesce(answers.marked, '') = '' and not coalesce(answers.erased, false)"""  # noqa: S608 - no input in it

# From `judged` and the relation `{acted}` of acts numbered before: those that may be the same, or on the same.
KNOWN = """
select act_hash, id_hash, target_hash, nth, id_nth from {acted} filed
where shown_us >= {oldest} and (
  target_hash in (select target_hash from judged) or id_hash in (select id_hash from judged))"""
# `{acted}` before anything was numbered.
NONE_ACTED = "(select *, 0::integer as nth, 0::integer as id_nth from judged limit 0)"

# From `judged` and `known`: the new acts with their numbers, users side by side.
ACTED = """
select judged.*,
  case when reason = '' then coalesce(targets.nth, 0) + row_number() over (
    partition by reason, target_hash order by acted_us, act_hash) else 0 end::integer as nth,
  (coalesce(ids.id_nth, 0) + row_number() over (partition by id_hash order by acted_us, act_hash))::integer as id_nth
from judged
left join (select target_hash, max(nth) as nth from known group by target_hash) targets using (target_hash)
left join (select id_hash, max(id_nth) as id_nth from known group by id_hash) ids using (id_hash)
where act_hash not in (select act_hash from known) order by user_hash"""


def window_views(shown: str, acted: str, start: datetime, end: datetime, look_back: timedelta = timedelta(0)) -> str:
    """SQL that makes the views `shown` and `acted` of a window: searches and acts by their own time.

    Acts on answers from more than a day before `look_back` before the window are not of it.
    """
    first, last, oldest = map(microseconds, (start, end, start - look_back - timedelta(days=1)))
    return (
        f"create temp view shown as select * from {shown} where shown_us >= {first} and shown_us < {last};"  # noqa: S608
        f"create temp view acted as select * from {acted} "
        f"where acted_us >= {first} and acted_us < {last} and shown_us >= {oldest}"
    )


def searches_before(shown: str, start: datetime, look_back: timedelta) -> str:
    """SQL for a user's searches in `look_back` before `start`: (user_hash, searches)."""
    first, last = map(microseconds, (start - look_back, start))
    where = f"shown_us >= {first} and shown_us < {last}"
    return f"select user_hash, 1::bigint as searches from {shown} where {where}"  # noqa: S608 - no input in it


def acts_before(acted: str, start: datetime, look_back: timedelta) -> str:
    """SQL for a user's acts in `look_back` before `start`: (user_hash, kind, nth, value, acts).

    Acts that are alike may be one row: sums are exact whatever a line counts of them.
    """
    first, last, oldest = map(microseconds, (start - look_back, start, start - look_back - timedelta(days=1)))
    return (
        "select user_hash, kind, nth, value, 1::bigint as acts "  # noqa: S608 - no input in it
        f"from {acted} where reason = '' and (nth = 1 or value <> 0) and acted_us >= {first} and acted_us < {last} "
        f"and shown_us >= {oldest}"
    )


def microseconds(moment: datetime) -> int:
    """Since the epoch, as facts have times."""
    return (moment - datetime.fromtimestamp(0, tz=moment.tzinfo)) // timedelta(microseconds=1)


def moment(since_epoch_us: int) -> datetime:
    """The moment of a fact's time, in UTC."""
    return datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=since_epoch_us)
