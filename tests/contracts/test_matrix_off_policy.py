"""The cells of docs/matrix.md that work: SAC, SQL, S²AC and DDPG."""

import pytest

from tests.contracts.matrix import check_that_it_works, working_cells


@pytest.mark.parametrize(("algorithm", "policy"), working_cells("SAC", "SQL", "S²AC", "DDPG"))
def test_works_and_improves(algorithm, policy):
    check_that_it_works(algorithm, policy)
