"""The float64 stage of the gate: stand-ins for MLX, constants of both frameworks widened, notes of the rest.

It may import twins.frameworks and twins.models.
"""

from twins.parity.float64.installation import stage
from twins.parity.float64.notes import FAULTS, NotInFloat64, unchecked

__all__ = ["FAULTS", "NotInFloat64", "stage", "unchecked"]
