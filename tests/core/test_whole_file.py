"""A file is whole or not there, and nothing is left beside it."""

import os

import pytest

from nas_sens.core.whole_file import remove_begun, whole_file


@pytest.mark.parametrize("is_synced", [False, True])
def test_the_file_is_there_when_the_block_ends(tmp_path, is_synced):
    path = tmp_path / "new" / "folder" / "a.bin"
    with whole_file(path, is_synced=is_synced) as file:
        file.write(b"ab")
        assert not path.exists()
    assert path.read_bytes() == b"ab"
    assert os.listdir(path.parent) == ["a.bin"]


def begin(path, error):
    with whole_file(path) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_earlier_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"earlier")
    with pytest.raises(error):
        begin(path, error)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FileExistsError):
        begin(tmp_path / "a" / "b.bin", ValueError)


def test_what_a_killed_process_had_begun_is_removed_and_no_other(tmp_path):
    for name in ("a[1].pt", "a[1].pt.7.part", "a1.pt.7.part", "b.pt.7.part"):
        (tmp_path / name).write_bytes(b"")
    remove_begun(tmp_path / "a[1].pt")
    assert sorted(os.listdir(tmp_path)) == ["a1.pt.7.part", "a[1].pt", "b.pt.7.part"]
