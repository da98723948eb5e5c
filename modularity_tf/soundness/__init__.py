"""Is a finding sound? Controls, and what it shares with other findings."""

from modularity_tf.network.copying import untrained
from modularity_tf.soundness.check import check
from modularity_tf.soundness.result import Soundness
from modularity_tf.soundness.sharing_of_sets import Sharing, sharing

__all__ = ["Sharing", "Soundness", "check", "sharing", "untrained"]
