"""Models from elsewhere, and for elsewhere: PyTorch's layout, PyTorch's modules, GPT-2 and BERT folders.

Nothing here is imported by the model or its training; what needs another library imports it when it is called.
"""

from transformer.interop.bert import is_bert, load_bert
from transformer.interop.bert_model import Bert
from transformer.interop.encoder import Encoder, encoder_layout, from_encoder_layout
from transformer.interop.filling import Filled, Filler
from transformer.interop.gpt2 import load_gpt2
from transformer.interop.layout import from_torch_layout, load_torch_layout, save_torch_layout, torch_layout
from transformer.interop.onnx import export_onnx
from transformer.interop.pretrained import Pretrained
from transformer.interop.torch import from_torch, to_torch

__all__ = [
    "Bert",
    "Encoder",
    "Filled",
    "Filler",
    "Pretrained",
    "encoder_layout",
    "export_onnx",
    "from_encoder_layout",
    "from_torch",
    "from_torch_layout",
    "is_bert",
    "load_bert",
    "load_gpt2",
    "load_torch_layout",
    "save_torch_layout",
    "to_torch",
    "torch_layout",
]
