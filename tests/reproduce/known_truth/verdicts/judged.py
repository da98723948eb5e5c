"""Records of sharing_verdict, made up, for tests of what they show."""

from reproduce.known_truth.verdicts import sets


def record(seed, **counts):
    """Returns a record that has verdicts on one kind of sets alone."""
    judged = {
        f"{errors}/{quality}": {"undetermined false": {"0.0": 3}}
        for errors in sets.ERRORS
        for quality in sets.QUALITIES
    }
    judged["independent/exact"] = counts
    return {"seed": seed, "sets": judged, "networks": {}}
