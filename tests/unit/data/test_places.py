"""Files in a bucket are found, digested and read as those in a folder; the bucket is moto's, a double."""

import boto3
import pytest

from fakes.deliveries import Read, day, recipe
from recflow.data.sources import open_source, source_uri
from recflow.errors import BadConfiguration, SourceUnavailable


@pytest.fixture
def bucket(moto_server, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=moto_server)
    client.create_bucket(Bucket="feed")
    yield client
    for found in client.list_objects_v2(Bucket="feed").get("Contents", []):
        client.delete_object(Bucket="feed", Key=found["Key"])
    client.delete_bucket(Bucket="feed")


@pytest.fixture
def in_bucket(moto_server):
    return f"s3://feed/shop?scheme=http&endpoint_override={moto_server.removeprefix('http://')}"


def settings(path, **source):
    events = [{"files": ["{date:%Y-%m-%d}/*.csv"], "columns": {"event_id": "id", "item_id": "sku"}}]
    catalogue = {"files": ["items-{date:%Y-%m-%d}.csv"], "columns": {"item_id": "sku", "title": "name"}}
    return recipe(data={"source": {"adapter": "tables", "path": path, "events": events, "catalogue": catalogue}})


FILES = {
    "2011-01-01/a.csv": b"id,sku\n1,x\n",
    "2011-01-01/b.csv": b"id,sku\n2,y\n",
    "2011-01-02/a.csv": b"id,sku\n3,x\n",
    "items-2010-12-31.csv": b"sku,name\nx,lamp\n",
}


def test_a_day_in_a_bucket_is_the_same_day_as_in_a_folder(bucket, in_bucket, tmp_path):
    for name, data in FILES.items():
        bucket.put_object(Bucket="feed", Key=f"shop/{name}", Body=data)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    far, near = Read(settings(in_bucket), in_bucket), Read(settings(str(tmp_path)), tmp_path)
    assert far.rows(day()).sort_by("event_id").equals(near.rows(day()).sort_by("event_id"))
    assert far.rows(day())["event_id"].to_pylist() == ["1", "2"]
    assert far.fingerprint(day()) == near.fingerprint(day())


def test_a_bucket_is_pinned_as_it_stands_and_nonsense_is_a_configuration_error(tmp_path):
    assert source_uri(settings("s3://feed/shop"), tmp_path) == "s3://feed/shop"
    assert source_uri(settings("shop"), tmp_path) == (tmp_path / "shop").as_uri()
    with pytest.raises(BadConfiguration, match="cannot be used"):
        open_source(settings("s3://feed/shop?colour=red"), "s3://feed/shop?colour=red")


def test_a_bucket_that_does_not_answer_is_tried_again(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    gone = "s3://feed/shop?scheme=http&endpoint_override=127.0.0.1:9&region=us-east-1"
    with pytest.raises(SourceUnavailable, match="could not be read"):
        Read(settings(gone), gone).fingerprint(day())


def test_what_changed_in_a_bucket_is_seen_without_reading_it(bucket, in_bucket):
    for name, data in FILES.items():
        bucket.put_object(Bucket="feed", Key=f"shop/{name}", Body=data)
    source = Read(settings(in_bucket), in_bucket).source
    before = [source.stamp(day(number)) for number in range(2)]
    assert [source.stamp(day(number)) for number in range(2)] == before
    bucket.put_object(Bucket="feed", Key="shop/2011-01-02/a.csv", Body=b"id,sku\n3,y\n4,x\n")
    assert [source.stamp(day(number)) == before[number] for number in range(2)] == [True, False]
