import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.memory_store import MemoryStore
from recflow.clients.local_store import LocalStore
from recflow.clients.scratch_store import ScratchStore
from recflow.errors import BadConfiguration, PermanentError, StoreFull, StoreUnavailable


@pytest.fixture(params=["memory_fake", "local", "scratch", "s3_on_moto_double"])
def store(request, tmp_path):
    if request.param == "memory_fake":
        return MemoryStore()
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    if request.param == "scratch":
        return ScratchStore(MemoryStore(), LocalStore(tmp_path / "store"))
    return request.getfixturevalue("s3_store")


class TestEveryStore:
    def test_what_was_put_is_got(self, store):
        assert store.put("a/b.bin", b"\x00bytes")
        assert store.get("a/b.bin") == b"\x00bytes"

    def test_a_file_is_put_and_downloaded(self, store, tmp_path):
        (tmp_path / "up").write_bytes(os.urandom(3 << 20))
        store.put("a/file", tmp_path / "up")
        assert store.download("a/file", tmp_path / "down")
        assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()

    def test_an_empty_object_is_an_object(self, store):
        store.put("a/empty", b"")
        assert store.get("a/empty") == b""

    def test_what_does_not_exist_is_none(self, store, tmp_path):
        store.put("a/b", b"x")
        assert store.get("a") is None
        assert store.get("a/c") is None
        assert store.get("a/b/c") is None
        assert not store.download("a/c", tmp_path / "down")

    def test_the_last_put_wins_without_a_condition(self, store):
        store.put("a", b"1")
        assert store.put("a", b"2")
        assert store.get("a") == b"2"

    @pytest.mark.parametrize("form", ["bytes", "file"])
    def test_the_first_put_wins_with_the_condition(self, store, tmp_path, form):
        (tmp_path / "two").write_bytes(b"2")
        assert store.put("a/b", b"1", if_absent=True)
        assert not store.put("a/b", b"2" if form == "bytes" else tmp_path / "two", if_absent=True)
        assert store.get("a/b") == b"1"

    def test_one_of_sixteen_racing_writers_wins(self, store):
        start = threading.Barrier(16)

        def write(number: int) -> bool:
            start.wait()
            return store.put("a/race", f"writer {number}".encode(), if_absent=True)

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(write, range(16)))
        assert won.count(True) == 1
        assert store.get("a/race") == f"writer {won.index(True)}".encode()

    def test_keys_are_listed_in_the_order_of_their_bytes(self, store):
        keys = ["a-b", "a/b", "a.b", "a/b-c", "a/b0", "aé", "b"]
        for key in keys:
            store.put(key, b"")
        assert store.list("") == sorted(keys)
        assert store.list("a/") == ["a/b", "a/b-c", "a/b0"]

    def test_a_prefix_need_not_end_at_a_slash(self, store):
        for key in ("a/one", "a/onto", "a/two", "ab/one"):
            store.put(key, b"")
        assert store.list("a/on") == ["a/one", "a/onto"]
        assert store.list("a/one/") == []
        assert store.list("nothing/") == []

    def test_a_listing_stops_at_its_limit(self, store):
        for number in range(12):
            store.put(f"a/{number:02d}", b"")
        assert store.list("a/", limit=2) == ["a/00", "a/01"]
        assert len(store.list("a/", limit=100)) == 12

    def test_deleting_twice_is_fine(self, store):
        store.put("a/b", b"x")
        store.delete("a/b")
        store.delete("a/b")
        assert store.get("a/b") is None
        assert store.list("") == []

    def test_a_half_written_object_is_invisible(self, store, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with ThreadPoolExecutor(1) as pool:
            putting = pool.submit(store.put, "a/slow", pipe)
            with pipe.open("wb") as stream:
                stream.write(b"first half, ")
                stream.flush()
                seen = (store.get("a/slow"), store.list(""))
                stream.write(b"second half")
            assert putting.result()
        assert seen == (None, [])
        assert store.get("a/slow") == b"first half, second half"


class TestErrors:
    @pytest.mark.parametrize("key", ["", "/etc", "../up", "a/../../up", "a//b", "a/./b", ".incoming/x", "a\x00b"])
    def test_a_local_key_cannot_leave_the_store(self, tmp_path, key):
        with pytest.raises(PermanentError):
            LocalStore(tmp_path / "store").put(key, b"x")

    def test_a_link_does_not_lead_out_of_a_local_store(self, tmp_path):
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "way").symlink_to(tmp_path)
        with pytest.raises(PermanentError):
            LocalStore(tmp_path / "store").put("way/out", b"x")

    def test_a_killed_local_writer_leaves_nothing_to_see(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        code = "import sys, pathlib; from recflow.clients.local_store import LocalStore as S; a = sys.argv"
        writer = subprocess.Popen(
            [sys.executable, "-c", f"{code}; S(pathlib.Path(a[1])).put('a', pathlib.Path(a[2]))", tmp_path / "s", pipe]
        )
        with pipe.open("wb") as stream:
            stream.write(b"half")
            stream.flush()
            writer.kill()
            writer.wait()
        store = LocalStore(tmp_path / "s")
        assert store.list("") == []
        assert store.put("a", b"whole", if_absent=True)

    @pytest.mark.parametrize("if_absent", [True, False])
    def test_a_full_disk_is_a_full_store_and_leaves_nothing_behind(self, small_disk, if_absent):
        store = LocalStore(small_disk)
        store.put("small", b"x" * 1000)
        with pytest.raises(StoreFull, match="free space"):
            store.put("a/large", b"x" * (1 << 20), if_absent=if_absent)
        assert store.list("") == ["small"]
        assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["small"]

    def test_the_fake_store_is_full_at_its_capacity(self):
        with pytest.raises(StoreFull):
            MemoryStore(capacity=10).put("a", b"x" * 11)

    def test_the_fake_store_does_not_answer_while_it_is_down(self):
        store = MemoryStore()
        store.down = True
        with pytest.raises(StoreUnavailable):
            store.get("a")

    def test_a_folder_that_cannot_be_reached_is_unavailable(self, tmp_path):
        (tmp_path / "file").write_text("not a folder")
        with pytest.raises(StoreUnavailable):
            LocalStore(tmp_path / "file").put("a", b"x")


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds less than 1 MiB: a small tmpfs, or, where mounting is refused, a limit on file sizes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, limits[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class TestS3:
    def test_a_bucket_that_does_not_exist_is_a_wrong_setting(self, s3_store, moto_server):
        from recflow.clients.s3_store import S3Store

        with pytest.raises(BadConfiguration, match="NoSuchBucket"):
            S3Store("s3://no-such-bucket", moto_server).put("a", b"x")

    @pytest.mark.parametrize("uri", ["", "s3://", "file:///tmp", "bucket/prefix"])
    def test_an_address_without_a_bucket_is_a_wrong_setting(self, uri):
        from recflow.clients.s3_store import S3Store

        with pytest.raises(BadConfiguration):
            S3Store(uri)

    def test_a_server_that_is_not_there_is_unavailable(self, s3_store):
        from recflow.clients.s3_store import S3Store

        with pytest.raises(StoreUnavailable):
            S3Store("s3://bucket", "http://127.0.0.1:9", attempts=1).get("a")

    def test_a_writer_whose_answer_was_lost_still_knows_that_it_won(self, s3_store, monkeypatch):
        send = s3_store._client.put_object

        def send_twice(**request):
            send(**request)
            return send(**request)

        monkeypatch.setattr(s3_store._client, "put_object", send_twice)
        assert s3_store.put("a", b"mine", if_absent=True)
        assert not s3_store.put("a", b"mine", if_absent=True)

    def test_objects_lie_below_the_prefix_of_the_address(self, s3_store, moto_server):
        from recflow.clients.s3_store import S3Store

        s3_store.put("a", b"x")
        assert S3Store(s3_store.root.removesuffix("/some/prefix"), moto_server).list("") == ["some/prefix/a"]

    def test_a_large_file_goes_up_in_parts(self, s3_store, tmp_path):
        with (tmp_path / "large").open("wb") as stream:
            stream.truncate(65 << 20)
        assert s3_store.put("large", tmp_path / "large")
        assert s3_store.download("large", tmp_path / "down")
        assert (tmp_path / "down").stat().st_size == 65 << 20

    def test_a_file_above_five_gibibytes_is_not_created_conditionally(self, s3_store, tmp_path):
        with (tmp_path / "huge").open("wb") as stream:
            stream.truncate((5 << 30) + 1)
        with pytest.raises(PermanentError, match="5 GiB"):
            s3_store.put("huge", tmp_path / "huge", if_absent=True)

    @pytest.mark.parametrize(
        ("status", "code", "expected"),
        [
            (403, "AccessDenied", BadConfiguration),
            (403, "QuotaExceeded", StoreFull),
            (507, "XMinioStorageFull", StoreFull),
            (503, "SlowDown", StoreUnavailable),
            (500, "InternalError", StoreUnavailable),
            (409, "ConditionalRequestConflict", StoreUnavailable),
            (400, "InvalidRequest", PermanentError),
        ],
    )
    def test_every_answer_of_the_server_has_its_error(self, answering_server, status, code, expected):
        store = answering_server(status, code)
        with pytest.raises(expected, match=code) as caught:
            store.put("a", b"x", if_absent=True)
        assert type(caught.value) is expected


@pytest.fixture
def answering_server(monkeypatch):
    """An HTTP server that gives one S3 error to everything."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from recflow.clients.s3_store import S3Store

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    servers = []

    def start(status: int, code: str) -> S3Store:
        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return S3Store("s3://bucket", f"http://127.0.0.1:{server.server_port}", attempts=1)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestScratch:
    def test_what_is_put_or_deleted_over_a_store_does_not_reach_it(self, tmp_path):
        real = MemoryStore()
        real.put("a/kept", b"1")
        store = ScratchStore(real, LocalStore(tmp_path / "store"))
        store.put("a/kept", b"2")
        store.put("a/new", b"3")
        assert not store.put("a/kept", b"4", if_absent=True)
        assert store.list("a/") == ["a/kept", "a/new"]
        assert (store.get("a/kept"), real.objects) == (b"2", {"a/kept": b"1"})
        store.delete("a/kept")
        assert real.get("a/kept") == b"1"
