"""Every snippet of README and docs is run by a test: here, or by the one that is named here.

Fast: no snippet is left over. Slow: all commands, in the order of their pages, on shortened studies
and made-up images; and the Python that uses what they made.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_own import FILES
from test_pages import BLOCK, PAGES, commands, ids, told

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "cluster.md": ("tests/execution/test_ray_cluster.py", r"(sh|bash|yaml)\n"),
    "own.md": ("tests/test_own.py", r"(python\n# \w+\.py|yaml\n(# \w+\.yaml|compute:))\n"),
    "python.md": ("tests/test_api.py", r"python\n"),
}
"""Pages that are run from their first snippet to their last one, and how those begin that are."""
SERVED = {"optuna-dashboard": "dashboard", "tensorboard": "tensorboard"}
"""Programs of extras, which `tests/installed/checks.py` starts as the pages do."""
PYTHON = ("architectures.md", "exporting.md")
"""Pages whose Python is run here."""
LISTS = ("sret_search/", "photos/", "imagenet/", "runs/<study>/", "# yaml-language-server:")
"""How blocks begin that show files, and are nothing to run."""
EXTRAS = {"onnxruntime": "onnxscript", "export.hub": "huggingface_hub", "import timm": "timm"}
"""What Python says that needs a package which is not always there."""
SETS_UP = ("python -m venv", "source .venv")


def lines(text):
    """The lines of a block, those that go on in the next one joined."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def is_run(line):
    """Whether a test runs a line of a shell."""
    first, *words = line.split(" #")[0].split()
    if told(line) is not None or line.startswith(SETS_UP):
        return True
    if first == "make":
        return f"\n{words[0]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if first in SERVED:
        checked = (ROOT / "tests/installed/checks.py").read_text(encoding="utf-8")
        return f'"{first}"' in checked and f'"{SERVED[first]}"' in checked
    if first.endswith("pip") and words[0] == "install":
        file = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        extras = re.findall(r"\[([^\]]+)\]", line)
        return set(extras) <= file["project"]["optional-dependencies"].keys()
    return line == "pytest" or (first == "python" and words[0].startswith("benchmarks/"))


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_no_snippet_is_written_in_a_form_that_is_not_read(page):
    """Markdown has others: fences of tildes, with attributes, in lists, and indented lines."""
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^.*(?:`{3}|~{3}).*$", text, re.MULTILINE)
    assert len(fences) == 2 * len(BLOCK.findall(text))
    assert re.findall(r"\n\n {4,}.*", BLOCK.sub("", text)) == []


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_no_snippet_is_left_over(page):
    if page.name in ELSEWHERE:
        reader, begins = ELSEWHERE[page.name]
        assert f'"{page.name}"' in (ROOT / reader).read_text(encoding="utf-8")
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            assert re.match(begins, f"{kind}\n{text}"), f"no test runs {text}"
        return
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        assert kind in ("", "sh", "bash", "yaml", "python"), f"no test runs {kind}"
        if kind == "python":
            assert page.name in PYTHON, f"no test runs {text}"
        elif kind != "yaml" and not text.startswith(LISTS):  # YAML: test_pages.py
            left = [line for line in lines(text) if not is_run(line)]
            assert left == [], f"no test runs {left}"


SHORTER = (
    (r"epochs: \d+", "epochs: 2"),  # a scheduler needs one after its first rung
    (r"warmup: \d+", "warmup: 0"),
    (r"seeds: \d+", "seeds: 1"),
    (r"confirm: \{seeds: 1", "confirm: {seeds: 2"),
    (r"recipe: small", "recipe: {name: small, epochs: 2}"),
    (r"\{name: small, epochs: 2", "{name: small, epochs: 2, warmup: 0"),
    (r"choices: \[16, 27\]", "choices: [2, 3]"),
    (r", 11, 23, 52, 114, 250\]", ", 6, 7, 8, 9, 10]"),
    (r"choices: \[5, 250\]", "choices: [5, 10]"),
    (r"trials: (16|40|200)\b", "trials: 6"),
    # Data that would be fetched, and machines that are not there.
    (r"name: cifar10, root: [\w/]+(, download: true)?", "imagefolder: cifar, image_size: 32"),
    (r"address: auto, concurrent: auto, gpus_per_trial: auto", "address: local"),
    (r"/mnt/shared/trials", "shared_trials"),
)
STANDS_FOR = {
    "STUDY": "studies/smoke.yaml", "NAME_OR_FILE": "sret_t", "DATA": "studies/smoke.yaml",
    "MODEL": "runs/smoke/trials/00003", "cuda": "cpu",
}  # fmt: skip


def shortened(text):
    for old, new in SHORTER:
        text = re.sub(old, new, text)
    return text


def drawn(folder, classes, images, side):
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(images):
            picture = random.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(picture).save(folder / name / f"{i:04}.jpg")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with all that the pages take for granted, and the files that they have written."""
    from ruamel.yaml import YAML

    from sret_search.architecture import Architecture
    from sret_search.model import SReT, save

    folder = tmp_path_factory.mktemp("world")
    for path in (*ROOT.glob("studies/*.yaml"), *ROOT.glob("spaces/*.yaml")):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(shortened(path.read_text(encoding="utf-8")), encoding="utf-8")
    for text in re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/tutorial.md").read_text(), re.DOTALL
    ):
        name = text.splitlines()[0].removeprefix("# ")
        (folder / name).write_text(shortened(text), encoding="utf-8")
    drawn(folder / "photos", ("cat", "dog"), 20, 64)
    drawn(folder / "cifar", [str(number) for number in range(10)], 12, 32)
    for part in ("train", "val"):
        drawn(folder / "data" / part, [f"n{number:08}" for number in range(1000)], 1, 8)
    (folder / "imagenet").symlink_to("data")
    for name in ("sret_t:SReT_T.pth", "sret_t_unsliced:SReT_T_wo_slice.pth"):
        official(*name.split(":"), folder)
    space = YAML(typ="safe").load(folder / "photos_space.yaml")
    save(SReT(Architecture.from_dict(space["architecture"])), folder / "model.safetensors")
    yield folder
    shutil.rmtree(folder)


def official(variant, name, folder):
    """A checkpoint as the authors publish them, of a model that was not trained."""
    import torch

    from sret_search.architecture.variants import VARIANTS
    from sret_search.model import SReT
    from sret_search.model.official import official_keys

    a = VARIANTS[variant]
    weights = SReT(a).state_dict()
    state = {key: value for name, value in weights.items() for key in official_keys(name, a)}
    torch.save({"model": state}, folder / name)


def call(world, words):
    done = subprocess.run(
        [sys.executable, "-m", "sret_search", *words],
        cwd=world,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"


def run_before(world, words):
    """Run the studies that a command takes the trials of."""
    if words[0] in ("report", "export", "evaluate"):
        for word in words[1:]:
            study = re.sub(r"^runs/(\w+)/.*", r"studies/\1.yaml", word)
            name = Path(study).stem
            if study.endswith(".yaml") and not (world / "runs" / name).exists():
                call(world, ["run", study])


def skip_without(package):
    """Looked for, not imported: the page says what is to be imported first."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: make test-snippets")


def exported(world, *formats):
    """What the page on exporting makes, where no command of it was run before."""
    shutil.rmtree(world / "exported", ignore_errors=True)
    words = ["export", "studies/depth_scaling.yaml", "--trial", "best", "--out", "exported"]
    run_before(world, words)
    call(world, [*words, *(part for one in formats for part in ("--format", one))])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "cluster.md" and commands(page)], ids=str
)
def test_the_commands_of_a_page_run(page, world):
    for words in commands(page):
        words = [STANDS_FOR.get(word, word) for word in words]
        if "onnx" in words:
            skip_without("onnxscript")
        if words[0] == "export":
            shutil.rmtree(world / words[words.index("--out") + 1], ignore_errors=True)
        if words[:2] in (["evaluate", "exported"], ["run", "exported/study.yaml"]):
            exported(world)
        run_before(world, words)
        call(world, words)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_of_the_tutorial_for_a_cluster_runs_on_one_machine(world):
    call(world, ["run", "cluster.yaml"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_on_own_code_is_a_study_that_runs_and_tells_its_callback(tmp_path):
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with (tmp_path / "study.yaml").open("a", encoding="utf-8") as study:
        study.write('compute: {callbacks: ["lines:Lines"]}\n')
    call(tmp_path, ["run", "study.yaml"])
    told_of = (tmp_path / "lines.txt").read_text(encoding="utf-8").splitlines()
    assert len(told_of) == 3 * 4  # trials and epochs


SNIPPETS = [
    (page.name, text)
    for page in PAGES
    if page.name in PYTHON
    for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
    if kind == "python"
]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("page", "text"), SNIPPETS)
def test_the_python_of_a_page_runs(page, text, world, monkeypatch):
    import torch

    from sret_search import load

    for said, package in EXTRAS.items():
        if said in text:
            skip_without(package)
    monkeypatch.chdir(world)
    if page == "exporting.md":
        exported(world, "torch_export", *(["onnx"] if "onnx" in text else []))
        model = load("exported")
        size = model.architecture.image_size
        known = {"images": torch.randn(3, model.architecture.in_channels, size, size)}
    else:
        known = {}
    exec(text.replace("push_to_hub(", "save_pretrained("), known)
    if "logits" in known:
        found, wanted = torch.as_tensor(known["logits"]), model(known["images"])
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_benchmarks_of_a_page_take_its_options():
    page = ROOT / "docs" / "searching.md"
    for _, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in lines(text):
            if line.startswith("python benchmarks/"):
                script, *options = line.split(" #")[0].split()[1:]
                asked = [sys.executable, script, *options, "--help"]
                done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                named = [option for option in options if option.startswith("--")]
                assert all(option in done.stdout for option in named)
