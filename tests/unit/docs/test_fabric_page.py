"""docs/fabric.md and examples/manifests are consistent, complete, and have the code's values."""

import re
import uuid
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from fabric_jobs.contract.failures import START_DEADLINE
from fabric_jobs.facade.http import instance
from fabric_jobs.facade.settings import FacadeSettings
from tests.support.pages import section, table
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/fabric.md").read_text()
MANIFESTS = ROOT / "examples/manifests"
KITS = ("wdk-v1", "toolkit")
#: By kit, the schema's version and the elements of CloudServiceConfiguration in the schema's order.
VERSION = {"wdk-v1": "1.101.0", "toolkit": "2.100.0"}
ELEMENTS = {
    "wdk-v1": ["Cloud", "AADApp", "Endpoints"],
    "toolkit": [
        *("Cloud", "AADFEApp", "AADBEApp", "LifecycleOperationsNotifications"),
        *("EnableSandboxRelaxation", "Endpoints"),
    ],
}
#: The forms of names in Microsoft's schemas, and their greatest lengths.
PART = "[a-zA-Z0-9-]+"
NAMES = {"workload": (2, 32), "item": (3, 64), "job": (4, 96)}


def read(path: Path) -> ElementTree.Element:
    """The root element of an XML file."""
    return ElementTree.fromstring(path.read_text())


def only(element: ElementTree.Element, path: str) -> ElementTree.Element:
    """The one element with this path."""
    (found,) = element.findall(path)
    return found


def text(element: ElementTree.Element, path: str) -> str:
    """The text of the one element with this path."""
    return only(element, path).text or ""


def assert_valid_name(name: str, kind: str) -> None:
    """The name has the number of parts, the characters and the length of Microsoft's schemas."""
    parts, longest = NAMES[kind]
    assert re.fullmatch(rf"{PART}(\.{PART}){{{parts - 1}}}", name), name
    assert len(name) <= longest


@pytest.mark.parametrize("kit", KITS)
def test_workload_manifest_has_what_microsofts_schema_asks_for(kit: str) -> None:
    """The version, the elements in their order, a Guid, two endpoints, and valid names."""
    root = read(MANIFESTS / kit / "WorkloadManifest.xml")
    workload = only(root, "Workload")
    cloud = only(workload, "RemoteServiceConfiguration/CloudServiceConfiguration")
    app = only(cloud, "AADApp" if kit == "wdk-v1" else "AADBEApp")

    assert (root.tag, root.get("SchemaVersion")) == ("WorkloadManifestConfiguration", VERSION[kit])
    assert_valid_name(workload.attrib["WorkloadName"], "workload")
    assert workload.get("HostingType") == "Remote"
    assert [child.tag for child in workload] == ["Version", "RemoteServiceConfiguration"]
    assert [child.tag for child in cloud] == ELEMENTS[kit]
    assert [child.tag for child in app] == ["AppId", "RedirectUri", "ResourceId"]
    assert [str(uuid.UUID(each.text)) == each.text for each in cloud.findall("*/AppId")]
    assert text(app, "ResourceId").endswith(f"/{workload.get('WorkloadName')}")
    endpoints = cloud.findall("Endpoints/ServiceEndpoint")
    fields = ["Name", "Url", "IsEndpointResolutionService"]
    assert [[child.tag for child in one] for one in endpoints] == [fields, fields]
    assert {one.findtext("Name") for one in endpoints} == {"Workload", "Frontend"}


@pytest.mark.parametrize("kit", KITS)
def test_workload_endpoint_ends_with_base_path_of_facade(kit: str) -> None:
    """Fabric appends its own paths, so that no slash stands at the end."""
    root = read(MANIFESTS / kit / "WorkloadManifest.xml")
    (url,) = (
        one.findtext("Url", "")
        for one in root.iter("ServiceEndpoint")
        if one.findtext("Name") == "Workload"
    )

    assert re.fullmatch(rf"https://[^/]+{FacadeSettings().base_path}", url)


@pytest.mark.parametrize("kit", KITS)
def test_item_manifest_has_what_microsofts_schema_asks_for(kit: str) -> None:
    """The version, the elements in their order, known options, and names that begin alike."""
    root = read(MANIFESTS / kit / "Forecast.xml")
    item = only(root, "Item")
    workload = only(item, "Workload").attrib["WorkloadName"]
    scheduler = only(item, "JobScheduler")
    job = only(scheduler, "ItemJobTypes/ItemJobType").attrib["Name"]

    assert (root.tag, root.get("SchemaVersion")) == ("ItemManifestConfiguration", VERSION[kit])
    assert [child.tag for child in item] == ["Workload", "JobScheduler"]
    for name, kind in ((workload, "workload"), (item.attrib["TypeName"], "item"), (job, "job")):
        assert_valid_name(name, kind)
    assert job.startswith(f"{item.attrib['TypeName']}.")
    assert item.attrib["TypeName"].startswith(f"{workload}.")
    assert item.get("Category") in {"Code", "Data", "Unknown"}
    for option in ("OnDemandJobDeduplicateOptions", "ScheduledJobDeduplicateOptions"):
        assert text(scheduler, option) in {"None", "PerItem", "PerUser"}
    (manifest,) = read(MANIFESTS / kit / "WorkloadManifest.xml").findall("Workload")
    assert manifest.attrib["WorkloadName"] == workload


@pytest.mark.parametrize("kit", KITS)
def test_item_json_fits_item_manifest(kit: str) -> None:
    """The item's and the job's last parts, and actions of the workload's own extension."""
    item = msgspec.json.decode((MANIFESTS / kit / "Forecast.json").read_bytes())
    manifest = read(MANIFESTS / kit / "Forecast.xml")
    job = only(manifest, ".//ItemJobType").attrib["Name"]
    actions = item["itemJobActionConfig"]["registeredActions"]

    assert only(manifest, "Item").attrib["TypeName"].endswith(f".{item['name']}")
    assert job.endswith(f".{item['itemSettings']['schedule']['itemJobType']}")
    assert item["itemSettings"]["schedule"]["refreshType"] in {"Refresh", "Run", "None"}
    assert actions.keys() == {"detail", "cancel", "retry"}
    assert {each["extensionName"] for each in actions.values()} == {
        only(manifest, "Item/Workload").attrib["WorkloadName"]
    }
    assert {each["name"] for each in item["contextMenuItems"]} == {"schedule", "recentruns"}


def test_item_on_page_is_that_of_the_samples() -> None:
    """The XML on the page is the item of the sample file."""
    (shown,) = re.findall(r"```xml\n(.*?)```", PAGE, re.S)
    sample = only(read(MANIFESTS / "wdk-v1/Forecast.xml"), "Item")

    assert ElementTree.canonicalize(shown, strip_text=True) == ElementTree.canonicalize(
        ElementTree.tostring(sample, encoding="unicode"), strip_text=True
    )


def test_table_of_manifest_names_every_field_of_the_samples() -> None:
    """Each attribute and element of the workload's manifests that a reader must fill in."""
    rows = table(section("docs/fabric.md", "The workload's manifest"))
    named = set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows)))
    structure = {
        *("WorkloadManifestConfiguration", "Workload", "RemoteServiceConfiguration"),
        *("CloudServiceConfiguration", "Cloud", "Endpoints", "Name", "Url"),
        *("AppId", "RedirectUri", "ResourceId", "OnCreate", "OnUpdate", "OnDelete"),
    }

    for kit in KITS:
        elements = list(read(MANIFESTS / kit / "WorkloadManifest.xml").iter())
        fields = {each.tag for each in elements} | {key for each in elements for key in each.attrib}
        assert fields - structure <= named


def test_handler_beside_the_manifest_has_the_names_of_the_manifest() -> None:
    """The decorator names the manifest's item and job; the job's name begins with the item's."""
    (item,) = re.findall(r'TypeName="(.*?)"', PAGE)
    (job,) = re.findall(r'ItemJobType Name="(.*?)"', PAGE)

    assert job.startswith(f"{item}.")
    assert f'@executor.job("{item}", "{job}")' in PAGE


def test_bounds_on_page_are_those_of_the_code() -> None:
    """The lengths of names, and the minutes after which a job that has not started fails."""
    lengths = re.findall(r"at most (\d+)", PAGE)

    assert [int(number) for number in lengths] == [
        instance.MAX_ITEM_TYPE_CHARS,
        instance.MAX_JOB_TYPE_CHARS,
    ]
    minutes = {int(number) for number in re.findall(r"(\d+) minutes", PAGE)}
    assert minutes == {START_DEADLINE.total_seconds() / 60}


def test_authorized_apps_on_page_are_the_default_of_the_setting() -> None:
    """The two client applications of the scope are the app ids that the facade accepts."""
    (row,) = [
        row for row in table(section("docs/fabric.md", "The Entra app")) if "two apps" in row[1]
    ]

    assert set(re.findall(r"`([0-9a-f-]{36})`", row[1])) == set(FacadeSettings().fabric_app_ids)


def test_rules_of_proxy_on_page_are_those_of_the_configuration() -> None:
    """The lines on the page stand in deploy/haproxy-workload.cfg, with the ports that are named."""
    config = (ROOT / "deploy/haproxy-workload.cfg").read_text()
    (rules,) = re.findall(r"```\n(use_backend .*?)```", PAGE, re.S)

    assert [line for line in rules.splitlines() if f"  {line}\n" not in config] == []
    ports = set(re.findall(r"port (\d+)", section("docs/fabric.md", "One address for both")))
    assert ports == set(re.findall(r"^  (?:bind|server .*) \S*:(\d+)$", config, re.M))
