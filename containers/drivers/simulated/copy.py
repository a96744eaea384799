"""A container's tree, copied to another node as it is, and proof that the copy is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from .chroot import every_entry, lstat, names_in, opened_folder
from .rootfs import PIECE

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def copy_tree(source: Path, target: Path) -> None:
    """Modes, owners and times are kept; links, pipes and devices are copied as such."""
    target.mkdir()
    with opened_folder(str(source)) as old, opened_folder(str(target)) as new:
        _copy_entries(old, new)
        _keep_marks(".", os.fstat(old), new)


def _copy_entries(old: int, new: int) -> None:
    for name in names_in(old):
        found = lstat(name, old)
        if stat.S_ISDIR(found.st_mode):
            os.mkdir(name, dir_fd=new)
            with opened_folder(name, old) as inner, opened_folder(name, new) as copy:
                _copy_entries(inner, copy)
        elif stat.S_ISREG(found.st_mode):
            with (
                os.fdopen(os.open(name, _READ, dir_fd=old), "rb") as content,
                os.fdopen(os.open(name, _MAKE, dir_fd=new), "wb") as copied,
            ):
                shutil.copyfileobj(content, copied, PIECE)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=old), name, dir_fd=new)
        else:
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=new)
        _keep_marks(name, found, new)


def _keep_marks(name: str, found: os.stat_result, at: int) -> None:
    made = lstat(name, at)
    if (made.st_uid, made.st_gid) != (found.st_uid, found.st_gid):
        os.chown(name, found.st_uid, found.st_gid, dir_fd=at, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=at)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=at, follow_symlinks=False)


def fingerprint(root: Path) -> str:
    """The same for two trees only where names, kinds, modes, owners and contents are."""
    sums = []
    with opened_folder(str(root)) as base:
        for folder, path, found in every_entry(base):
            name, content = path.rpartition("/")[2], ""
            if stat.S_ISLNK(found.st_mode):
                content = os.readlink(name, dir_fd=folder)
            elif stat.S_ISREG(found.st_mode):
                with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            sums.append((path, found.st_mode, found.st_uid, found.st_gid, content))
    return hashlib.sha256(repr(sorted(sums)).encode()).hexdigest()
