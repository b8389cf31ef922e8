"""Unpacks the members of a wheel that match one of the patterns: unpack_wheel.py WHEEL FOLDER PATTERN...

Prints the number of files and of bytes. In Python because a wheel is a deflated zip and Python is there anyway.
"""
import fnmatch
import sys
import zipfile

wheel, folder, patterns = sys.argv[1], sys.argv[2], sys.argv[3:]
files = size = 0
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if not member.is_dir() and any(fnmatch.fnmatchcase(member.filename, one) for one in patterns):
            archive.extract(member, folder)
            files += 1
            size += member.file_size
print(files, size)
