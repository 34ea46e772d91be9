"""Training: from annotated pictures to an ONNX file with its card.

`config` holds the recipe, `pictures` the annotated pictures, `samples` what the network sees in a step, `model` the
U-Net, `loop` the loop that reads from top to bottom, `export` the way to ONNX and `recipe` all of it in one call. The
loop and its photo samples import torch, numpy and Pillow only.
"""
