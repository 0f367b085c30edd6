"""Days of a shop as half-open intervals in UTC."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from recflow.artifacts.manifests import Interval
from recflow.errors import BadConfiguration


def day_interval(label: str, timezone: str) -> Interval:
    """The local day `label` (2011-01-04) of a time zone: from its midnight to the next one, 23 to 25 hours."""
    try:
        day = date.fromisoformat(label)
        zone = ZoneInfo(timezone)
    except ZoneInfoNotFoundError as error:
        raise BadConfiguration("the time zone is unknown", expected="a name as Europe/Berlin", seen=timezone) from error
    except ValueError as error:
        raise BadConfiguration("the interval cannot be read", expected="a day as 2011-01-04", seen=label) from error
    return Interval(label=day.isoformat(), start=_midnight(day, zone), end=_midnight(day + timedelta(days=1), zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The day's first moment; where a clock change skips midnight, the moment of the change."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def newest_whole_day(moment: datetime, timezone: str) -> Interval:
    """The last local day that has ended at `moment`."""
    today = day_interval(moment.astimezone(ZoneInfo(timezone)).date().isoformat(), timezone)
    return day_interval((today.start - timedelta(hours=12)).astimezone(ZoneInfo(timezone)).date().isoformat(), timezone)
