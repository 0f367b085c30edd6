"""The rows of a data set of relevance."""

import pyarrow as pa

# One row a query and item; `day` is the newest day that the pair, or of a negative the item, was seen on. `negative` is
# random, popular or bm25, and empty for a labelled pair.
DATASET = pa.schema(
    [
        *[(name, pa.string()) for name in ("query_id", "query", "item_id", "title", "description")],
        ("grade", pa.float32()),
        ("weight", pa.float32()),
        ("day", pa.string()),
        ("frequency", pa.string()),
        ("negative", pa.string()),
    ]
)
LABELLED = DATASET.names[:-2]
