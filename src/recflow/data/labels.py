"""Labels: a grade 0 … 3 for each query and item, from judgements where there are any, else from behaviour.

**Judgements** of one pair are averaged, because raters who differ are both right to some degree (the set has raters
that disagree on most rows); the weight is 1 / (1 + variance), so that a disputed pair teaches less.

**An act** belongs to a search that showed its item to the same user, from SKEW before it was shown to
`attribution_minutes` after, on whichever day it is logged. Request ids alone do not tell: some start anew each morning.

**Behaviour** is read under the position-based model (Richardson, Dominowska and Ragno 2007; Craswell et al. 2008): an
item at position k is examined with probability k**-eta, and acted on only if examined. For a pair with impressions i

    examined = sum_i k_i**-eta
    rate     = sum_i strength_i / examined        strength: the kind's in `outcomes`, of the strongest act

which is the clicks-over-expected-clicks estimate (Zhang and Jones 2007) with graded acts, and has the same expectation
as inverse-propensity weighting (Joachims, Swaminathan and Schnabel 2017) at a lower variance. `rate` becomes 0 … 3 by
the thresholds in GRADE_FROM_RATE: in whole grades, because differences below one grade are mostly chance on a day's
clicks. Pairs with fewer than `min_examined` expected examinations have no label; the weight of the others is
examined / (examined + min_examined).
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from recflow.config.sections.data import LabelSection
from recflow.config.sections.outcomes import OutcomesSection
from recflow.domain.matching import SKEW
from recflow.domain.queries import query_id

_CUSTOMARY = OutcomesSection()

# Rates from which an examined item counts as grade 1, 2, 3: a click in ten examinations, in three, and nearly always.
GRADE_FROM_RATE = (0.10, 0.32, 0.75)

_PAIRS = """
    CREATE TABLE pairs AS
    SELECT query_id, item_id, max(day) AS day, max_by(query, (day, event_id)) AS query,
           max_by(title, (day, event_id)) AS title, coalesce(max_by(description, (day, event_id)), '') AS description
    FROM events GROUP BY query_id, item_id
"""
_JUDGED = """
    CREATE TABLE judged AS
    SELECT query_id, item_id, round(avg(grade), 6) AS grade, round(1 / (1 + var_pop(grade)), 6) AS weight
    FROM events WHERE kind = 'judgement' GROUP BY query_id, item_id
"""
# Sums are rounded: their order, and so their last digits, differ from run to run.
_BEHAVED = """
    CREATE TABLE behaved AS
    WITH shown AS (
        SELECT query_id, item_id, request_id, user_key, day, min(position) AS position, min(events.at) AS shown_at
        FROM events WHERE kind = 'impression' GROUP BY ALL
    ), acts AS (
        SELECT request_id, user_key, item_id, kind, events.at AS acted_at, strength
        FROM events JOIN strengths USING (kind)
    ), matched AS (
        SELECT query_id, item_id, request_id, user_key, day, strength
        FROM shown JOIN acts USING (request_id, user_key, item_id)
        WHERE acted_at BETWEEN shown_at - $skew AND shown_at + $window
        QUALIFY rank() OVER (
            PARTITION BY request_id, user_key, item_id, kind, acted_at ORDER BY shown_at DESC, query_id
        ) = 1
    ), strongest AS (
        SELECT query_id, item_id, request_id, user_key, day, max(strength) AS strength FROM matched GROUP BY ALL
    ), sums AS (
        SELECT query_id, item_id, round(sum(position ** -$eta), 6) AS examined,
               round(sum(coalesce(strength, 0)), 6) AS strength
        FROM shown LEFT JOIN strongest USING (query_id, item_id, request_id, user_key, day) GROUP BY ALL
    )
    SELECT query_id, item_id, round(examined / (examined + $min_examined), 6) AS weight,
           (strength >= $first * examined)::INT + (strength >= $second * examined)::INT
           + (strength >= $third * examined)::INT AS grade
    FROM sums WHERE examined >= $min_examined
"""
_LABELLED = """
    SELECT query_id, query, item_id, title, description,
           coalesce(judged.grade, behaved.grade)::FLOAT AS grade,
           coalesce(judged.weight, behaved.weight)::FLOAT AS weight, day
    FROM pairs LEFT JOIN judged USING (query_id, item_id) LEFT JOIN behaved USING (query_id, item_id)
    WHERE coalesce(judged.grade, behaved.grade) IS NOT NULL
    ORDER BY query_id, item_id
"""
_SEARCHES = """
    SELECT query_id, (count(DISTINCT (request_id, user_key, day)) FILTER (kind = 'impression')
                      + count(*) FILTER (kind = 'judgement'))::BIGINT AS searches
    FROM events WHERE kind IN ('impression', 'judgement') GROUP BY query_id
"""


def label_partitions(
    partitions: Sequence[tuple[str, Path]], section: LabelSection, outcomes: OutcomesSection = _CUSTOMARY
) -> tuple[pa.Table, dict[str, int]]:
    """Labelled pairs of some partitions, given as (day, rows.parquet), and the searches of each query.

    Rows of kinds that `outcomes` does not name teach nothing.
    Columns: query_id, query, item_id, title, description, grade, weight, day; one row a pair, ordered by pair.
    """
    with duckdb.connect() as connection:
        _load(connection, partitions)
        strengths = {kind.name: kind.strength for kind in outcomes.kinds}
        connection.register("strengths", pa.table({"kind": [*strengths], "strength": [*strengths.values()]}))
        first, second, third = GRADE_FROM_RATE
        thresholds = {"first": first, "second": second, "third": third, "min_examined": section.min_examined}
        connection.execute(_PAIRS)
        connection.execute(_JUDGED)
        window = {"skew": SKEW, "window": timedelta(minutes=section.attribution_minutes)}
        connection.execute(_BEHAVED, {**thresholds, **window, "eta": section.position_bias_eta})
        labelled = connection.sql(_LABELLED).to_arrow_table()
        return labelled, dict(connection.execute(_SEARCHES).fetchall())


def _load(connection: duckdb.DuckDBPyConnection, partitions: Sequence[tuple[str, Path]]) -> None:
    connection.execute("CREATE TABLE days (path VARCHAR, day VARCHAR)")
    connection.executemany("INSERT INTO days VALUES (?, ?)", [(str(path), day) for day, path in partitions])
    files = [str(path) for _, path in partitions]
    connection.execute(
        "CREATE TABLE raw AS SELECT rows.*, days.day FROM read_parquet($files, filename=true) AS rows"
        " JOIN days ON days.path = rows.filename",
        {"files": files},
    )
    queries = [query for (query,) in connection.execute("SELECT DISTINCT query FROM raw").fetchall()]
    connection.register("names", pa.table({"query": queries, "query_id": [query_id(query) for query in queries]}))
    connection.execute("CREATE VIEW events AS SELECT raw.*, names.query_id FROM raw JOIN names USING (query)")
