"""The cells step by step in float64 PyTorch; their gradients come from automatic differentiation."""

import numpy as np


def recurrent(
    cell,
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
    recurrent_activation="sigmoid",
    go_backwards=False,
    zero_output_for_mask=False,
    input_dropout=None,
    recurrent_dropout=None,
    tbptt=None,
):
    """Return (output, states, gradients of sum(dy * output) + sum(dstate * states)).

    dy: (B, T, H) for all outputs or (B, H) for the last; dstate: as many arrays (B, H) as there are states, or None.
    The gradients come in the order dx, dinitial_state, dkernel, drecurrent_kernel, dbias; several states are one array.
    """
    import torch

    (B, T), H, G = x.shape[:2], len(recurrent_kernel), cell.gates
    shape = (cell.states, B, H)

    def leaf(a):
        return torch.tensor(np.asarray(a, np.float64), requires_grad=True)

    def function(name):
        return (lambda z: z) if name == "linear" else getattr(torch, name)

    leaves = [leaf(x), leaf(np.zeros(shape) if initial_state is None else np.reshape(initial_state, shape))]
    leaves += [leaf(kernel), leaf(recurrent_kernel)] + ([] if bias is None else [leaf(bias)])
    steps, begin, W, U = leaves[:4]
    b = torch.zeros(G * H, dtype=torch.float64) if bias is None else leaves[4]
    b, inner_b = b if b.ndim == 2 else (b, torch.zeros(G * H))
    act, gate = function(activation), function(recurrent_activation)
    in_drop = 1.0 if input_dropout is None else torch.tensor(input_dropout)
    drop = torch.ones(G, B, H) if recurrent_dropout is None else torch.tensor(recurrent_dropout).reshape(G, B, H)
    use = torch.tensor(np.ones((B, T), bool) if mask is None else np.asarray(mask) != 0)

    def simple_rnn(x_t, h):
        return (act(x_t @ W + b + (h * drop[0]) @ U),)

    def gru(x_t, h):
        before, after = (x_t @ W + b).chunk(3, 1), U.chunk(3, 1)
        bz, br, bc = inner_b.chunk(3)
        z = gate(before[0] + (h * drop[0]) @ after[0] + bz)
        r = gate(before[1] + (h * drop[1]) @ after[1] + br)
        if cell.options["reset_after"]:
            c = act(before[2] + r * ((h * drop[2]) @ after[2] + bc))
        else:
            c = act(before[2] + (r * h * drop[2]) @ after[2])
        return (z * h + (1 - z) * c,)

    def lstm(x_t, h, c):
        inner = torch.cat([(h * drop[k]) @ part for k, part in enumerate(U.chunk(4, 1))], dim=1)
        i, f, new, o = (x_t @ W + inner + b).chunk(4, 1)
        c = gate(f) * c + gate(i) * act(new)
        return gate(o) * act(c), c

    compute = {"simple_rnn": simple_rnn, "gru": gru, "lstm": lstm}[cell.name]
    outputs, states = [], tuple(begin)
    for s, t in enumerate(reversed(range(T)) if go_backwards else range(T)):
        if tbptt and s and s % tbptt == 0:
            states = tuple(state.detach() for state in states)
        new = compute(steps[:, t] * in_drop, *states)
        kept = torch.zeros(B, H) if zero_output_for_mask else states[0]
        outputs.append(torch.where(use[:, t, None], new[0], kept))
        states = tuple(torch.where(use[:, t, None], a, b) for a, b in zip(new, states, strict=True))
    output = torch.stack(outputs, dim=1) if np.ndim(dy) == 3 else outputs[-1]
    loss = (output * torch.tensor(np.asarray(dy, np.float64))).sum()
    if dstate is not None:
        loss = loss + (torch.stack(states) * torch.tensor(np.reshape(dstate, shape).astype(np.float64))).sum()
    loss.backward()
    gradients = [np.zeros(a.shape) if a.grad is None else a.grad.numpy() for a in leaves]
    gradients[1] = cell.one_array(gradients[1]) if cell.states > 1 else gradients[1][0]
    ends = [state.detach().numpy() for state in states]
    return output.detach().numpy(), ends[0] if cell.states == 1 else np.stack(ends), gradients
