"""Triton's configuration of a package. No `name`: Triton takes the folder's, which carries the version."""

import json

from recflow.config.sections.serving import PackagingSection
from recflow.domain.signatures import Signature, Tensor

# There is no default_queue_policy on purpose: any limit in it made 1-8 % of lone requests wait 500 ms on Triton 2.51.
# Queues are limited by the gateway instead.
_TEMPLATE = """backend: "python"
max_batch_size: {max_batch_size}
input [
  {inputs}
]
output [
  {outputs}
]
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: {max_queue_delay_us} }}
parameters {{ key: "threads" value: {{ string_value: "{threads}" }} }}
parameters {{ key: "signature" value: {{ string_value: {signature} }} }}
"""


def render_config(section: PackagingSection, signature: Signature) -> str:
    """The text of config.pbtxt: requests of different lengths are joined; the signature stands in it with its axes."""
    return _TEMPLATE.format(
        inputs=",\n  ".join(_tensor(tensor, ragged=tensor.is_ragged) for tensor in signature.inputs),
        outputs=",\n  ".join(_tensor(tensor, ragged=False) for tensor in signature.outputs),
        signature=json.dumps(signature.model_dump_json()),  # protobuf's text format escapes as JSON does
        **section.model_dump(),
    )


def _tensor(tensor: Tensor, *, ragged: bool) -> str:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    dims = ", ".join(str(-1 if isinstance(dim, str) else dim) for dim in tensor.dims)
    more = " allow_ragged_batch: true" if ragged else ""
    return f'{{ name: "{tensor.name}" data_type: TYPE_{kind} dims: [ {dims} ]{more} }}'
