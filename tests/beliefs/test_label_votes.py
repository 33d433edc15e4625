"""What the voters of an ensemble say, brought together."""

import numpy as np

from jaxcmr.beliefs.label_votes import mean_predictions, votes


def test_probabilities_are_averaged_over_the_modalities_that_a_row_has():
    odds = np.log([[[3.0, 1.0], [1.0, 1.0], [1.0, 4.0]], [[1.0, 1.0], [9.0, 1.0], [1.0, 1.0]]])
    present = np.array([[True, False, False], [True, True, False]])  # [V, N]
    cast = votes(odds[None], present, np.ones((1, 3), bool))
    found = mean_predictions(cast)
    first = [(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2]
    np.testing.assert_allclose(found, [first, [9 / 10, 1 / 10], [1 / 2, 1 / 2]], rtol=1e-6)
    assert found.dtype == np.float32
