"""Triton's configuration of a package. No `name`: Triton takes the folder's, which carries the version."""

from recflow.config.sections.serving import PackagingSection

# There is no default_queue_policy on purpose: any limit in it made 1-8 % of lone requests wait 500 ms on Triton 2.51.
# Queues are limited by the gateway instead.
_TEMPLATE = """backend: "python"
max_batch_size: {max_batch_size}
input [
  {{ name: "QUERY" data_type: TYPE_STRING dims: [ 1 ] }},
  {{ name: "TITLE" data_type: TYPE_STRING dims: [ -1 ] allow_ragged_batch: true }},
  {{ name: "DESCRIPTION" data_type: TYPE_STRING dims: [ -1 ] allow_ragged_batch: true }}
]
output [
  {{ name: "SCORE" data_type: TYPE_FP32 dims: [ -1 ] }}
]
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: {max_queue_delay_us} }}
parameters {{ key: "threads" value: {{ string_value: "{threads}" }} }}
"""


def render_config(section: PackagingSection) -> str:
    """The text of config.pbtxt: requests of different numbers of items are joined, strings in, scores out."""
    return _TEMPLATE.format(**section.model_dump())
