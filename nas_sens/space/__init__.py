"""Search spaces: declared parameters, constraints, sampling and enumeration."""

from .sampling import Proposal, Proposer, SamplerName
from .search_space import SearchSpace, load_space, space_of_table

__all__ = ["Proposal", "Proposer", "SamplerName", "SearchSpace", "load_space", "space_of_table"]
