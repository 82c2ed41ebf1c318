"""Contract checks for bijectors, actor networks, agents and environments, the library's and users' own.

Each check raises an `AssertionError` that says which rule is broken and where to look. They belong in tests:

```python
def test_my_network():
    expol_tf.testing.check_actor_network(MyNetwork)
```
"""

from expol_tf.testing.actor_network_check import check_actor_network
from expol_tf.testing.agent_check import check_agent
from expol_tf.testing.bijector_check import check_bijector
from expol_tf.testing.environment_check import check_environment

__all__ = ["check_actor_network", "check_agent", "check_bijector", "check_environment"]
