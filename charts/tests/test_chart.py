"""Tests of the chart: lint, templates of many value sets against the schemas of Kubernetes, values that must be refused.

    HELM=/usr/bin/helm PLANLEASE=target/debug/planlease python3 -m unittest discover -s charts/tests -v

It takes helm and kubernetes-validate (`pip install kubernetes-validate pyyaml`); `cargo xtask outside` gets both.
"""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "planlease"
HELM = os.environ.get("HELM", "helm")
VERSIONS = ["1.29", "1.33", "1.37"]
MONITORING = [f"monitoring.coreos.com/v1/{kind}" for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")]
ETCD = {"endpoints": ["http://etcd:2379"]}
GATEWAY = {"enabled": True, "tokenSecret": "token"}
EXAMPLE = {"enabled": True}

GOOD = {
    "nothing runs": {"etcd": ETCD},
    "gateway": {"etcd": ETCD, "gateway": GATEWAY},
    "example": {"etcd": ETCD, "example": EXAMPLE},
    "example with a classic sidecar": {"etcd": ETCD, "example": EXAMPLE, "sidecar": {"native": False}},
    "everything": {
        "etcd": {"endpoints": ["https://a:2379", "https://b:2379"], "tlsSecret": "tls", "clientCertificate": True,
                 "credentialsSecret": "user"},
        "gateway": GATEWAY, "example": {**EXAMPLE, "plans": ["one", "two words"]},
        "networkPolicy": {"enabled": True, "from": [{"podSelector": {}}]},
    },
    "viewers": {"etcd": ETCD, "gateway": {**GATEWAY, "viewerTokenSecret": "viewers"}},
    "by digest": {"etcd": ETCD, "gateway": GATEWAY, "image": {"digest": "sha256:" + "0" * 64}},
    "placed": {
        "etcd": ETCD,
        "gateway": {**GATEWAY, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
                    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
                    "affinity": {"nodeAffinity": {}}, "podLabels": {"team": "a"}, "podAnnotations": {"b": "c"}},
        "priorityClassName": "high", "image": {"pullSecrets": [{"name": "registry"}]},
    },
    "no budget, no account": {
        "etcd": ETCD, "gateway": {**GATEWAY, "podDisruptionBudget": {"enabled": False}},
        "serviceAccount": {"create": False, "name": "mine"},
    },
    "further flags": {
        "etcd": ETCD, "example": EXAMPLE,
        "sidecar": {"extraArgs": ["--max-sessions=9"], "extraEnv": [{"name": "PLANLEASE_LOG", "value": "debug"}]},
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}],
    },
    "IPv4 alone": {"etcd": ETCD, "gateway": GATEWAY, "example": EXAMPLE, "listenAddress": "0.0.0.0"},
    "a policy with peers": {
        "etcd": {"endpoints": ["https://etcd.example.com:2379"]}, "gateway": {**GATEWAY, "service": {"type": "LoadBalancer"}},
        "networkPolicy": {"enabled": True, "etcdTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
    },
    "a policy for addresses": {
        "etcd": {"endpoints": ["http://[2001:db8::1]:2379", "10.0.0.1:2379", "https://etcd-0.etcd.ns.svc.cluster.local:2379"]},
        "gateway": GATEWAY, "networkPolicy": {"enabled": True},
    },
    "of a parent, with its globals": {"global": {"anything": [1]}, "etcd": ETCD, "gateway": GATEWAY},
}

BAD = {
    "a typo": {"etcd": ETCD, "gatway": GATEWAY},
    "a typo within": {"etcd": {**ETCD, "tlsSecrets": "x"}},
    "no endpoint": {"gateway": GATEWAY},
    "an address with a path": {"etcd": {"endpoints": ["http://etcd/v3"]}},
    "no token": {"etcd": ETCD, "gateway": {"enabled": True}},
    "half a replica": {"etcd": ETCD, "gateway": {**GATEWAY, "replicas": 0.5}},
    "a TTL below what a session bears": {"etcd": ETCD, "ttlSeconds": 1},
    "a port that is none": {"etcd": ETCD, "metrics": {"port": 70000}},
    "a digest that is none": {"etcd": ETCD, "image": {"digest": "latest"}},
    "an address that is none": {"etcd": ETCD, "listenAddress": "localhost"},
    "a policy without DNS": {"etcd": ETCD, "networkPolicy": {"enabled": True, "dnsTo": []}},
    "text for a switch": {"etcd": ETCD, "example": {"enabled": "yes"}},
}

# Refused with a message that contains the text.
REFUSED = {
    "a flag of the chart's": ({"sidecar": {"extraArgs": ["--grace=60s"]}}, "--grace itself; use sidecar.graceSeconds"),
    "in two arguments": ({"sidecar": {"extraArgs": ["--grace", "60s"]}}, "--grace itself; use sidecar.graceSeconds"),
    "where it listens": ({"sidecar": {"extraArgs": ["--metrics=[::]:1"]}}, "use metrics.port and listenAddress"),
    "where viewers' tokens are": (
        {"sidecar": {"extraArgs": ["--viewer-token-file=/x"]}, "gateway": GATEWAY | {"viewerTokenSecret": "viewers"}},
        "use gateway.viewerTokenSecret",
    ),
    "a flag without a value": ({"sidecar": {"extraArgs": ["--allow-remote"]}}, "the chart sets --allow-remote itself"),
    "a flag twice": ({"sidecar": {"extraArgs": ["--max-sessions=1", "--max-sessions", "2"]}}, "--max-sessions is there twice"),
    "a name twice": ({"sidecar": {"extraArgs": ["--name=a", "--name=b"]}}, "--name is there twice"),
    "a variable of the chart's": ({"sidecar": {"extraEnv": [{"name": "PLANLEASE_TTL", "value": "1s"}]}}, "PLANLEASE_TTL"),
    "a variable twice": ({"sidecar": {"extraEnv": [{"name": "A"}, {"name": "A"}]}}, "A is there twice"),
    "a label of the chart's": ({"gateway": {**GATEWAY, "podLabels": {"app.kubernetes.io/name": "x"}}}, "gateway.podLabels"),
    "an annotation of the chart's": ({"example": {"enabled": True, "podAnnotations": {"checksum/config": "x"}}}, "example.podA"),
    "a label of the monitor's": ({"metrics": {"serviceMonitor": {"labels": {"helm.sh/chart": "x"}}}}, "serviceMonitor.labels"),
    "a label of the rules'": ({"metrics": {"prometheusRule": {"labels": {"helm.sh/chart": "x"}}}}, "prometheusRule.labels"),
    "an etcd outside, and no peers": (
        {"etcd": {"endpoints": ["https://etcd.example.com:2379"]}, "networkPolicy": {"enabled": True}}, "networkPolicy.etcdTo"),
}


def helm(*args: str, values: dict | None = None) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(values or {}, file)
        file.flush()
        return subprocess.run([HELM, *args, "-f", file.name], capture_output=True, text=True, check=False)


def render(values: dict, chart: Path = CHART, apis: list[str] = MONITORING) -> list[dict]:
    rendered = helm("template", "r", str(chart), *(f"--api-versions={api}" for api in apis), values=values)
    if rendered.returncode:
        raise AssertionError(rendered.stderr)
    return [document for document in yaml.safe_load_all(rendered.stdout) if document]


def pods(documents: list[dict]) -> list[dict]:
    found = []
    for document in documents:
        if document["kind"] == "Pod":
            found.append(document["spec"])
        elif "template" in document.get("spec", {}):
            found.append(document["spec"]["template"]["spec"])
    return found


class ChartTest(unittest.TestCase):
    def test_lint(self) -> None:
        for name, values in GOOD.items():
            with self.subTest(name):
                linted = helm("lint", "--strict", str(CHART), values=values)
                self.assertEqual(linted.returncode, 0, linted.stdout + linted.stderr)

    def test_what_is_made_is_valid(self) -> None:
        for name, values in GOOD.items():
            for document in render(values):
                if document["apiVersion"].startswith("monitoring.coreos.com"):
                    continue
                for version in VERSIONS:
                    with self.subTest(name, kind=document["kind"], version=version):
                        kubernetes_validate.validate(document, version, strict=True)

    def test_what_must_be_refused_is(self) -> None:
        for name, values in BAD.items():
            with self.subTest(name):
                refused = helm("template", "r", str(CHART), values=values)
                self.assertNotEqual(refused.returncode, 0, name)

    def test_what_is_refused_is_refused_with_its_reason(self) -> None:
        for name, (values, reason) in REFUSED.items():
            with self.subTest(name):
                values = {"etcd": ETCD, "gateway": GATEWAY, "example": EXAMPLE} | values
                apis = [f"--api-versions={api}" for api in MONITORING]
                refused = helm("template", "r", str(CHART), *apis, values=values)
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn(reason, refused.stderr)

    def test_no_flag_variable_or_label_is_there_twice(self) -> None:
        for name, values in GOOD.items():
            for pod in pods(render(values)):
                for container in pod.get("initContainers", []) + pod["containers"]:
                    with self.subTest(name, container=container["name"]):
                        flags = [flag.split("=")[0] for flag in container["args"] if flag.startswith("--")]
                        flags = [flag for flag in flags if flag != "--allow-host"]
                        self.assertEqual(len(flags), len(set(flags)))
                        names = [variable["name"] for variable in container.get("env", [])]
                        self.assertEqual(len(names), len(set(names)))

    def test_a_name_and_further_hosts_can_be_given(self) -> None:
        given = {"extraArgs": ["--name=mine", "--allow-host=a", "--allow-host=b", "-v", "--verbose", "--verbose"]}
        for pod in pods(render({"etcd": ETCD, "gateway": GATEWAY, "sidecar": given})):
            args = pod["containers"][0]["args"]
            if args[0] == "sidecar":
                self.assertEqual([arg for arg in args if arg.startswith("--name")], ["--name=mine"])
                self.assertEqual(args[-6:], given["extraArgs"])

    def test_viewers_have_tokens_of_their_own(self) -> None:
        for name, given in (("gateway", False), ("viewers", True)):
            (pod,) = pods([document for document in render(GOOD[name]) if document["kind"] == "Deployment"])
            container = pod["containers"][0]
            paths = [arg.removeprefix("--viewer-token-file=") for arg in container["args"] if "viewer" in arg]
            mounted = {mount["name"]: mount["mountPath"] + "/token" for mount in container["volumeMounts"]}
            secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
            self.assertEqual(paths, [mounted["planlease-viewer-token"]] if given else [])
            self.assertEqual(secrets.get("planlease-viewer-token"), "viewers" if given else None)
            self.assertNotEqual(secrets["planlease-token"], "viewers")

    def test_both_families_are_served_unless_one_is_chosen(self) -> None:
        for values, address in (({}, "[::]"), ({"listenAddress": "0.0.0.0"}, "0.0.0.0")):
            rendered = pods(render({"etcd": ETCD, "gateway": GATEWAY, "example": EXAMPLE} | values))
            args = [arg for pod in rendered for container in pod.get("initContainers", []) + pod["containers"]
                    for arg in container["args"]]
            listening = [arg for arg in args if arg.startswith(("--listen", "--metrics"))]
            self.assertEqual(sorted(listening), [f"--listen={address}:7420"] + [f"--metrics={address}:9464"] * 2)

    def test_a_policy_says_whereto(self) -> None:
        for name, values in GOOD.items():
            for policy in (document for document in render(values) if document["kind"] == "NetworkPolicy"):
                for rule in policy["spec"]["egress"]:
                    with self.subTest(name, ports=rule["ports"]):
                        self.assertTrue(rule["to"])
                        self.assertNotIn({}, rule["to"])
        policy = [document for document in render(GOOD["a policy for addresses"]) if document["kind"] == "NetworkPolicy"][0]
        self.assertEqual(policy["spec"]["egress"][1]["to"], [
            {"ipBlock": {"cidr": "2001:db8::1/128"}}, {"ipBlock": {"cidr": "10.0.0.1/32"}}, {"namespaceSelector": {}}])
        self.assertEqual(policy["spec"]["ingress"][1]["from"], [{"namespaceSelector": {}}])

    def test_metrics_are_scraped_often_enough_to_see_a_loss_coming(self) -> None:
        for ttl, interval in ((2, "1s"), (15, "5s"), (60, "20s"), (3600, "30s")):
            documents = render({"etcd": ETCD, "gateway": GATEWAY, "ttlSeconds": ttl})
            endpoints = [endpoint for document in documents if document["kind"] in ("PodMonitor", "ServiceMonitor")
                         for endpoint in document["spec"].get("podMetricsEndpoints", document["spec"].get("endpoints"))]
            self.assertEqual([endpoint["interval"] for endpoint in endpoints], [interval] * 2)

    def test_every_container_is_restricted(self) -> None:
        for name, values in GOOD.items():
            for pod in pods(render(values)):
                self.assertTrue(pod["securityContext"]["runAsNonRoot"], name)
                self.assertFalse(pod["automountServiceAccountToken"], name)
                for container in pod.get("initContainers", []) + pod["containers"]:
                    with self.subTest(name, container=container["name"]):
                        context = container["securityContext"]
                        self.assertTrue(context["readOnlyRootFilesystem"])
                        self.assertFalse(context["allowPrivilegeEscalation"])
                        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})

    def test_monitoring_is_made_where_its_api_is(self) -> None:
        kinds = lambda apis: {document["kind"] for document in render(GOOD["gateway"], apis=apis)}  # noqa: E731
        self.assertTrue({"ServiceMonitor", "PodMonitor", "PrometheusRule"} <= kinds(MONITORING))
        self.assertFalse({"ServiceMonitor", "PodMonitor", "PrometheusRule"} & kinds([]))

    def test_the_sidecar_is_native_or_classic(self) -> None:
        native = pods(render(GOOD["example"]))[0]
        self.assertEqual(native["initContainers"][0]["restartPolicy"], "Always")
        classic = pods(render(GOOD["example with a classic sidecar"]))[0]
        self.assertNotIn("initContainers", classic)
        self.assertIn("preStop", classic["containers"][0]["lifecycle"])

    def test_the_pod_outlives_its_sidecar(self) -> None:
        for grace in (1, 30, 600):
            values = {**GOOD["everything"], "sidecar": {"graceSeconds": grace}}
            for pod in pods(render(values)):
                if "terminationGracePeriodSeconds" in pod:
                    self.assertGreater(pod["terminationGracePeriodSeconds"], grace)

    def test_it_works_as_a_dependency(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            parent = Path(folder) / "parent"
            shutil.copytree(HERE / "parent", parent)
            shutil.copytree(CHART, parent / "charts" / "planlease")
            for native in (True, False):
                documents = render({"planlease": {"sidecar": {"native": native}}}, chart=parent)
                mine = next(document for document in documents if document["kind"] == "Deployment")
                for version in VERSIONS:
                    kubernetes_validate.validate(mine, version, strict=True)
                spec = mine["spec"]["template"]["spec"]
                self.assertEqual("initContainers" in spec, native)
                self.assertEqual(len(spec["containers"]), 1 if native else 2)

    def test_the_flags_are_the_programs(self) -> None:
        """Every flag that the chart passes is one that the program knows."""
        program = os.environ.get("PLANLEASE", str(HERE.parent.parent / "target/debug/planlease"))
        for pod in pods(render(GOOD["everything"])):
            for container in pod.get("initContainers", []) + pod["containers"]:
                command = container["args"][0]
                known = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True).stdout
                for flag in container["args"][1:]:
                    if flag.startswith("--"):
                        self.assertIn(flag.split("=")[0], known, command)
                for variable in container["env"]:
                    if variable["name"].startswith("PLANLEASE_"):
                        self.assertIn(variable["name"], known, command)


if __name__ == "__main__":
    unittest.main()
