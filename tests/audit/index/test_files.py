"""What belongs to a repository: what git tracks, by its own files, and a walk where there is no git."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from runtime_lib.audit.index import files as files_module
from runtime_lib.audit.index import index
from runtime_lib.audit.index.files import find
from runtime_lib.audit.index.git import read_git
from runtime_lib.audit.index.ignored import is_ignored, rules
from runtime_lib.errors import DataError
from tests.support.trees import git, plant


def why(repo_or_files, path: str) -> str:
    return next((one.why for one in repo_or_files.left_out if one.path == path), "")


def test_only_what_is_tracked_counts(tree):
    root = tree({".gitignore": "secret.env\n", "a.py": "x = 1\n", "b/c d.py": "y = 2\n"})
    (root / "untracked.py").write_text("z = 3\n")
    (root / "secret.env").write_text("KEY=1\n")
    assert list(find(root).sizes) == [".gitignore", "a.py", "b/c d.py"]
    assert find(root).sizes["a.py"] == 6


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_each_version_of_the_index_is_read(tree, version):
    names = [f"folder {n}/{'x' * n}/file{n}.txt" for n in range(1, 40)]
    root = tree(dict.fromkeys(names, "text"))
    if version == "3":  # only extended flags make it 3
        git(root, "update-index", "--skip-worktree", names[0])
    else:
        git(root, "update-index", "--index-version", version)
    assert (root / ".git/index").read_bytes()[7] == int(version)
    assert sorted(find(root).sizes) == sorted(names)
    assert read_git(root).commit == git(root, "rev-parse", "HEAD").strip()


def test_hashes_of_256_bits(tmp_path):
    root = plant(tmp_path / "r", {"a.py": "", "b.py": ""}, commit=False)
    git(root, "init", "--quiet", "--object-format=sha256")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=All")
    assert list(find(root).sizes) == ["a.py", "b.py"]
    assert len(read_git(root).commit) == 64


def test_a_damaged_or_split_index_falls_back_to_the_folder(tree):
    root = tree({"a.py": "", "b.py": ""})
    whole = (root / ".git/index").read_bytes()
    for damaged in (
        b"",
        b"DIRC",
        whole[:100],
        b"DIRC\0\0\0\x09" + whole[8:],
        whole[:8] + b"\xff" * 4 + whole[12:],
    ):
        (root / ".git/index").write_bytes(damaged)
        found = find(root)
        assert list(found.sizes) == ["a.py", "b.py"]
        assert "cannot be read" in why(found, ".git/index")
    (root / ".git/index").write_bytes(whole)
    git(root, "update-index", "--split-index")
    found = find(root)
    assert list(found.sizes) == ["a.py", "b.py"]
    assert "split" in why(found, ".git/index")


def test_nothing_outside_is_listed_whatever_the_index_says(tree, tmp_path):
    (tmp_path / "outside.py").write_text("x")
    root = tree({"aa/outside.py": "x", "b.py": ""})
    index_file = root / ".git/index"
    index_file.write_bytes(index_file.read_bytes().replace(b"aa/outside.py", b"../outside.py"))
    found = find(root)
    assert list(found.sizes) == ["b.py"]
    assert "lead out" in why(found, ".")


def test_the_commit_is_found_loose_packed_and_without_a_branch(tree):
    root = tree({"a": "x"})
    commit = git(root, "rev-parse", "HEAD").strip()
    assert read_git(root).commit == commit
    git(root, "pack-refs", "--all")
    assert not (root / ".git/refs/heads/main").exists()
    assert read_git(root).commit == commit
    git(root, "checkout", "--quiet", "--detach")
    assert read_git(root).commit == commit
    (root / ".git/HEAD").write_text("ref: refs/../../../etc/passwd\n")
    assert read_git(root).commit == ""


def test_a_worktree_is_a_repository_and_a_file_that_points_elsewhere_is_not(tree, tmp_path):
    root = tree({"a.py": "x = 1"})
    git(root, "worktree", "add", "--quiet", str(tmp_path / "other"))
    (tmp_path / "other/untracked").write_text("")
    found = find(tmp_path / "other")
    assert found.git is not None
    assert list(found.sizes) == ["a.py"]
    assert found.git.commit == git(root, "rev-parse", "HEAD").strip()
    foreign = plant(tmp_path / "foreign", {".git": f"gitdir: {root}/.git\n", "b.py": ""}, commit=False)
    assert find(foreign).git is None
    assert list(find(foreign).sizes) == ["b.py"]
    linked = plant(tmp_path / "linked", {".git": PurePosixPath(root / ".git"), "c.py": ""}, commit=False)
    assert find(linked).git is None


def test_submodules_are_named_and_not_entered(tree, tmp_path):
    part = tree({"part.py": ""})
    root = tree({"own.py": ""})
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(part), "libs/part")
    git(root, "commit", "--quiet", "--message=Part")
    assert (root / "libs/part/part.py").exists()
    repo = index(root)
    assert repo.submodules == ("libs/part",)
    assert sorted(repo.files) == [".gitmodules", "own.py"]
    inner = find(root / "libs/part")  # its `.git` is a file that points into the repository above
    assert list(inner.sizes) == ["part.py"]
    (root / ".git").rename(root / "gone")
    assert find(root).submodules == ("libs/part",)
    assert "libs/part/part.py" not in find(root).sizes


def test_a_cut_history_is_told(tree, tmp_path):
    root = tree({"a": "1"})
    (root / "a").write_text("2")
    git(root, "commit", "--all", "--quiet", "--message=Two")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{root}", "shallow")
    assert not index(root).shallow
    assert index(tmp_path / "shallow").shallow
    assert index(tmp_path / "shallow").commit == index(root).commit


def test_files_of_a_merge_count_once(tree):
    root = tree({"a": "0"})
    git(root, "checkout", "--quiet", "-b", "other")
    (root / "a").write_text("1")
    git(root, "commit", "--all", "--quiet", "--message=1")
    git(root, "checkout", "--quiet", "main")
    (root / "a").write_text("2")
    git(root, "commit", "--all", "--quiet", "--message=2")
    with pytest.raises(Exception, match="merge"):
        git(root, "merge", "other")
    assert list(find(root).sizes) == ["a"]


def test_links_are_not_followed_whether_out_in_a_loop_or_to_a_neighbour(tree, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").write_text("x = 1")
    root = tree(
        {
            "real/a.py": "x = 1",
            "copy.py": PurePosixPath("real/a.py"),
            "out.py": PurePosixPath("../outside/secret.py"),
            "folder": PurePosixPath("../outside"),
            "loop": PurePosixPath("."),
            "real/self": PurePosixPath("self"),
        }
    )
    assert list(find(root).sizes) == ["real/a.py"]
    (root / ".git/index").unlink()
    assert list(find(root).sizes) == ["real/a.py"]


def test_a_tracked_folder_that_became_a_link_is_left_out(tree, tmp_path):
    root = tree({"data/a.py": "x = 1", "b.py": ""})
    (root / "data").rename(tmp_path / "moved")
    (root / "data").symlink_to(tmp_path / "moved")
    found = find(root)
    assert list(found.sizes) == ["b.py"]
    assert "not in the working tree" in why(found, "data/a.py")


def test_what_is_no_regular_file_does_not_block(tree):
    root = tree({"pipe.py": "x", "a.py": ""})
    (root / "pipe.py").unlink()
    os.mkfifo(root / "pipe.py")
    repo = index(root)
    assert list(repo.modules) == ["a.py"]
    with pytest.raises(OSError, match="regular"):
        files_module.read(root, "pipe.py", 10)
    (root / "late.py").symlink_to(root / "a.py")  # after the files were listed
    with pytest.raises(OSError, match="symbolic"):
        files_module.read(root, "late.py", 10)


def test_a_missing_file_is_named(tree):
    root = tree({"gone.py": "", "a.py": ""})
    (root / "gone.py").unlink()
    assert "working tree" in why(index(root), "gone.py")
    assert list(index(root).files) == ["a.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tree):
    root = tree({"a.py": "", "b.py": "x = 1"})
    (root / "b.py").chmod(0)
    assert "cannot be read" in why(index(root), "b.py")


def test_a_file_that_cannot_be_read_is_named(tree, monkeypatch):
    root = tree({"a.py": "", "b.py": "x = 1"})

    def refuse(path, *args, **kwargs):
        if str(path).endswith("b.py"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    real = os.open
    monkeypatch.setattr(os, "open", refuse)
    repo = index(root)
    assert why(repo, "b.py") == "cannot be read: Permission denied"
    assert list(repo.modules) == ["a.py"]


def test_of_too_many_files_those_that_are_read_come_first(tree, monkeypatch):
    root = tree({**{f"a{n}.png": "x" for n in range(20)}, "z.py": "", "y.yaml": ""})
    monkeypatch.setattr(files_module, "MOST", 5)
    found = find(root)
    assert {"z.py", "y.yaml"} < set(found.sizes)
    assert len(found.sizes) == 5
    assert why(found, ".") == "17 of 22 files, too many"
    (root / ".git").rename(root / "elsewhere")
    found = find(root)
    assert len(found.sizes) == 5
    assert "all after the first 5" in why(found, ".")


def test_names_that_are_no_text_are_left_out(tree):
    root = tree({"a.py": ""})
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff.py"))).write_text("")
    (root / "line\nbreak.py").write_text("")
    git(root, "add", "--all")
    found = find(root)
    assert list(found.sizes) == ["a.py"]
    assert why(found, ".").startswith("2 whose names")
    (root / ".git/index").unlink()
    assert list(find(root).sizes) == ["a.py"]


def test_without_git_what_is_ignored_goes_unless_it_is_read(tree):
    root = tree(
        {
            ".gitignore": "data/\n*.bin\n!keep.bin\n/config.yaml\n",
            "data/a.csv": "1",
            "data/make.py": "x = 1",
            "m.bin": "0",
            "keep.bin": "0",
            "config.yaml": "a: 1",
            "sub/.gitignore": "*.csv\n",
            "sub/b.csv": "1",
            "c.csv": "1",
        },
        commit=False,
    )
    repo = index(root)
    assert not repo.git
    # An export of a repository has what was tracked although it is ignored: code and settings count.
    assert set(repo.files) == {
        ".gitignore",
        "c.csv",
        "config.yaml",
        "data/make.py",
        "keep.bin",
        "sub/.gitignore",
    }


def test_without_git_environments_builds_and_other_repositories_are_not_entered(tree):
    root = tree(
        {
            "a.py": "",
            "my-env/pyvenv.cfg": "",
            "my-env/lib/x.py": "",
            ".venv/x.py": "",
            "node_modules/x/y.py": "",
            "__pycache__/x.py": "",
            "mlruns/0/x.yaml": "",
            "wandb/run-20240101_1/files/config.yaml": "",
            "build/lib/a.py": "",
            "other/.git/HEAD": "ref: refs/heads/main",
            "other/b.py": "",
        },
        commit=False,
    )
    assert list(index(root).files) == ["a.py"]


def test_tracked_copies_of_others_are_listed_and_not_read(tree):
    root = tree(
        {
            "a.py": "",
            "third_party/lib/b.py": "",
            "src/vendor/c.py": "",
            "mlruns/0/1/artifacts/model/MLmodel": "a: 1",
            "vendor.py": "",
            "docs/node_modules/d.json": "{}",
        }
    )
    repo = index(root)
    assert list(repo.modules) == ["a.py", "vendor.py"]
    assert repo.documents == {}
    assert "src/vendor/c.py" in repo.files
    assert why(repo, "third_party").startswith("vendored")


def test_rules_of_gitignore():
    def ignored(path, *lines, folder=False):
        return is_ignored(path, folder, rules("", lines))

    assert ignored("a/b.csv", "*.csv")
    assert ignored("a/b/c", "a/**")
    assert ignored("x/y/z.txt", "x/**/z.txt")
    assert ignored("x/z.txt", "x/**/z.txt")
    assert not ignored("a/b", "/b")
    assert not ignored("a/b", "b/")
    assert ignored("a/b", "b/", folder=True)
    assert not ignored("a/b.csv", "*.csv", "!b.csv")
    assert ignored("f1", "f[0-9]")
    assert not ignored("fx", "f[!a-z]")
    assert not ignored("# no", "# no")
    assert ignored("#yes", "\\#yes")
    assert not ignored("a" * 200, "*a" * 100 + "b")
    assert is_ignored("s/a.csv", False, rules("s", ["*.csv"]))
    assert not is_ignored("a.csv", False, rules("s", ["*.csv"]))


def test_an_empty_folder_and_one_that_is_none(tmp_path):
    (tmp_path / "empty").mkdir()
    repo = index(tmp_path / "empty")
    assert (repo.files, repo.git, repo.name) == ({}, False, "empty")
    with pytest.raises(DataError, match="cannot be audited"):
        index(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be audited"):
        index(tmp_path / "file")


def test_nothing_is_written(tree):
    root = tree({"a.py": "import os", "b.ipynb": "{}", "c.yaml": "a: 1"})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    index(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_code_has_a_bound_in_all(tree, monkeypatch):
    from runtime_lib.audit.index import contents

    root = tree({"a/b/c/deep.py": "x = 1\n", "main.py": "x = 1\n", "a/b.py": "x = 1\n"})
    monkeypatch.setitem(contents.TOGETHER, "python", 13)
    repo = index(root)
    assert list(repo.modules) == ["a/b.py", "main.py"]
    assert why(repo, ".") == "1 files of python, too many in all"
