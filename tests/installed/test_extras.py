"""Each extra, alone beside what everyone has, does what it is for; without it the error says how to
install it."""

import json
import shutil
import socket
import time
import tomllib
from urllib.error import URLError
from urllib.request import urlopen

import postgres_server
import pytest
from environments import ROOT, Environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
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
import sret_search.export.timm
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
    command = (
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(settings),
        "--site-dir",
        str(site),
    )
    warned = environment.run(*command, "--quiet")[1]
    assert warned.strip() == ""
    assert (site / "tutorial" / "index.html").is_file()
    assert (site / "reference" / "study" / "index.html").is_file()


def test(environment: Environment) -> None:
    (environment.work / "tests").mkdir()
    for name in ("pyproject.toml", "tests/conftest.py", "tests/test_package.py"):
        shutil.copy(ROOT / name, environment.work / name)
    assert "passed" in environment.run("pytest", "tests")[0]
    environment.run("ruff", "check", "--select", "F", "tests")
    environment.run("mypy", "--config-file=", "--command", "x: int = 1")


def dev(environment: Environment) -> None:
    test(environment)
    docs(environment)


test.__test__ = False  # the check of that extra
CHECKS = {
    "postgres": postgres, "dashboard": dashboard, "tensorboard": tensorboard,
    "completion": completion, "onnx": onnx, "hub": hub, "timm": timm, "test": test,
    "browser": browser, "docs": docs, "dev": dev,
}  # fmt: skip
MISSING = {
    "completion": ("sret-search", "completion"),
    "onnx": (*EXPORT, "--format", "onnx"),
    "postgres": ("sret-search", "run", "studies/stored.yaml"),
}
IMPORTED = ("hub", "timm")


def test_every_extra_is_checked():
    assert CHECKS.keys() == PROJECT["optional-dependencies"].keys()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("extra", CHECKS)
def test_an_extra_alone_does_what_it_is_for(extra, bare, wheel, place):
    CHECKS[extra](bare.with_extra(extra, wheel, place))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("extra", MISSING)
def test_a_command_without_its_extra_says_how_to_install_it(extra, bare):
    stored(bare, "postgresql://me@127.0.0.1:1/db")
    _, error = bare.run(*MISSING[extra], code=2)
    assert len(error.splitlines()) == 1
    assert error.rstrip().endswith(f"pip install 'sret-search[{extra}]'")
    assert not (bare.work / "exported").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("extra", IMPORTED)
def test_a_module_without_its_extra_says_how_to_install_it(extra, bare):
    _, error = bare.python(f"import sret_search.export.{extra}", code=1)
    assert error.rstrip().endswith(f"pip install 'sret-search[{extra}]'")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_doctor_names_every_extra_of_a_user_that_is_missing(bare):
    said = bare.run("sret-search", "doctor", "--no-ray")[0]
    users = [name for name in CHECKS if name not in ("test", "browser", "docs", "dev")]
    listed = sorted(users, key=list(PROJECT["optional-dependencies"]).index)
    assert f"pip install 'sret-search[{','.join(listed)}]'" in said
