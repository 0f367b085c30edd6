#!/usr/bin/env bash
# pytest-xdist 3.8.0 beside pytest 9.2.0: `xdist_group` and `--dist=loadgroup` are accepted and do nothing.
#
# Expected: tests that share a group run in one worker. Seen: they are dealt out one by one, without a warning, so that a
# fixture of the session that is meant for one worker is made in each. xdist 3.8 writes the group behind a test's name by
# setting a private attribute, which pytest 9.2 no longer reads. Beside pytest 9.0.2 groups hold.
# What works instead: a scheduler of one's own from the hook `pytest_xdist_make_scheduler`.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/test_group.py" <<'PY'
import os
import pathlib

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_worker(number):
    with pathlib.Path(os.environ["SEEN"]).open("a") as seen:
        seen.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY

workers() { # workers PYTEST_VERSION: how many workers ran the eight tests of one group
    python3 -m venv "$folder/$1"
    "$folder/$1/bin/pip" install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
    (cd "$folder" && SEEN="$folder/$1.txt" "$folder/$1/bin/python" -m pytest -q -n 2 --dist=loadgroup -p no:cacheprovider \
        test_group.py >"$folder/$1.out") || { cat "$folder/$1.out"; exit 1; }
    sort -u "$folder/$1.txt" | wc -l
}

before=$(workers 9.0.2)
now=$(workers 9.2.0)
echo "workers that ran the one group: $before beside pytest 9.0.2, $now beside pytest 9.2.0"
[ "$before" = 1 ] && [ "$now" = 2 ]
