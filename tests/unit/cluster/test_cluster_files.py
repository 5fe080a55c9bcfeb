"""The files of workers/clusters: Ray, Compute Engine, Kubernetes and pip take them, and docs/cluster.md is right."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from functools import reduce
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.command_runner import DockerCommandRunner
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from evotune_workers.cluster.nodes import A_LITTLE, ACCELERATOR
from evotune_workers.kernel.targets import accelerator_types
from tests.support.cluster_schemas import check_compute_instance, check_ray_cluster, ray_cluster
from tests.support.paths import ROOT

CLUSTERS = ROOT / "workers" / "clusters"
GCP_TEXT = (CLUSTERS / "gcp-l4.yaml").read_text(encoding="utf-8")
GCP = yaml.safe_load(GCP_TEXT)
KUBERAY_TEXT = (CLUSTERS / "kuberay-l4.yaml").read_text(encoding="utf-8")
KUBERAY, CLAIM, POLICY = yaml.safe_load_all(KUBERAY_TEXT)
HEAD_POD = KUBERAY["spec"]["headGroupSpec"]["template"]["spec"]
WORKERS = KUBERAY["spec"]["workerGroupSpecs"][0]
WORKER_POD = WORKERS["template"]["spec"]
DOCKERFILE = (CLUSTERS / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


# The cluster of Compute Engine.


def validate_gcp(config: dict[str, Any]) -> None:
    """As `ray up` does before it asks Google anything, and as Compute Engine then does."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    # Ray lets a provider have any field.
    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(prepared["provider"], {**schema["properties"]["provider"], "additionalProperties": False})
    for each in prepared["available_node_types"].values():
        check_compute_instance(each["node_config"])


def test_ray_and_compute_engine_accept_the_launcher_file() -> None:
    validate_gcp(GCP)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ([], "idle_timeout_minute"),
        (["provider"], "use_internal_ip"),
        (["auth"], "ssh_proxy_comand"),
        (["docker"], "run_option"),
        (["available_node_types", "l4"], "max_worker"),
        (["available_node_types", "l4", "node_config"], "machine_type"),
        (["available_node_types", "l4", "node_config", "scheduling"], "provisioning_model"),
        (["available_node_types", "head", "node_config", "disks", 0, "initializeParams"], "diskSizeGB"),
        (["available_node_types", "head", "node_config", "networkInterfaces", 0], "subnet"),
    ],
)
def test_a_misspelt_field_of_the_launcher_file_is_refused(place: list[str | int], wrong: str) -> None:
    config = copy.deepcopy(GCP)
    at(config, place)[wrong] = 1
    with pytest.raises(jsonschema.ValidationError) as refused:
        validate_gcp(config)
    assert wrong in refused.value.message


def test_a_machine_that_compute_engine_does_not_have_is_refused() -> None:
    config = copy.deepcopy(GCP)
    config["available_node_types"]["l4"]["node_config"]["scheduling"]["provisioningModel"] = "CHEAP"
    with pytest.raises(jsonschema.ValidationError) as refused:
        validate_gcp(config)
    assert "CHEAP" in refused.value.message


def test_ray_scales_the_launchers_cluster_from_no_l4_to_eight() -> None:
    config = AutoscalingConfig(copy.deepcopy(GCP), skip_content_hash=True)
    head, l4 = (config.get_node_type_configs()[name] for name in ("head", "l4"))
    assert (l4.min_worker_nodes, l4.max_worker_nodes, config.get_max_num_worker_nodes()) == (0, 8, 8)
    assert l4.resources["GPU"] == 1 and "GPU" not in head.resources and head.resources["CPU"] > 0
    assert config.get_upscaling_speed() >= 8 and config.get_idle_timeout_s() == 300
    assert [launched(config, gpus) for gpus in (0, 3, 8, 9)] == [{}, {"l4": 3}, {"l4": 8}, {"l4": 8}]


def launched(config: AutoscalingConfig, gpus: int) -> dict[str, int]:
    """Return the nodes that Ray starts, from none, for a search that asks for so many GPUs of an L4's target."""
    model = f"{ACCELERATOR}{accelerator_types('sm_89')[0]}"
    demand = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make({"GPU": 1, model: A_LITTLE})] * gpus)
    request = SchedulingRequest(
        disable_launch_config_check=True,
        node_type_configs=config.get_node_type_configs(),
        max_num_nodes=config.get_max_num_nodes(),
        idle_timeout_s=config.get_idle_timeout_s(),
        resource_requests=demand,
    )
    reply = ResourceDemandScheduler(event_logger=None).schedule(request)
    return {each.instance_type: each.count for each in reply.to_launch}


def test_the_launchers_workers_are_spot_machines_with_an_l4_and_the_head_is_neither() -> None:
    head, l4 = (GCP["available_node_types"][name]["node_config"] for name in ("head", "l4"))
    assert re.fullmatch(r"g2-standard-(4|8|12|16|32)", l4["machineType"]), "the G2 machines with one L4"
    assert l4["scheduling"]["provisioningModel"] == "SPOT" and l4["scheduling"]["onHostMaintenance"] == "TERMINATE"
    assert re.fullmatch(r"[en]2-standard-\d+", head["machineType"])
    assert not {"scheduling", "guestAccelerators"} & set(head)


def test_resources_leave_a_core_of_every_machine_of_the_launchers() -> None:
    for each in GCP["available_node_types"].values():
        assert each["resources"]["CPU"] == int(each["node_config"]["machineType"].rsplit("-", 1)[1]) - 1


def test_no_machine_of_the_launchers_is_reached_from_outside_its_network() -> None:
    assert GCP["provider"]["use_internal_ips"] is True
    for each in GCP["available_node_types"].values():
        assert each["node_config"]["networkInterfaces"]
        assert not any("accessConfigs" in interface for interface in each["node_config"]["networkInterfaces"])
    (start,) = (command for command in GCP["head_start_ray_commands"] if "ray start" in command)
    assert "--dashboard-host=127.0.0.1" in start and GCP_TEXT.count("--dashboard-host") == 1
    assert not re.search(r"--publish|(?<!\w)-p \d|0\.0\.0\.0", GCP_TEXT)


def test_the_launchers_workers_may_read_images_and_nothing_else_of_the_project() -> None:
    (account,) = GCP["available_node_types"]["l4"]["node_config"]["serviceAccounts"]
    assert account["scopes"] == ["https://www.googleapis.com/auth/devstorage.read_only"]


class Host:
    """Run nothing, and answer what Ray asks a machine about before it starts the container."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def check_call(self, command: list[str], **_: Any) -> None:
        self.commands.append(" ".join(command))

    def check_output(self, command: list[str]) -> bytes:
        self.check_call(command)
        return b'["HOME=/home/ray"]' if ".Config.Env" in self.commands[-1] else b"MemAvailable: 1000 kB"


@pytest.mark.parametrize("as_head", [True, False])
def test_ray_starts_the_launchers_containers_with_the_token_and_only_workers_with_gpus(as_head: bool) -> None:
    host = Host()
    runner = DockerCommandRunner(
        GCP["docker"],
        log_prefix="",
        node_id="head-1",
        provider=None,
        auth_config=GCP["auth"],
        cluster_name="evotune-l4",
        process_runner=host,
        use_internal_ip=True,
    )
    runner.ssh_command_runner.ssh_control_path = None  # or it makes a folder in /tmp
    runner.run_init(as_head=as_head, file_mounts=GCP["file_mounts"], sync_run_yet=True)
    (started,) = (command for command in host.commands if "docker run" in command)
    assert "--env RAY_AUTH_MODE=token" in started
    assert re.search(r"-v \S+:/home/ray/\.ray/auth_token ", started)
    assert ("--gpus all" in started) is not as_head
    assert ("--volume /var/lib/evotune:/data" in started) is as_head
    assert "start-iap-tunnel" in started and "@head-1 " in started


def test_everything_to_fill_in_stands_at_the_top_of_the_launcher_file() -> None:
    top, _, rest = GCP_TEXT.partition("# -----")
    assert rest and "MY_PROJECT" not in rest
    assert len([line for line in top.splitlines() if "MY_PROJECT" in line and not line.startswith("#")]) == 3


def test_every_place_of_the_launcher_file_is_in_the_same_zone() -> None:
    region, zone = GCP["provider"]["region"], GCP["provider"]["availability_zone"]
    assert zone.startswith(region)
    assert set(re.findall(r"zones?[/=]([a-z0-9-]+)", GCP_TEXT)) == {zone}
    assert set(re.findall(r"regions/([a-z0-9-]+)", GCP_TEXT)) == {region}
    assert set(re.findall(r"([a-z0-9-]+)-docker\.pkg\.dev", GCP_TEXT)) == {region}


# The cluster of Kubernetes.


def test_kuberay_accepts_the_manifest() -> None:
    check_ray_cluster(KUBERAY)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ([], "specs"),
        (["spec"], "authOption"),
        (["spec", "authOptions"], "secret"),
        (["spec", "autoscalerOptions"], "idleTimeout"),
        (["spec", "headGroupSpec"], "serviceTypes"),
        (["spec", "workerGroupSpecs", 0], "maxReplica"),
        (["spec", "workerGroupSpecs", 0, "template", "spec"], "nodeSelectors"),
        (["spec", "workerGroupSpecs", 0, "template", "spec", "tolerations", 0], "operators"),
        (["spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0], "resource"),
        (["spec", "headGroupSpec", "template", "spec", "containers", 0, "securityContext"], "allowPrivileges"),
    ],
)
def test_a_misspelt_field_of_the_manifest_is_refused(place: list[str | int], wrong: str) -> None:
    manifest = copy.deepcopy(KUBERAY)
    at(manifest, place)[wrong] = "1"
    with pytest.raises(jsonschema.ValidationError) as refused:
        check_ray_cluster(manifest)
    assert wrong in refused.value.message


def test_kubernetes_accepts_the_record_and_the_network_policy() -> None:
    """By the schemas that RayCluster has of the same objects, in a pod's volumes and in its own network policy."""
    spec = ray_cluster()["properties"]["spec"]["properties"]
    pod = spec["headGroupSpec"]["properties"]["template"]["properties"]["spec"]["properties"]
    volume = pod["volumes"]["items"]["properties"]["ephemeral"]["properties"]["volumeClaimTemplate"]["properties"]
    jsonschema.validate(CLAIM["spec"], volume["spec"])
    rules = spec["networkPolicy"]["properties"]["head"]["properties"]["ingressRules"]
    jsonschema.validate(POLICY["spec"]["ingress"], rules)
    assert (CLAIM["kind"], POLICY["kind"]) == ("PersistentVolumeClaim", "NetworkPolicy")
    assert set(POLICY["spec"]) == {"podSelector", "policyTypes", "ingress"}


def test_ray_scales_the_manifests_cluster_from_no_l4_to_eight() -> None:
    named = {**KUBERAY, "metadata": {**KUBERAY["metadata"], "namespace": "default"}}
    config = AutoscalingConfig(_derive_autoscaling_config_from_ray_cr(named), skip_content_hash=True)
    head, l4 = (config.get_node_type_configs()[name] for name in ("headgroup", "l4"))
    assert (WORKERS["replicas"], l4.min_worker_nodes, l4.max_worker_nodes) == (0, 0, 8)
    assert l4.resources["GPU"] == 1 and "GPU" not in head.resources
    assert (head.resources["CPU"], l4.resources["CPU"]) == (3, 7)
    assert config.get_idle_timeout_s() == 300
    assert [launched(config, gpus) for gpus in (0, 3, 8, 9)] == [{}, {"l4": 3}, {"l4": 8}, {"l4": 8}]


def test_kuberay_is_told_each_resource_of_the_manifest_once() -> None:
    """Its operator refuses a group that has them in both places."""
    for group in (KUBERAY["spec"]["headGroupSpec"], WORKERS):
        asked = {"num-cpus", "num-gpus", "memory", "resources"} & set(group["rayStartParams"])
        assert not (asked and group.get("resources"))


def test_the_manifests_workers_run_on_spot_nodes_with_an_l4() -> None:
    assert WORKER_POD["nodeSelector"] == {
        "cloud.google.com/gke-accelerator": "nvidia-l4",
        "cloud.google.com/gke-spot": "true",
    }
    assert "cloud.google.com/gke-spot" in [each["key"] for each in WORKER_POD["tolerations"]]
    assert WORKER_POD["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nodeSelector" not in HEAD_POD and "nvidia" not in str(HEAD_POD)


def test_every_process_of_the_manifests_cluster_needs_the_secrets_token() -> None:
    assert KUBERAY["spec"]["authOptions"] == {"mode": "token", "secretName": "evotune-token"}
    for pod in (HEAD_POD, WORKER_POD):
        assert {"name": "RAY_AUTH_MODE", "value": "token"} in pod["containers"][0]["env"]


def test_nothing_of_the_manifest_is_reached_from_outside_the_cluster() -> None:
    head = KUBERAY["spec"]["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP" and not {"enableIngress", "headService"} & set(head)
    for word in ("hostNetwork", "hostPort", "NodePort", "LoadBalancer", "Ingress\n"):
        assert word not in KUBERAY_TEXT
    own = {"matchLabels": {"ray.io/cluster": KUBERAY["metadata"]["name"]}}
    assert POLICY["spec"]["podSelector"] == own
    assert POLICY["spec"]["ingress"] == [{"from": [{"podSelector": own}]}]


def test_no_container_of_the_manifest_has_privileges() -> None:
    for pod in (HEAD_POD, WORKER_POD):
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 1000
        assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
        assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert WORKER_POD["automountServiceAccountToken"] is False


def test_the_record_outlives_the_heads_pod() -> None:
    (volume,) = HEAD_POD["volumes"]
    (mount,) = HEAD_POD["containers"][0]["volumeMounts"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    assert mount["name"] == volume["name"]
    assert {"name": "EVOTUNE_DB", "value": f"{mount['mountPath']}/evotune.db"} in HEAD_POD["containers"][0]["env"]


# The image.


def pins(path: Path) -> dict[str, str]:
    """Versions by normalised name; a line that pins none is an error."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = [line.split("==") for line in lines if line]
    return {normalised(name): version for name, version in pairs}


def normalised(requirement: str) -> str:
    """Return the name of a package alone, as PyPI compares names."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


IMAGE_PINS = pins(CLUSTERS / "requirements.txt")
PINS = pins(ROOT / "constraints.txt")


def test_the_image_has_the_versions_of_constraints_txt() -> None:
    assert {name: PINS[name] for name in IMAGE_PINS.keys() & PINS.keys()} == {
        name: IMAGE_PINS[name] for name in IMAGE_PINS.keys() & PINS.keys()
    }


def test_the_image_has_all_that_evotune_and_its_extras_need_and_not_evotune() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = sum(project["optional-dependencies"].values(), project["dependencies"])
    assert {normalised(each) for each in needed} <= IMAGE_PINS.keys() & PINS.keys()
    assert "evotune" not in IMAGE_PINS


def test_the_image_installs_the_pinned_packages_and_no_others_on_a_pinned_python() -> None:
    assert re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE) == ["python:3.12.13-slim-bookworm"]
    assert len(re.findall(r"pip install", DOCKERFILE)) == 1
    assert re.search(r"pip install [^&]*--no-deps[^&]*--requirement /tmp/requirements\.txt", DOCKERFILE)
    assert "pip check" in DOCKERFILE


def test_a_process_of_the_image_needs_the_token() -> None:
    assert re.search(r"^ENV RAY_AUTH_MODE=token", DOCKERFILE, re.MULTILINE)


def test_the_images_name_tells_what_must_be_the_same_everywhere() -> None:
    images = re.findall(r"\S+-docker\.pkg\.dev/\S+/node\S*", GCP_TEXT + KUBERAY_TEXT + DOCKERFILE)
    assert len(images) == 3
    assert {image.rpartition(":")[2] for image in images} == {f"ray-{PINS['ray']}-torch-{PINS['torch']}"}
    assert KUBERAY["spec"]["rayVersion"] == PINS["ray"]


# The page.


def test_the_page_names_what_is_to_be_filled_in_and_every_file() -> None:
    assert "MY_PROJECT" in PAGE
    for path in CLUSTERS.iterdir():
        assert path.name in PAGE, path.name


def test_the_page_makes_what_the_files_name() -> None:
    (interface,) = GCP["available_node_types"]["head"]["node_config"]["networkInterfaces"]
    subnet = interface["subnetwork"].rpartition("/")[2]
    image = f"ray-{PINS['ray']}-torch-{PINS['torch']}"
    for name in (f"subnets create {subnet} ", f"ray[default]=={PINS['ray']}", image, "generic evotune-token "):
        assert name in PAGE, name


def at(config: Any, place: list[str | int]) -> Any:
    """Return the value in `config` under these keys."""
    return reduce(lambda inner, key: inner[key], place, config)
