"""Days of the real wholesaler's invoices that examples/retail.yaml reads."""

import shutil
import tarfile
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

DATA_SET = "uci-online-retail-by-day"


def unpack_days(data_folder: Callable[[str], Path], days: Iterable[date], target: Path) -> None:
    """The files of these days below `target`; days without one are left out."""
    wanted = {f"{day}.csv" for day in days}
    target.mkdir(parents=True)
    [archive] = data_folder(DATA_SET).glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        for member in packed:
            name = Path(member.name).name
            if name in wanted and (content := packed.extractfile(member)):
                with (target / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
