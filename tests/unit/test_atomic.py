"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from xmcbench.atomic import read_json, replacing, write_json, write_text


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.txt"
    write_text(file, "old\n")
    with pytest.raises(RuntimeError), replacing(file) as tmp:
        tmp.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old\n"
    assert [f.name for f in file.parent.iterdir()] == ["file.txt"]


def test_the_name_appears_only_with_its_content(tmp_path: Path) -> None:
    file = tmp_path / "array.npy"
    with replacing(file) as tmp:
        # Writers that choose a format by suffix must see the real one.
        assert tmp.suffix == ".npy" and tmp.parent == file.parent
        tmp.write_bytes(b"all")
        assert not file.exists()
    assert file.read_bytes() == b"all" and len(list(tmp_path.iterdir())) == 1


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1.5, "a": "é"})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": "é",\n  "b": 1.5\n}\n'
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"b": float("nan")})
    assert read_json(tmp_path / "a.json") == {"a": "é", "b": 1.5}
