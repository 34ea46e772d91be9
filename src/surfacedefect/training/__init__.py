"""Training: from annotated pictures to an ONNX file with its card.

`config` holds the recipe, `pictures` the annotated pictures, `samples` what the network sees in a step, `model` the
U-Net, `loop` the loop that reads from top to bottom and `export` the way to ONNX. The loop and its samples import torch,
numpy and Pillow only.
"""
