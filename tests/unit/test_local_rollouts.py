"""What the controller of Argo Rollouts may do on the local stack."""

from deploy.local import rollouts


def test_its_account_reads_no_secret_of_a_component_and_makes_nothing_but_replica_sets() -> None:
    rules = [
        (obj["kind"], rule)
        for obj in rollouts.account()
        if obj["kind"] in ("ClusterRole", "Role")
        for rule in obj["rules"]
    ]
    everywhere = [rule for kind, rule in rules if kind == "ClusterRole"]
    assert not [rule for rule in everywhere if "secrets" in rule["resources"] or "*" in rule["resources"]]
    made = {what for rule in everywhere if "create" in rule["verbs"] for what in rule["resources"]}
    removed = {what for rule in everywhere if "delete" in rule["verbs"] for what in rule["resources"]}
    assert (made, removed) == ({"replicasets", "events"}, {"replicasets"})
    [named] = [rule for kind, rule in rules if kind == "Role" and "secrets" in rule["resources"]]
    assert named["resourceNames"] == ["argo-rollouts-notification-secret"]


def test_its_writes_are_kept_in_namespaces_that_towpath_made() -> None:
    [policy] = [obj for obj in rollouts.account() if obj["kind"] == "ValidatingAdmissionPolicy"]
    [rule] = policy["spec"]["matchConstraints"]["resourceRules"]
    assert {"services", "replicasets", "rollouts", "rollouts/status"} <= set(rule["resources"])
    assert "towpath-argo-rollouts" in policy["spec"]["matchConditions"][0]["expression"]
    assert "'towpath'" in policy["spec"]["validations"][0]["expression"]
