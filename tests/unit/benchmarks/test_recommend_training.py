import pytest

from benchmarks.recommend_training import measure
from recflow.errors import BadConfiguration


@pytest.mark.parametrize("named", ["", "/nowhere/python"])
def test_without_an_environment_of_the_rival_it_is_said_which_variable_names_it(named, monkeypatch):
    monkeypatch.setenv("RECFLOW_RECTOOLS_PYTHON", named)
    with pytest.raises(BadConfiguration, match="RECFLOW_RECTOOLS_PYTHON"):
        measure(quick=True)
