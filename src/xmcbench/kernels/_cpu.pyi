from torch import Tensor

def instruction_sets() -> list[str]: ...
def instruction_set() -> str: ...
def use_instruction_set(name: str) -> None: ...
def tile(group: int) -> tuple[int, int]: ...
def most_scratch() -> int: ...
def forward(
    weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor, group: int, x_DB: Tensor, z_LB: Tensor, threads: int
) -> None: ...
def backward(
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    x_DB: Tensor,
    grad_z_LB: Tensor,
    grad_x_DB: Tensor,
    grad_weight_LK: Tensor,
    grad_bias_L: Tensor,
    threads: int,
) -> None: ...
def train_step(
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    x_DB: Tensor,
    label_P: Tensor,
    row_P: Tensor,
    grad_x_DB: Tensor,
    label_weight_L: Tensor | None,
    loss: int,
    scale: float,
    rule: int,
    rate: float,
    decay: float,
    bias_rate: float,
    bias_decay: float,
    momentum: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    correction1: float,
    correction2: float,
    key: int,
    first_LK: Tensor | None,
    second_LK: Tensor | None,
    first_L: Tensor | None,
    second_L: Tensor | None,
    threads: int,
) -> tuple[float, int, int, int]: ...
def top_k(
    weight_LK: Tensor,
    index_HK: Tensor,
    bias_L: Tensor,
    group: int,
    x_DB: Tensor,
    score_Bk: Tensor,
    label_Bk: Tensor,
    threads: int,
) -> None: ...
