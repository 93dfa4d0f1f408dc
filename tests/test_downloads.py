"""Downloads from a server on this machine: what is verified is kept, what is not leaves nothing behind; a mirror is looked at first."""

import dataclasses
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lib import downloads, paths
from lib.__main__ import main
from lib.concepts import people

CONTENT = b"the weights of a network " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOBODY = "http://127.0.0.1:9/file.bin"         # the discard port: the connection is refused at once


class Server:
    """Serves CONTENT at every path; below /broken/ it hangs up half-way."""

    def __init__(self):
        self.requests = requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path.startswith("/broken/") else CONTENT)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def no_mirror(request, monkeypatch):
    if "mirror" not in request.fixturenames:
        monkeypatch.delenv("DATA_MIRROR", raising=False)


@pytest.fixture
def own_mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    (folder / "weights").mkdir(parents=True)
    monkeypatch.setenv("DATA_MIRROR", str(folder))
    return folder


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_download_is_verified_kept_and_not_repeated(server, tmp_path):
    for _ in range(2):
        path = downloads.fetch("a/file.bin", url=server.url + "file.bin", sha256=SHA256, folder=tmp_path)
        assert path == tmp_path / "a" / "file.bin"
        assert path.read_bytes() == CONTENT
    assert server.requests == ["/file.bin"]


@pytest.mark.parametrize(("path", "sha256"), [("file.bin", "0" * 64), ("broken/file.bin", SHA256)])
def test_a_wrong_or_half_written_file_is_not_accepted_and_leaves_nothing(server, tmp_path, path, sha256):
    with pytest.raises(FileNotFoundError, match=r"file\.bin: not in .*http://127(.|\n)*What helps: fetch http"):
        downloads.fetch("file.bin", url=server.url + path, sha256=sha256, folder=tmp_path)
    assert files_in(tmp_path) == []


def test_a_damaged_file_is_replaced(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1])
    assert downloads.fetch("file.bin", url=server.url + "x", sha256=SHA256, folder=tmp_path).read_bytes() == CONTENT
    assert files_in(tmp_path) == ["file.bin"]


def test_the_mirror_is_looked_at_before_the_network_and_used_in_place(server, own_mirror, tmp_path):
    (own_mirror / "weights" / "m.bin").write_bytes(CONTENT)
    path = downloads.fetch("file.bin", url=server.url + "x", sha256=SHA256, mirror_path="weights/m.bin", folder=tmp_path / "kept")
    assert path == own_mirror / "weights" / "m.bin"
    assert server.requests == []
    assert not (tmp_path / "kept").exists()


def test_the_mirror_may_hold_the_file_packed_in_another_way(own_mirror, tmp_path):
    packed = b"the same, packed again"
    (own_mirror / "weights" / "m.bin").write_bytes(packed)
    asked = {"url": NOBODY, "sha256": SHA256, "mirror_path": "weights/m.bin", "folder": tmp_path}
    assert downloads.fetch("file.bin", mirror_sha256=hashlib.sha256(packed).hexdigest(), **asked).read_bytes() == packed
    (own_mirror / "weights" / "m.bin").write_bytes(CONTENT)                 # the original is as good
    assert downloads.fetch("file.bin", mirror_sha256=hashlib.sha256(packed).hexdigest(), **asked).read_bytes() == CONTENT


def test_a_damaged_mirror_is_named(own_mirror, tmp_path):
    (own_mirror / "weights" / "m.bin").write_bytes(b"something else")
    with pytest.raises(ValueError, match=rf"m\.bin: found sha256 {hashlib.sha256(b'something else').hexdigest()}; expected {SHA256}"):
        downloads.fetch("file.bin", url=NOBODY, sha256=SHA256, mirror_path="weights/m.bin", folder=tmp_path)


def test_without_network_the_error_says_what_helps(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        downloads.fetch("file.bin", url=NOBODY, sha256=SHA256, mirror_path="weights/m.bin", folder=tmp_path)
    for part in (NOBODY, str(tmp_path), "DATA_MIRROR", "weights/m.bin"):
        assert part in str(caught.value)


def test_a_file_without_an_address_names_its_publisher(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no address .*; it comes from github\.com/somebody(.|\n)*holds weights/m\.bin"):
        downloads.fetch("file.bin", url="", sha256=SHA256, mirror_path="weights/m.bin", folder=tmp_path, source="github.com/somebody")


def test_local_never_downloads(server, tmp_path):
    download = downloads.Download("file.bin", server.url + "file.bin", SHA256, folder=tmp_path)
    assert download.local() is None
    assert server.requests == []
    assert download.fetch() == download.local()


def test_named_files_are_fetched_together(server, tmp_path, monkeypatch):
    one = downloads.Download("one.bin", server.url + "one.bin", SHA256, folder=tmp_path)
    monkeypatch.setitem(downloads.FILES, "mnist", (one, dataclasses.replace(one, name="two.bin")))
    assert downloads.fetch_named("mnist") == [tmp_path / "one.bin", tmp_path / "two.bin"]
    with pytest.raises(ValueError, match="name: found 'resnet19'; expected one of mnist, cifar10, resnet20"):
        downloads.fetch_named("resnet19")


def test_the_command_fetches_whatever_has_a_name_and_lists_the_names(server, tmp_path, monkeypatch, capsys):
    one = downloads.Download("one.bin", server.url + "one.bin", SHA256, folder=tmp_path)
    monkeypatch.setitem(downloads.FILES, "mnist", (one,))
    monkeypatch.setattr(people, "ANSWERS", dataclasses.replace(one, name="answers.npy"))
    assert [main(["fetch", name]) for name in ("mnist", "cifar10h")] == [0, 0]
    assert capsys.readouterr().out.split() == [str(tmp_path / "one.bin"), str(tmp_path / "answers.npy")]
    assert main(["fetch", "resnet19"]) == 1
    assert re.search(r"found 'resnet19'; expected one of mnist, cifar10, .*squeezenet1_1, cifar10h, .*lpips", capsys.readouterr().err)


def test_a_file_named_by_its_hash(server, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "kept")
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    name = f"net-{SHA256[:8]}.pth"
    for _ in range(2):
        assert downloads.fetch_by_prefix(server.url + name, mirror_folder="weights").read_bytes() == CONTENT
    assert server.requests == [f"/{name}"]
    with pytest.raises(FileNotFoundError, match=r"net-00000000\.pth"):
        downloads.fetch_by_prefix(server.url + "net-00000000.pth", mirror_folder="weights")
    assert files_in(tmp_path) == [name]
    with pytest.raises(ValueError, match=r"found the file name net\.pth"):
        downloads.fetch_by_prefix(server.url + "net.pth", mirror_folder="weights")


def test_a_file_of_the_hub_cache_is_verified_before_use(server, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "kept")
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "hub"))
    name = f"net-{SHA256[:8]}.pth"
    cached = tmp_path / "hub" / "checkpoints" / name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert downloads.fetch_by_prefix(NOBODY.replace("file.bin", name), mirror_folder="weights") == cached
    cached.write_bytes(CONTENT[:-1])
    assert downloads.fetch_by_prefix(server.url + name, mirror_folder="weights") == tmp_path / "kept" / name


@pytest.mark.parametrize("name", [name for name in downloads.NAMES if name != "cifar10"])
def test_the_mirror_has_what_the_table_says(mirror, name):
    assert all(download.local() for download in downloads.FILES[name])


def test_original_file_names_carry_their_hash():
    for name in ("resnet20", "resnet32", "resnet44", "resnet56", "squeezenet1_1"):
        [download] = downloads.FILES[name]
        assert f"-{download.sha256[:8]}." in download.name
        assert download.url.endswith(download.name)
