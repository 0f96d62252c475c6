import jax
import numpy as np

from jaxgan.game import AXIS
from jaxgan.models.layers import minibatch_discrimination


def test_against_loops():
  n, kernels, dims = 12, 3, 2
  x = np.random.default_rng(0).normal(size=(n, 7)).astype("f4")
  layer = minibatch_discrimination.MinibatchDiscrimination(
    kernels, dims, "uniform"
  )
  params = layer.init(jax.random.key(0), x)["params"]

  def apply(x):
    mapped = jax.vmap(
      lambda x: layer.apply({"params": params}, x), axis_name=AXIS
    )
    return np.concatenate(mapped(x))

  found = apply(x[None])
  maps = (x @ params["kernel"]).reshape(n, dims, kernels)
  for k in range(kernels):
    for i in range(n):
      near = [
        np.exp(-np.abs(maps[i, :, k] - maps[j, :, k]).sum())
        for j in range(n)
        if j != i
      ]
      np.testing.assert_allclose(found[i, 7 + k], np.mean(near), rtol=1e-4)
  np.testing.assert_array_equal(found[:, :7], x)
  # The global batch over four devices.
  np.testing.assert_allclose(apply(x.reshape(4, 3, 7)), found, rtol=1e-5)


def test_the_kernels_of_the_paper():
  layer = minibatch_discrimination.MinibatchDiscrimination()
  out, variables = layer.init_with_output(
    jax.random.key(0), np.ones((4, 7), "f4")
  )
  assert variables["params"]["kernel"].shape == (7, 500)
  np.testing.assert_allclose(out[:, 7:], np.ones((4, 100)), rtol=1e-6)
