"""What is asked, by the recipe's rules of free text: before a model reads it and before anything is written."""

from typing import Any

from recflow.config.sections.cleaning import CleaningSection
from recflow.domain.free_text import cleaned, rules_for_people
from recflow.domain.requests import Request
from recflow.tasks.base import Serving


def clean_request(serving: Serving[Any], request: Request, cleaning: CleaningSection) -> Request:
    """The request with its texts as a day's data would hold them: the context's here, the others by the task."""
    people = rules_for_people(cleaning)
    context = {name: cleaned(said, people) for name, said in request.context.items()}
    own: Request = serving.cleaned(request, cleaning)
    return own.model_copy(update={"context": context})
