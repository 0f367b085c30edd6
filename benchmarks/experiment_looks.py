"""A look at an experiment: from an event log of ten and of a hundred million exposures to evidence, with covariates.

The shape: 17 days, of which the last three are the experiment; sessions of four searches in twenty minutes; 25 searches
a user, about a tenth of them inside a window; an act on every second search (80 % clicks, 15 % carts, 5 % purchases).
Facts are written in bulk as a compaction writes them; a million records go through the real compaction beside them.
"""

import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

RECIPE, EXPERIMENT = "shop_search", "release-1-v2:judging"
FIRST = datetime(2011, 1, 1, tzinfo=UTC)
DAYS, BEFORE = 17, 14
START, NOW = FIRST + timedelta(days=BEFORE), FIRST + timedelta(days=DAYS)
A_FILE = 1_000_000

_SEARCHES = """
create or replace temp table searches as
select i, 'u' || (hash(i // 4, {day}) % {users}) as user_key, hash(i // 4, {day}) % {users} as number,
  {start_us} + (hash(i // 4) % 85200000000)::bigint + (i % 4) * 300000000 + i % 1000 as shown_us,
  hash(i, 1) as chance
from range({low}, {high}) rows(i)"""
_COLUMNS = """
md5_number_lower(user_key) as user_hash, case when {day} >= {before} then '{experiment}' else '' end as experiment,
case when {day} < {before} then 'stable' when number % 2 = 1 then 'treatment' else 'control' end as arm,
'' as fallback, 10::integer as items, md5_number_lower('q' || chance % 10000) as query_hash"""
_SHOWN = "select shown_us, (10 + chance % 1000 / 10)::float as latency_ms, {columns} from searches order by user_hash"
_ACTED = """
select hash(i, {day}, 2) as act_hash, hash(i, {day}, 3) as id_hash, hash(i, {day}, 4) as target_hash, shown_us,
  shown_us + 30000000 as acted_us,
  case when chance % 20 = 0 then 'purchase' when chance % 20 < 4 then 'cart' else 'click' end as kind,
  (chance % 20 = 0)::double * 20 as value, '' as reason, {columns}, 1::integer as nth, 1::integer as id_nth
from searches where i % 2 = 0 order by user_hash"""
_RECORDS = """
select 'r' || {day} || '-' || i as request_id, user_key, '{recipe}' as recipe, make_timestamp(shown_us) at time zone 'UTC' as "at"
from searches order by shown_us"""
