"""What each extra is for, and how the line that installs it is named where it is not there."""

import json
import shutil
import socket
import time
from urllib.error import URLError
from urllib.request import urlopen

import postgres_server
import pytest
from environments import ROOT, Environment

EXPORT = ("sret-search", "export", "studies/smoke.yaml", "--trial", "best", "--out", "exported")


def postgres(environment: Environment) -> None:
    if postgres_server.MISSING:
        stored(environment, "postgresql://me@127.0.0.1:1/db")
        _, error = environment.run("sret-search", "run", "studies/stored.yaml", code=2)
        assert "studies/stored.yaml" in error and "127.0.0.1:1" in error
        return
    with postgres_server.running() as server:
        stored(environment, server.url())
        assert (
            "4 of 4 trials done" in environment.run("sret-search", "run", "studies/stored.yaml")[0]
        )


def stored(environment: Environment, url: str) -> None:
    text = (environment.work / "studies" / "smoke.yaml").read_text(encoding="utf-8")
    named = text.replace("study: smoke", "study: stored")
    path = environment.work / "studies" / "stored.yaml"
    path.write_text(f"{named}storage: {{url: '{url}'}}\n", encoding="utf-8")


def dashboard(environment: Environment) -> None:
    database = "sqlite:///file:runs/smoke/study.db?mode=ro&uri=true"
    page = served(environment, "api/studies", "optuna-dashboard", database)
    assert [one["study_name"] for one in json.loads(page)["study_summaries"]] == ["smoke"]


def served(environment: Environment, path: str, *command: str) -> bytes:
    """A page of a server on this machine, as soon as it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = environment.start(*command, "--port", str(port))
    try:
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as page:
                    text: bytes = page.read()
            except URLError:
                assert process.poll() is None
                time.sleep(0.2)
                continue
            if text != b"{}":  # TensorBoard answers before it has read
                return text
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(60)


def tensorboard(environment: Environment) -> None:
    text = (environment.work / "studies" / "smoke.yaml").read_text(encoding="utf-8")
    named = text.replace("study: smoke", "study: curves")
    path = environment.work / "studies" / "curves.yaml"
    path.write_text(f"{named}tensorboard: true\n", encoding="utf-8")
    environment.run("sret-search", "run", "studies/curves.yaml")
    page = served(
        environment, "data/plugin/scalars/tags", "tensorboard", "--logdir", "runs/curves/trials"
    )
    shown = json.loads(page)
    assert len(shown) == 4
    assert all(any("val_accuracy" in tag for tag in tags) for tags in shown.values())


def completion(environment: Environment) -> None:
    asked = (
        'eval "$(sret-search completion)"; COMP_LINE="sret-search re"; COMP_POINT=${#COMP_LINE};'
        ' COMP_TYPE=9; _python_argcomplete sret-search; echo "${COMPREPLY[@]}"'
    )
    assert environment.run("bash", "-c", asked)[0].split() == ["report"]
    for shell in ("zsh", "fish", "tcsh"):
        assert "sret-search" in environment.run("sret-search", "completion", shell)[0]


IMAGES = """
import numpy as np, torch
from sret_search import load
torch.set_grad_enabled(False)
model = load("exported").eval()
images = torch.randn(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
"""


def onnx(environment: Environment) -> None:
    environment.run(*EXPORT, "--format", "onnx", "--format", "torch_export")
    environment.python(f"""{IMAGES}
import onnxruntime
session = onnxruntime.InferenceSession("exported/model.onnx")
(found,) = session.run(None, {{"images": images.numpy()}})
np.testing.assert_allclose(found, model(images).numpy(), rtol=1e-5, atol=1e-5)
found = torch.export.load("exported/model.pt2").module()(images)
torch.testing.assert_close(found, model(images), rtol=1e-5, atol=1e-5)
""")


def hub(environment: Environment) -> None:
    environment.run(*EXPORT)
    environment.python(f"""{IMAGES}
from sret_search.export.hub import HubSReT
HubSReT.of(model).save_pretrained("hub")
for folder in ("hub", "exported"):
    assert torch.equal(HubSReT.from_pretrained(folder)(images), model(images))
assert torch.equal(load("hub")(images), model(images))
""")


def timm(environment: Environment) -> None:
    environment.run(*EXPORT)
    environment.python(f"""{IMAGES}
import sret_search.export.timm  # first: timm imports torchvision, which may not fit torch
import timm
tiny = timm.create_model("sret_t", num_classes=10, in_chans=1)
assert tiny(torch.zeros(1, 1, 224, 224)).shape == (1, 10)
maps = timm.create_model("sret_t", features_only=True, out_indices=(0, 1))
assert [part.shape[1] for part in maps(torch.zeros(1, 3, 224, 224))] == maps.feature_info.channels()
mine = timm.create_model("sret", folder="exported", pretrained=True)
torch.testing.assert_close(mine.eval()(images), model(images))
""")


def browser(environment: Environment) -> None:
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("chromium is not installed: apt-get install chromium chromium-driver")
    # The browser's own tests need the extra `test` too: `make test-browser`.
    environment.python("""
import shutil, time
from pathlib import Path
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium")
for flag in ("--headless", "--no-sandbox", "--disable-gpu"):
    options.add_argument(flag)
driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
driver.get(Path("reports/smoke/report.html").resolve().as_uri())
end = time.monotonic() + 120
while not driver.execute_script("return document.documentElement.classList.contains('drawn')"):
    assert time.monotonic() < end
    time.sleep(0.2)
driver.quit()
""")


def docs(environment: Environment) -> None:
    site, settings = environment.work / "site", ROOT / "mkdocs.yml"
    command = ("mkdocs", "build", "--strict", "--config-file", str(settings))
    said = environment.run(*command, "--site-dir", str(site))[1]
    assert all(line.startswith("INFO ") for line in said.splitlines())
    assert (site / "tutorial" / "index.html").is_file()
    assert (site / "reference" / "study" / "index.html").is_file()


def test(environment: Environment) -> None:
    settings, one = ROOT / "pyproject.toml", ROOT / "tests" / "test_architecture.py"
    tests = ("pytest", "-p", "no:cacheprovider", "-c", str(settings), str(one))
    assert "[100%]" in environment.run(*tests)[0]
    environment.run("ruff", "check", "--no-cache", str(ROOT / "tests"))
    environment.run("mypy", "--no-incremental", "--package", "sret_search.architecture")


def dev(environment: Environment) -> None:
    test(environment)
    docs(environment)


CHECKS = {
    "postgres": postgres, "dashboard": dashboard, "tensorboard": tensorboard,
    "completion": completion, "onnx": onnx, "hub": hub, "timm": timm, "test": test,
    "browser": browser, "docs": docs, "dev": dev,
}  # fmt: skip
FOR_DEVELOPERS = ("test", "browser", "docs", "dev")
COMMANDS = {
    "completion": ("sret-search", "completion"),
    "onnx": (*EXPORT, "--format", "onnx"),
    "postgres": ("sret-search", "run", "studies/stored.yaml"),
}
MODULES = {"hub": "sret_search.export.hub", "timm": "sret_search.export.timm"}
PROGRAMS = {"dashboard": "optuna-dashboard", "tensorboard": "tensorboard"}
"""Of others: the shell says that they are not there, and `doctor` how to install them."""


def without(extra: str, bare: Environment) -> dict[str, str | int]:
    """How an environment without it says what to install: by which command, with which exit code,
    in which line."""
    line = f"pip install 'sret-search[{extra}]'"
    if extra in MODULES:
        asked, code = f"import {MODULES[extra]}", 1  # Python's own, of any import that fails
        *_, said = bare.python(asked, code=code)[1].splitlines()
    elif extra in COMMANDS:
        stored(bare, "postgresql://me@127.0.0.1:1/db")
        asked, code = " ".join(COMMANDS[extra]), 2
        (said,) = bare.run(*COMMANDS[extra], code=code)[1].splitlines()
        assert not (bare.work / "exported").exists()
    else:
        assert not (bare.bin / PROGRAMS[extra]).exists()
        asked, code = "sret-search doctor --no-ray", 0
        (said,) = (row for row in bare.run(*asked.split())[0].splitlines() if "[" in row)
        assert extra in said.split("[")[1].split("]")[0].split(",")
        return {"asked": asked, "code": code, "said": said.strip(" →")}
    assert said.endswith(line), said
    return {"asked": asked, "code": code, "said": said}
