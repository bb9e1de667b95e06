"""SimpleRNN step by step in float64 PyTorch; its gradients come from automatic differentiation."""

import numpy as np
import pytest


def simple_rnn(
    dy,
    dstate,
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    *,
    initial_state=None,
    mask=None,
    activation="tanh",
    go_backwards=False,
    zero_output_for_mask=False,
    input_dropout=None,
    recurrent_dropout=None,
):
    """Return (output, state, gradients of sum(dy * output) + sum(dstate * state)).

    dy: (B, T, H) for all outputs or (B, H) for the last; dstate: (B, H) or None. The gradients come in the order
    dx, dinitial_state, dkernel, drecurrent_kernel, dbias.
    """
    torch = pytest.importorskip("torch", reason="automatic differentiation needs PyTorch")
    (B, T), H = x.shape[:2], len(recurrent_kernel)

    def leaf(a):
        return torch.tensor(np.asarray(a, np.float64), requires_grad=True)

    leaves = [leaf(x), leaf(np.zeros((B, H)) if initial_state is None else initial_state)]
    leaves += [leaf(kernel), leaf(recurrent_kernel)] + ([] if bias is None else [leaf(bias)])
    steps, h, W, U = leaves[:4]
    b = 0.0 if bias is None else leaves[4]
    act = (lambda z: z) if activation == "linear" else getattr(torch, activation)
    in_drop = 1.0 if input_dropout is None else torch.tensor(input_dropout)
    rec_drop = 1.0 if recurrent_dropout is None else torch.tensor(recurrent_dropout)
    use = torch.tensor(np.ones((B, T), bool) if mask is None else np.asarray(mask) != 0)

    outputs = []
    for t in reversed(range(T)) if go_backwards else range(T):
        new = act((steps[:, t] * in_drop) @ W + b + (h * rec_drop) @ U)
        kept = torch.zeros_like(h) if zero_output_for_mask else h
        outputs.append(torch.where(use[:, t, None], new, kept))
        h = torch.where(use[:, t, None], new, h)
    output = torch.stack(outputs, dim=1) if np.ndim(dy) == 3 else outputs[-1]
    loss = (output * torch.tensor(np.asarray(dy, np.float64))).sum()
    if dstate is not None:
        loss = loss + (h * torch.tensor(np.asarray(dstate, np.float64))).sum()
    loss.backward()
    gradients = [np.zeros(a.shape) if a.grad is None else a.grad.numpy() for a in leaves]
    return output.detach().numpy(), h.detach().numpy(), gradients
