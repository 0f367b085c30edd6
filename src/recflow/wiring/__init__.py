"""Builds the clients from the settings and hands them to the stages; the only place that knows both."""

from recflow.wiring.housekeeping import clean_store
from recflow.wiring.releases import (
    adopt_package,
    advance_release,
    claim_release,
    pin_parent_of,
    record_candidate_of,
    release_progress,
    watch_recipe,
)
from recflow.wiring.services import Services, build_services
from recflow.wiring.stage_calls import (
    STAGES,
    Stage,
    StageCall,
    collect_job,
    dump_inputs,
    find_result,
    finish_stage,
    held_out_queries,
    load_inputs,
    read_parent,
    run_rank,
    run_stage,
    stage_call,
    stages_computed_again,
    submit_stage,
)

__all__ = [
    "STAGES",
    "Services",
    "Stage",
    "StageCall",
    "adopt_package",
    "advance_release",
    "build_services",
    "claim_release",
    "clean_store",
    "collect_job",
    "dump_inputs",
    "find_result",
    "finish_stage",
    "held_out_queries",
    "load_inputs",
    "pin_parent_of",
    "read_parent",
    "record_candidate_of",
    "release_progress",
    "run_rank",
    "run_stage",
    "stage_call",
    "stages_computed_again",
    "submit_stage",
    "watch_recipe",
]
