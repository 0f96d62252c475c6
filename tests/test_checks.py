import math

import pytest

from jaxgan import checks
from jaxgan.errors import InputError


def test_one_of():
  checks.one_of("loss", "hinge", ["hinge", "minimax"])
  with pytest.raises(InputError) as e:
    checks.one_of("loss", "hing", (x for x in ["hinge", "minimax"]))
  assert str(e.value) == "loss='hing': choose one of ['hinge', 'minimax']"


@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_at_least(value):
  checks.at_least("steps", 1, 1)
  with pytest.raises(InputError) as e:
    checks.at_least("steps", value, 1)
  assert str(e.value) == f"steps={value}: give 1 or more"


def test_at_least_says_what_zero_means():
  checks.at_least("eval_every", 0, 0, "never")
  with pytest.raises(InputError, match=r"=-1: give 0 \(never\) or more"):
    checks.at_least("eval_every", -1, 0, "never")
