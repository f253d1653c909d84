"""The built site as one file to download and read without a network: `python docs/archive.py`."""

import zipfile
from pathlib import Path

SITE = Path(__file__).resolve().parent / "_build" / "html"
NAME = "tinygrad_edu-site.zip"
ANY_TIME = (2000, 1, 1, 0, 0, 0)  # the same bytes for the same pages


def pack(site, target):
    leave = {"objects.inv", ".buildinfo", target.name}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(each for each in site.rglob("*") if each.is_file() and each.name not in leave):
            entry = zipfile.ZipInfo(f"tinygrad_edu/{file.relative_to(site).as_posix()}", ANY_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    pack(SITE, SITE / NAME)
