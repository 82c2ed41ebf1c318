"""The cells of docs/matrix.md that work: TRPO, PPO and ACKTR."""

import pytest

from tests.contracts.matrix import check_that_it_works, working_cells


@pytest.mark.parametrize(("algorithm", "policy"), working_cells("TRPO", "PPO", "ACKTR"))
def test_works_and_improves(algorithm, policy):
    check_that_it_works(algorithm, policy)
