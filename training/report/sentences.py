"""What the page says of the facts."""

from training.evaluate.intervals import Estimate
from training.report import words
from training.report.facts import Facts


def headline(facts: Facts) -> str:
    """How good it is, without a term of the trade."""
    best = facts.evaluation.best_baseline
    ours, theirs = (facts.evaluation.models[name][words.HIT] for name in (words.OURS, best))
    return (
        f"For {ours * 100:.0f} of 100 users, what they took next was among the {words.LIST} items "
        f"recommended. The best simple baseline found it for {theirs * 100:.0f}."
    )


def verdict(facts: Facts) -> str:
    """Beside the best baseline, as far as chance lets one tell."""
    tested, gain = facts.evaluation, facts.evaluation.gain
    if gain is None:
        return f"{tested.best_baseline} finds next to nothing, so there is nothing to compare with."
    by = f"NDCG@{words.LIST} {words.change(gain.value)} beside {tested.best_baseline}"
    if tested.loses_to_baseline or gain.high < 0:
        return f"Not better than the best baseline: {by} ({_sure(gain)}). Do not go live."
    if gain.low <= 0:
        return f"Perhaps better, which chance alone might explain: {by} ({_sure(gain)})."
    return f"Better than the best baseline: {by} ({_sure(gain)})."


def live(facts: Facts) -> str:
    """What the bundle is."""
    had = "not had" if facts.recommend == "new" else "had, too"
    what = "The very model that was tested, which never saw the end of the log"
    if facts.refit:
        rest = "" if facts.learn_test else " but the test part, by which it can be judged"
        what = f"The same settings, trained again on everything{rest}"
    return f"{what}; it recommends what a user has {had}."


def codes(facts: Facts) -> list[str]:
    """Health of the semantic IDs."""
    health, space, items = facts.health, facts.space, facts.card.items
    used = [health[f"level_{level + 1}/used"] for level in range(space.levels)]
    modalities = words.listed(list(space.modalities))
    said = [
        f"Every item is named by {space.levels} codes for each of {modalities}, each one of "
        f"{words.count(space.codebook_size)}.",
        f"At least {words.share(min(used))} of the codes are in use at every level"
        f"{'' if min(used) < 0.8 else ': the codebook is alive'}.",
        _unique(health, items),
    ]
    for modality in space.modalities:
        agreement = health.get(f"{modality}/behaviour_agreement@10")
        if agreement is not None and modality != "behaviour":
            said.append(
                f"Of the ten items nearest to one by its {modality} codes, "
                f"{words.share(agreement)} are nearest by what users did, too: that is what binds "
                f"{modality} to behaviour."
            )
    return said


def _unique(health: dict[str, float], items: int) -> str:
    moved, extended = (round(items * health[f"{what}_rate"]) for what in ("moved", "extended"))
    if not moved and not extended:
        return "No two items came out with the same codes, so none had to be moved."
    extra = f", and {words.count(extended)} got an extra code" if extended else ""
    was = "item was" if moved == 1 else "items were"
    return f"{words.count(moved)} {was} moved to a neighbouring code to be unique{extra}."


def attention(facts: Facts) -> list[str]:
    """What each similarity does, from its lowest third to its highest."""
    said = []
    for pair in facts.pairs:
        third = max(1, len(pair.factors) // 3)
        low, high = (sum(part) / third for part in (pair.factors[:third], pair.factors[-third:]))
        of = pair.first if pair.first == pair.second else f"{pair.first} with {pair.second}"
        turn = "raises" if high > low * 1.1 else "lowers" if low > high * 1.1 else "hardly moves"
        said.append(
            f"Similar {of} {turn} attention: {high:.2f} times the usual where it is most similar, "
            f"{low:.2f} times where it is least."
        )
    return said


def memory(facts: Facts) -> str:
    """What the memory weighs, and adds."""
    recipe, added = facts.fitted.memory, facts.evaluation.memory
    if not recipe.weight or added is None:
        said = "Validation found counted followers to be worth nothing beside the model: left out."
        if not recipe.live:
            return said
        return f"{said} Those counted while it serves are added with weight {recipe.live:g}."
    alike = f", with {recipe.likeness:g} times what is described alike" if recipe.likeness else ""
    said = (
        f"What followed what was counted, and added to what was learned with weight "
        f"{recipe.weight:g}{alike}; a step further back counts {recipe.decay:g} times as much. "
    )
    if (gain := added.gain) is None:
        return said
    users = f"of {words.count(added.users)} users"
    adds = f"{words.change(gain.value)} NDCG@{words.LIST} in the test {users} ({_sure(gain)})"
    if gain.low > 0:
        return f"{said}It helps: {adds}."
    if gain.high < 0:
        return f"{said}It hurts: {adds}."
    return f"{said}Whether it helps, this test cannot tell: {adds}."


def layout(facts: Facts) -> str:
    """What first codes say of the map."""
    drawn, (found, chance) = facts.map, (facts.map.explained, facts.map.chance)
    return (
        f"Items that share their first {drawn.modality} code "
        f"{'lie together' if found > 2 * chance else 'lie where they like'}: it tells "
        f"{words.share(found)} of where an item lies; codes dealt out at random would tell "
        f"{words.share(chance)}."
    )


def _sure(gain: Estimate) -> str:
    return f"95% interval {words.change(gain.low)} to {words.change(gain.high)}"
