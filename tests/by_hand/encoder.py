"""The lessons' encoder: a whole sequence in, one answer out. Post-norm, pooled, padding masked."""

from .embedding import onehot
from .loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .model import transformer_backward, transformer_forward


def encoder(p, tokens, targets, *, num_heads, pooling="first", **settings):
    """Mean cross-entropy of the answers, and the gradient of each parameter. tokens (B, T), targets (B,)."""
    z, saved = transformer_forward(p, tokens, num_heads=num_heads, pooling=pooling, **settings)   # (B, V)
    y = onehot(targets, z.shape[-1])
    loss = softmax_cross_entropy_forward(z, y)
    dz = softmax_cross_entropy_backward(z, y)                                                       # (p − y)/B
    return loss, transformer_backward(dz, p, saved)
