"""The cells of docs/matrix.md that work: ParPI and NBP, which train a discriminator."""

import pytest

from tests.contracts.matrix import check_that_it_works, working_cells

ROWS = "ParPI (WD, SAC backup)", "ParPI (JSD, SQL backup)", "NBP"


@pytest.mark.parametrize(("algorithm", "policy"), working_cells(*ROWS))
def test_works_and_improves(algorithm, policy):
    check_that_it_works(algorithm, policy)
