"""Crops and color changes by torchvision -> augmentations.json.

    python tests/golden/make_augmentations.py > tests/golden/augmentations.json

Made with torch 2.11.0 and torchvision 0.26.0. The image has 10 x 10 pixels; byte i of (height, width, channel) is
(31 i i + 7 i) mod 251. Crops are those of `RandomResizedCrop` with the box given; hue and saturation change HSV by
torchvision's own conversion, contrast stretches each channel about its mean (torchvision's own contrast takes the mean of
the gray image, PTR's takes each channel's).
"""

import json
import sys

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import _functional_tensor as tensor
from torchvision.transforms import functional

SIZE = 10
i = torch.arange(SIZE * SIZE * 3)
image = ((31 * i * i + 7 * i) % 251).to(torch.uint8).reshape(SIZE, SIZE, 3).permute(2, 0, 1).float() / 255


def numbers(planes):
    return [round(v, 7) for v in planes.flatten().tolist()]


def crop(x, y, width, height, out):
    made = functional.resized_crop(image, y, x, height, width, [out, out], InterpolationMode.BILINEAR, antialias=True)
    return {"x": x, "y": y, "width": width, "height": height, "out": out, "planes": numbers(made)}


def hsv(hue=0.0, saturation=1.0):
    h, s, v = tensor._rgb2hsv(image).unbind(0)
    return numbers(tensor._hsv2rgb(torch.stack([(h + hue) % 1, (s * saturation).clamp(0, 1), v])))


mean = image.mean((1, 2), keepdim=True)
hues = [{"turn": turn, "planes": numbers(functional.adjust_hue(image, turn))} for turn in (-0.03, 0.2, 0.5)]
json.dump({
    "crops": [crop(0, 0, 10, 10, 6), crop(2, 1, 5, 7, 6), crop(3, 4, 4, 3, 11), crop(9, 0, 1, 10, 4)],
    "hues": hues,
    "saturations": [{"factor": f, "planes": hsv(saturation=f)} for f in (0.5, 1.1, 3.0)],
    "contrasts": [{"factor": f, "planes": numbers(((image - mean) * f + mean).clamp(0, 1))} for f in (0.9, 2.0)],
    "brightnesses": [{"added": a, "planes": numbers((image + a).clamp(0, 1))} for a in (-0.2, 0.2)],
}, sys.stdout, separators=(",", ":"))
print()
