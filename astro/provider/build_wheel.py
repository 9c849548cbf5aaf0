"""Build the platform wheel: the salescast binary as a script, beside the Airflow provider package.

Needs the standard library only. The same inputs give the same bytes. A wheel is a zip with a manifest (RECORD); see
https://packaging.python.org/en/latest/specifications/binary-distribution-format/.
"""

import argparse
import base64
import hashlib
import pathlib
import re
import zipfile

NAME = "salescast"
HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE / "salescast_airflow"
LICENSE = HERE.parent.parent / "LICENSE"

# The engines inside need a glibc of 2.28 or newer.
TAGS = {"amd64": "py3-none-manylinux_2_28_x86_64", "arm64": "py3-none-manylinux_2_28_aarch64"}

METADATA = """\
Metadata-Version: 2.4
Name: {name}
Version: {version}
Summary: Forecast sales, and know how good the forecast is: the salescast binary and its Airflow provider
License-Expression: Apache-2.0
License-File: LICENSE
Requires-Python: >=3.10
Classifier: Environment :: Console
Classifier: Framework :: Apache Airflow
Classifier: Framework :: Apache Airflow :: Provider
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: salescast
Root-Is-Purelib: false
Tag: {tag}
"""

ENTRY_POINTS = """\
[apache_airflow_provider]
provider_info = salescast_airflow:get_provider_info
"""


def pep440(described: str) -> str:
    """Return the version of a wheel for what `git describe --tags --always --dirty` says."""
    dirty = described.endswith("-dirty")
    described = described.removesuffix("-dirty")
    if re.fullmatch(r"[0-9a-f]{7,40}", described):  # there is no tag yet
        public, local = "0.0.0", [f"g{described}"]
    elif match := re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:-(\d+)-(g[0-9a-f]+))?", described):
        release, commits, commit = match.groups()
        public, local = (f"{release}.post{commits}", [commit]) if commits else (release, [])
    else:
        public, local = "0.0.0", []
    if dirty:
        local.append("dirty")
    return public + ("+" + ".".join(local) if local else "")


def contents(binary: pathlib.Path, version: str, tag: str) -> dict[str, tuple[bytes, int]]:
    """Return the wheel's files but RECORD: name to (bytes, mode)."""
    info = f"{NAME}-{version}.dist-info"
    files = {f"{NAME}-{version}.data/scripts/{NAME}": (binary.read_bytes(), 0o755)}
    for path in PACKAGE.glob("*.py"):
        data = path.read_text()
        if path.name == "__init__.py":
            data, replaced = re.subn(r'^__version__ = ".*"', f'__version__ = "{version}"', data, flags=re.MULTILINE)
            if replaced != 1:
                raise SystemExit(f"{path} sets __version__ {replaced} times, not once")
        files[f"{PACKAGE.name}/{path.name}"] = (data.encode(), 0o644)
    files[f"{info}/METADATA"] = (METADATA.format(name=NAME, version=version).encode(), 0o644)
    files[f"{info}/WHEEL"] = (WHEEL.format(tag=tag).encode(), 0o644)
    files[f"{info}/entry_points.txt"] = (ENTRY_POINTS.encode(), 0o644)
    files[f"{info}/licenses/LICENSE"] = (LICENSE.read_bytes(), 0o644)
    return files


def build(binary: pathlib.Path, arch: str, version: str, out: pathlib.Path) -> pathlib.Path:
    """Write the wheel into the folder `out` and return its path."""
    tag = TAGS[arch]
    files = contents(binary, version, tag)
    record = ""
    for name in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[name][0]).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(files[name][0])}\n"
    name = f"{NAME}-{version}.dist-info/RECORD"
    record += f"{name},,\n"
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{NAME}-{version}-{tag}.whl"
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as wheel:
        for entry in [*sorted(files), name]:
            data, mode = files.get(entry, (record.encode(), 0o644))
            member = zipfile.ZipInfo(entry, date_time=(2020, 2, 2, 0, 0, 0))
            member.create_system = 3  # Unix: installers take the mode from what follows
            member.external_attr = (0o100000 | mode) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(member, data, compresslevel=9)
    part.replace(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, required=True, help="the compiled binary")
    parser.add_argument("--arch", choices=sorted(TAGS), required=True, help="what it was compiled for, in Go's name")
    parser.add_argument("--version", required=True, help="what `git describe --tags --always --dirty` says")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the folder to write to")
    args = parser.parse_args()
    print(build(args.binary, args.arch, pep440(args.version), args.out))


if __name__ == "__main__":
    main()
