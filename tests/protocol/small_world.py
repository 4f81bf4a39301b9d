"""A small network in virtual time, for the failure detector alone: the one of the trials."""

from chaos.trial.world import AWAY, NamedVoice, World, node_id

__all__ = ("AWAY", "NamedVoice", "World", "node_id")
