import csv
import hashlib
import io
import os
import stat
import subprocess
import sys
import zipfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
import build_wheel


@pytest.fixture
def binary(tmp_path):
    path = tmp_path / "built"
    path.write_text("#!/bin/sh\necho salescast says $1\n")
    return path


@pytest.mark.parametrize(
    ("described", "version"),
    [
        ("v1.2.3", "1.2.3"),
        ("v1.2.3-4-gabc1234", "1.2.3.post4+gabc1234"),
        ("v1.2.3-4-gabc1234-dirty", "1.2.3.post4+gabc1234.dirty"),
        ("abc1234", "0.0.0+gabc1234"),
        ("1234567-dirty", "0.0.0+g1234567.dirty"),
        ("devel", "0.0.0"),
    ],
)
def test_versions(described, version):
    assert build_wheel.pep440(described) == version


def test_the_same_inputs_give_the_same_bytes(binary, tmp_path):
    first = build_wheel.build(binary, "amd64", "1.0", tmp_path / "a").read_bytes()
    os.utime(binary, (0, 0))
    assert build_wheel.build(binary, "amd64", "1.0", tmp_path / "b").read_bytes() == first


def test_record_has_every_file_and_its_digest(binary, tmp_path):
    path = build_wheel.build(binary, "arm64", "1.0", tmp_path)
    assert path.name == "salescast-1.0-py3-none-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(path) as wheel:
        record = list(csv.reader(io.TextIOWrapper(wheel.open("salescast-1.0.dist-info/RECORD"))))
        assert [row[0] for row in record] == wheel.namelist()
        for name, digest, size in record[:-1]:
            data = wheel.read(name)
            want = build_wheel.base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={want}", len(data))
        assert record[-1] == ["salescast-1.0.dist-info/RECORD", "", ""]


def test_pip_installs_upgrades_and_removes_it(binary, tmp_path):
    """With pip, because others set the mode of scripts by themselves."""
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    old, new = (build_wheel.build(binary, arch, version, tmp_path / "dist") for version in ("1.0", "1.1"))
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for wheel, version in ((old, "1.0"), (new, "1.1")):
        subprocess.run([*pip, "install", "--no-index", wheel], check=True)
        script = venv / "bin/salescast"
        assert stat.S_IMODE(script.stat().st_mode) & 0o111
        assert subprocess.run([script, "hello"], check=True, capture_output=True, text=True).stdout == "salescast says hello\n"
        code = (
            "from importlib.metadata import entry_points; (e,) = entry_points(group='apache_airflow_provider');"
            "print(e.load()()['versions'][0])"
        )
        assert (
            subprocess.run([venv / "bin/python", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
            == version + "\n"
        )
    subprocess.run([*pip, "uninstall", "--yes", "salescast"], check=True)
    assert not list(venv.rglob("*salescast*"))
