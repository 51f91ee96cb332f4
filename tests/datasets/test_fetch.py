"""What is downloaded is whole, verified and safely unpacked, or nothing is left of it."""

import hashlib
import http.server
import io
import json
import os
import stat
import threading
import zipfile
from pathlib import Path

import pytest

from ssl_audio.datasets import esc50, fetch, fsdd


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; a path that ends in ?short promises more bytes than it sends."""

    def do_GET(self):
        path, _, short = self.path.partition("?")
        self.server.asked.append(path)
        body = self.server.files.get(path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (100 if short else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked = {}, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SSL_AUDIO_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD = zipped(**{"set-1.0/recordings/7_theo_4.wav": b"sound", "set-1.0/README.md": b"read"})


def sha(data):
    return hashlib.sha256(data).hexdigest()


def locate(server, sha256, name="fsdd", path="/good.zip"):
    return fetch.locate(name, "recordings", url=server.url + path, sha256=sha256, licence="CC0")


def left(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_download_verify_unpack_and_find_again(server, tmp_path, capsys):
    server.files["/good.zip"] = GOOD
    home = locate(server, sha(GOOD))
    assert home == tmp_path / "cache" / "ssl_audio" / "fsdd"
    assert left(fetch.cache()) == ["fsdd/README.md", "fsdd/recordings/7_theo_4.wav", "fsdd/source.json"]
    assert (home / "recordings" / "7_theo_4.wav").read_bytes() == b"sound"
    assert json.loads((home / "source.json").read_text())["sha256"] == sha(GOOD)
    assert "CC0" in capsys.readouterr().err
    assert locate(server, sha(GOOD)) == home
    assert server.asked == ["/good.zip"]  # the second time it was there
    assert [c.labels["digit"] for c in fsdd.clips()] == ["7"]


def test_the_users_folder_comes_first(server, tmp_path, monkeypatch):
    server.files["/good.zip"] = GOOD
    locate(server, sha(GOOD))
    own = tmp_path / "own" / "fsdd"
    (own / "recordings").mkdir(parents=True)
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "own"))
    assert locate(server, sha(GOOD)) == own


def test_another_checksum_leaves_nothing(server):
    server.files["/good.zip"] = GOOD
    with pytest.raises(ValueError, match=f"sha256 is {sha(GOOD)}, expected {'0' * 64}"):
        locate(server, "0" * 64)
    assert left(fetch.cache()) == []


def test_without_a_checksum_the_digest_is_shown_and_kept(server, capsys):
    server.files["/good.zip"] = GOOD
    home = locate(server, None)
    assert sha(GOOD) in capsys.readouterr().err
    assert json.loads((home / "source.json").read_text())["sha256"] == sha(GOOD)


@pytest.mark.parametrize("path", ["/good.zip?short", "/absent.zip"])
def test_a_truncated_or_refused_download_leaves_nothing_and_says_what_to_do(server, path):
    server.files["/good.zip"] = GOOD
    with pytest.raises(FileNotFoundError, match=r"download failed .* unpack .* yourself"):
        locate(server, sha(GOOD), path=path)
    assert left(fetch.cache()) == []


def test_no_server_at_all_names_the_places_where_it_looked(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "own"))
    with pytest.raises(FileNotFoundError, match=r"own.fsdd or .*cache.*unpack http"):
        fetch.locate("fsdd", "recordings", url="http://127.0.0.1:9/x.zip", sha256=None, licence="CC0")


def test_what_a_killed_download_left_is_neither_used_nor_kept(server):
    server.files["/good.zip"] = GOOD
    fetch.cache().mkdir(parents=True)
    old, young = fetch.cache() / "fsdd.11.zip.partial", fetch.cache() / "fsdd.12.zip.partial"
    folder = fetch.cache() / "fsdd.11.partial"
    for file in (old, young):
        file.write_bytes(GOOD[:50])
    folder.mkdir()
    for stale in (old, folder):
        os.utime(stale, (0, 0))
    mine = fetch.cache() / f"fsdd.{os.getpid()}.zip.partial"  # the number of a killed process can come again
    mine.write_bytes(GOOD[:50])
    assert (locate(server, sha(GOOD)) / "recordings").is_dir()
    assert [p.name for p in sorted(fetch.cache().iterdir())] == [
        "fsdd",
        young.name,
    ]  # somebody may be writing it


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "set/../../evil",
        "/evil",
        "C:/evil",
        "C:evil",
        "..\\evil",
        "\\evil",
        "set/..",
        "\\\\host\\evil",
    ],
)
def test_names_that_leave_the_folder_are_refused(name, tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(zipped(**{"set/recordings/a.wav": b"", name: b"evil"}))
    with pytest.raises(ValueError, match="outside the folder"):
        fetch.unpack(archive, tmp_path / "out", "recordings")
    assert left(tmp_path) == ["x.zip"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(kind, tmp_path):
    archive, member = tmp_path / "x.zip", zipfile.ZipInfo("set/recordings")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(member, "/etc")
        made.writestr("set/recordings/passwd", "evil")
    with pytest.raises(ValueError, match="link or a device"):
        fetch.unpack(archive, tmp_path / "out", "recordings")
    assert left(tmp_path) == ["x.zip"]


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"<html>", "not a zip"), (GOOD[:-30], "not a zip"), (zipped(a=b""), "has no recordings")],
    ids=["page", "cut", "empty"],  # an archive holds the time of day, and test ids must not
)
def test_what_is_not_the_archive_is_refused(data, word, tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(data)
    with pytest.raises(ValueError, match=word):
        fetch.unpack(archive, tmp_path / "out", "recordings")
    assert left(tmp_path) == ["x.zip"]


def test_a_flipped_bit_inside_is_noticed(tmp_path):
    archive = tmp_path / "x.zip"
    archive.write_bytes(GOOD.replace(b"sound", b"sounD", 1))
    with pytest.raises(ValueError, match="damaged"):
        fetch.unpack(archive, tmp_path / "out", "recordings")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_that_name_that_is_something_else_is_left_alone(server):
    (fetch.cache() / "fsdd").mkdir(parents=True)
    (fetch.cache() / "fsdd" / "mine.txt").touch()
    with pytest.raises(FileNotFoundError, match="remove that folder"):
        locate(server, None)
    assert left(fetch.cache()) == ["fsdd/mine.txt"]


@pytest.mark.parametrize("dataset", [fsdd, esc50])
def test_each_data_set_says_where_it_is_from(dataset):
    assert dataset.URL.startswith(dataset.HOMEPAGE + "/archive/")
    assert "master" not in dataset.URL
    assert len(bytes.fromhex(dataset.SHA256)) == 32
    assert dataset.LICENCE.startswith("CC BY")
    assert "doi:10." in dataset.CITATION


def test_find_looks_where_people_put_things_and_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_AUDIO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"ask the authors, so that there is .*data/set/meta\.csv"):
        fetch.find("set", "meta.csv", "ask the authors")
    for home in (tmp_path / "cache" / "ssl_audio" / "set", tmp_path / "data" / "set"):
        home.mkdir(parents=True)
        (home / "meta.csv").touch()
        assert fetch.find("set", "meta.csv", "ask the authors") == home


def test_links_to_folders_are_followed_but_no_loop(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "set").mkdir()
    for file in (tmp_path / "elsewhere" / "deep" / "a.wav", tmp_path / "set" / "b.wav"):
        file.touch()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    found = [f.relative_to(tmp_path / "set").as_posix() for f in fetch.under(tmp_path / "set")]
    assert found == ["b.wav", "linked/deep/a.wav"]
