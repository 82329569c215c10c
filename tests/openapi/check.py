"""Asks an agent for its OpenAPI document, validates it, generates a client from it, and
calls every operation with that client: each answer must have a documented status, match
that status's schema with nothing undocumented in it, and survive the client's own types.

check.py SOCKET DIRECTORY, while attempts from 10.0.0.1 arrive at the agent's interface.
"""

import copy
import importlib
import inspect
import io
import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import httpx
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = Path(__file__).parent


def generate(document, directory):
    """The generated package, as a generator makes it that takes no warning."""
    path = directory / "openapi.json"
    path.write_text(json.dumps(document))
    # Beside this interpreter, whatever PATH says.
    generator = Path(sysconfig.get_path("scripts")) / "openapi-python-client"
    command = [generator, "generate", "--path", path, "--output-path", directory / "client"]
    command += ["--config", HERE / "generator.yaml", "--fail-on-warning"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(directory / "client"))
    return importlib.import_module("netpolicy_client")


def closed(document):
    """The document with every object closed: a property that is not documented is wrong."""

    def close(schema):
        if isinstance(schema, dict):
            if "properties" in schema and "allOf" not in schema:
                schema.setdefault("additionalProperties", False)
            for value in schema.values():
                close(value)
        elif isinstance(schema, list):
            for value in schema:
                close(value)

    document = copy.deepcopy(document)
    close(document["components"]["schemas"])
    return document


class Api:
    """The operations of a document, over the agent's socket."""

    def __init__(self, document, package, socket):
        self.document = closed(document)
        self.package = package
        transport = httpx.HTTPTransport(uds=socket)
        self.client = package.Client(
            base_url="http://localhost", httpx_args={"transport": transport}
        )
        self.operations = {}
        self.called = set()
        for path, item in document["paths"].items():
            for operation in item.values():
                self.operations[operation["operationId"]] = operation

    def module(self, operation_id):
        operation = self.operations[operation_id]
        name = "".join("_" + c.lower() if c.isupper() else c for c in operation_id)
        return importlib.import_module(f"{self.package.__name__}.api.{operation['tags'][0]}.{name}")

    def model(self, name):
        return getattr(importlib.import_module(f"{self.package.__name__}.models"), name)

    def validate(self, operation_id, status, media_type, value):
        responses = self.operations[operation_id]["responses"]
        assert str(status) in responses, f"{operation_id}: {status} is not documented: {value}"
        content = responses[str(status)]["content"]
        assert media_type in content, f"{operation_id} {status}: {media_type}"
        schema = {**content[media_type]["schema"], "components": self.document["components"]}
        errors = list(Draft202012Validator(schema).iter_errors(value))
        assert not errors, f"{operation_id} {status}: {errors[0]}\n{value}"

    def call(self, operation_id, expected=200, **arguments):
        """Calls by the generated function; the answer as JSON."""
        self.called.add(operation_id)
        call = self.module(operation_id).sync_detailed
        known = inspect.signature(call).parameters
        assert set(arguments) <= set(known), f"{operation_id} has {list(known)}"
        answer = call(client=self.client, **arguments)
        status = int(answer.status_code)
        assert status == expected, f"{operation_id}: {status} {answer.content}"
        if status == 204:
            assert not answer.content and "204" in self.operations[operation_id]["responses"]
            return None
        media_type = answer.headers["content-type"].split(";")[0]
        value = answer.content.decode()
        # Of newline-delimited JSON one line is asked for.
        json_types = ("application/json", "application/problem+json", "application/x-ndjson")
        if media_type in json_types:
            value = json.loads(value)
        self.validate(operation_id, status, media_type, value)
        parsed = answer.parsed
        assert parsed is not None, f"{operation_id} {status}: the client parses nothing"
        back = [p.to_dict() if hasattr(p, "to_dict") else p for p in listed(parsed)]
        # What is left out and what is null are the same to a client.
        assert [slim(b) for b in back] == [slim(v) for v in listed(value)], operation_id
        return value

    def file(self, operation_id):
        """The bytes of an answer that is a file."""
        self.called.add(operation_id)
        module = self.module(operation_id)
        answer = self.client.get_httpx_client().request(**module._get_kwargs())
        assert answer.status_code == 200, f"{operation_id}: {answer.content}"
        content = self.operations[operation_id]["responses"]["200"]["content"]
        assert answer.headers["content-type"] in content, operation_id
        return answer.content

    def text(self, operation_id):
        """An answer that is text."""
        self.called.add(operation_id)
        module = self.module(operation_id)
        answer = self.client.get_httpx_client().request(**module._get_kwargs())
        assert answer.status_code == 200, f"{operation_id}: {answer.content}"
        media_type = answer.headers["content-type"].split(";")[0]
        self.validate(operation_id, answer.status_code, media_type, answer.text)
        return answer.text

    def first_line(self, operation_id):
        """The first line of a stream."""
        self.called.add(operation_id)
        module = self.module(operation_id)
        http = self.client.get_httpx_client()
        with http.stream(**module._get_kwargs(), timeout=20) as answer:
            line = json.loads(next(answer.iter_lines()))
            media_type = answer.headers["content-type"]
            self.validate(operation_id, answer.status_code, media_type, line)
        return line

    def download(self, operation_id):
        """A file: its bytes and headers."""
        self.called.add(operation_id)
        module = self.module(operation_id)
        answer = self.client.get_httpx_client().request(**module._get_kwargs())
        content = self.operations[operation_id]["responses"][str(answer.status_code)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        assert schema.get("type") == "string" and schema.get("format") == "binary", schema
        return answer.content, answer.headers


def listed(value):
    return value if isinstance(value, list) else [value]


def slim(value):
    """Without nulls, and times by the second: their digits are the writer's choice."""
    if isinstance(value, dict):
        return {k: slim(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [slim(v) for v in value]
    if isinstance(value, str) and len(value) > 19 and value[10:11] == "T" and value[4] == "-":
        return value[:19]
    return value


def main(socket, directory):
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket)) as http:
        document = http.get("http://localhost/v1/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    api = Api(document, generate(document, Path(directory)), socket)
    use(api)
    use_lists(api)
    use_feeds(api)
    use_bans(api)
    use_fleet(api)
    use_databases(api)
    use_memory(api)
    use_metrics(api)
    missing = set(api.operations) - api.called
    assert not missing, f"not called: {sorted(missing)}"
    print(f"{len(api.called)} operations called")


def use_lists(api):
    """The operations on named lists."""
    make = api.model("CreateList").from_dict
    rule = {"type": "IPV4", "mode": "INGRESS", "database": "DB"}
    entries = {"items": ["192.0.2.7", "198.51.100.0/24"]}
    new = {"change": "create-list", "name": "bad-hosts", "entries": entries, "network_rule": rule}
    api.call("applyChange", body=make(new))
    [found] = api.call("listLists")
    assert found["entry_count"] == 2 and found["policies"] == [] and "entries" not in found
    assert api.call("getList", name="bad-hosts")["network_rule"] == rule
    assert api.call("getList", 404, name="nowhere")["hint"]
    page = api.call("listEntries", name="bad-hosts", covers="192.0.2.7")
    assert [item["number"] for item in page["items"]] == [1] and page["total"] == 1
    api.call("listEntries", 400, name="bad-hosts", limit=0)
    api.call("listEntries", 404, name="nowhere")
    gone = api.model("DropList").from_dict
    api.call("applyChange", body=gone({"change": "drop-list", "name": "bad-hosts"}))


def use_feeds(api):
    """The operations on feeds."""
    file = importlib.import_module(f"{api.package.__name__}.types").File
    text = '[[feed]]\nname = "drop"\nurl = "https://192.0.2.1/drop.txt"\n'
    change = {"change": "apply", "file": {"name": "feed.toml", "text": text}, "keep_others": True}
    api.call("applyChange", body=api.model("Apply").from_dict(change))
    [feed] = api.call("listFeeds")
    assert feed["settings"]["source"].endswith("drop.txt") and feed["entries"] == 0, feed

    def put(expected, content, name="drop"):
        body = file(payload=io.BytesIO(content))
        how = {"version": feed["version"], "format_": "plain"}
        return api.call("putFeedContent", expected, name=name, body=body, **how)

    assert put(200, b"45.0.0.1/32\n45.0.0.2/31 # noted\n")["entries"] == 2
    assert "line 1" in put(400, b"45.0.0.1\n")["errors"][0]
    assert "special_ranges" in put(400, b"10.0.0.0/8\n")["errors"][0]
    put(404, b"45.0.0.1/32\n", name="nowhere")
    report = api.model("FeedReport").from_dict
    failed = report({"version": feed["version"], "error": "no route", "next_in": 60})
    assert api.call("reportFeed", name="drop", body=failed)["error"] == "no route"
    api.call("reportFeed", 404, name="nowhere", body=failed)
    assert api.call("refreshFeed", name="drop")["requested"] == 1
    api.call("refreshFeed", 404, name="nowhere")
    gone = api.model("DropList").from_dict
    api.call("applyChange", body=gone({"change": "drop-list", "name": "drop"}))


def use_fleet(api):
    """The operations by which a fleet process hands over; this host is in no fleet."""
    file = importlib.import_module(f"{api.package.__name__}.types").File
    assert api.call("getFleet")["fleet"] is None
    api.call("leaveFleet", 404)
    names = api.model("ObjectNames").from_dict
    missing = api.call("findMissingObjects", body=names({"digests": ["00" * 32]}))
    assert missing["missing"] == ["00" * 32], missing
    api.call("findMissingObjects", 400, body=names({"digests": ["x"]}))
    body = file(payload=io.BytesIO(b"c\0\0\0\1x"))
    assert api.call("putObjects", body=body)["taken"] == 1
    api.call("putObjects", 400, body=file(payload=io.BytesIO(b"c\0\0\0\2x")))
    evidence = {"spec": "", "head": "", "group": ""}
    put = api.model("PutRevision").from_dict({"evidence": evidence})
    assert "in no fleet" in api.call("putFleetRevision", 409, body=put)["errors"][0]
    probe = api.model("ProbeRequest").from_dict({"must_admit": ["192.0.2.1:5432"]})
    [verdict] = api.call("probeAttempts", body=probe)["verdicts"]
    assert verdict["attempt"] == "192.0.2.1:5432", verdict


def use_databases(api):
    """The operations on databases, and those by which a helper carries lines into one."""

    def change(title, **fields):
        return api.call("applyChange", body=api.model(title).from_dict(fields))

    change("AddService", change="add-service", name="orders", ports=["5433"])
    where = {"service": "orders", "hba_dir": "/etc/postgresql/netpolicy.d"}
    change("AddDatabase", change="add-database", name="shop", **where)
    [database] = api.call("listDatabases")
    assert database["name"] == "shop" and database["lines"] == 0, database
    verdict = api.call("explainDatabaseUser", name="shop", user="alice", source="10.0.0.9")
    assert verdict["user"] == "alice", verdict
    api.call("explainDatabaseUser", 404, name="nowhere", user="alice", source="10.0.0.9")
    order = api.call("getDatabaseOrder", name="shop")
    assert order["lines"] == [] and order["port"] == 5433, order
    api.call("getDatabaseOrder", 204, name="shop", seen=order["sequence"], wait=1)
    api.call("getDatabaseOrder", 404, name="nowhere")
    report = {"sequence": order["sequence"], "condition": "in-force", "version": "16.4"}
    report = api.model("DatabaseReport").from_dict(report)
    api.call("reportDatabase", 204, name="shop", body=report)
    assert api.call("listDatabases")[0]["version"] == "16.4"
    api.call("reportDatabase", 404, name="nowhere", body=report)
    answer = api.model("DatabaseTrialReport").from_dict({"number": 1})
    api.call("answerDatabaseTrial", 204, name="shop", body=answer)
    api.call("answerDatabaseTrial", 404, name="nowhere", body=answer)
    change("RemoveDatabase", change="remove-database", name="shop")
    change("RemoveService", change="remove-service", name="orders")


def use_memory(api):
    """The operations on the memory of sources, which is a second or two behind."""
    deadline = time.monotonic() + 20
    while not (page := api.call("listSources", covers="10.0.0.1", service="host"))["sources"]:
        assert time.monotonic() < deadline, page
        time.sleep(0.2)
    source = page["sources"][0]
    assert source["source"] == "10.0.0.1" and source["attempts"] > 0, source
    assert api.call("listSources", net=24, since="1h")["total"] > 0
    api.call("listSources", 400, since="yesterday")
    api.call("listSources", 400, limit=0)
    api.call("listSources", 404, service="missing")
    while not any(hit["policy"] == "office" for hit in api.call("listHits")["hits"]):
        assert time.monotonic() < deadline, api.call("listHits")
        time.sleep(0.2)
    assert not api.call("listHits", policy="nowhere")["hits"]
    api.call("listHits", 400, limit=0)
    rates = api.call("listRates", scope="host", reason="blocked")
    assert rates["step"] == "minute" and rates["buckets"], rates
    api.call("listRates", 400, since="yesterday")
    api.call("listRates", 404, policy="missing")


def use_bans(api):
    """The operations on bans, with a line each."""
    ban = api.model("BanRequest").from_dict
    unban = api.model("UnbanRequest").from_dict
    new = {"source": "198.51.100.9", "for": 600, "by": "fail2ban", "reason": "log-ins"}
    banned = api.call("banSources", body=ban(new))
    assert banned["result"] == "banned" and banned["source"] == "198.51.100.9/32", banned
    assert api.call("banSources", body=ban(new))["result"] in ("unchanged", "extended")
    refused = api.call("banSources", body=ban({"source": "198.51.100.900"}))
    assert refused["result"] == "refused" and refused["detail"], refused
    page = api.call("listBans", covers="198.51.100.9")
    assert page["count"] == 1 and page["items"][0]["by"] == "fail2ban", page
    assert api.call("listBans", count="")["count"] == 1
    api.call("listBans", 400, limit=0)
    explained = api.call("explainVerdict", source="198.51.100.9")
    assert explained["ban"]["reason"] == "log-ins", explained
    other = ban({"source": "198.51.100.10"})
    assert api.call("replaceBans", body=other, by="fail2ban")["result"] == "banned"
    assert api.call("replaceBans", 400, body=other, by="")["errors"]
    assert api.call("listBans")["count"] == 1
    gone = api.call("unbanSources", body=unban({"source": "198.51.100.10"}))
    assert gone["result"] == "unbanned", gone


def use_metrics(api):
    """Metrics and notices."""
    metrics = api.text("getMetrics")
    assert "\nnetpolicy_revision " in metrics, metrics
    first = api.call("listNotices")
    assert first["hooks"] == [] and first["lost"] == 0, first
    seen = {"agent": first["agent"], "after": first["newest"], "wait": 1}
    assert api.call("listNotices", **seen)["agent"] == first["agent"]
    api.call("listNotices", 400, after="x")


def use(api):
    """Every operation, most of them also refused."""
    create = api.model("CreatePolicy").from_dict
    drop = api.model("DropPolicy").from_dict
    bypass = api.model("BypassRequest").from_dict
    grant = api.model("GrantRequest").from_dict
    sql = api.model("SqlRequest").from_dict

    assert api.call("getStatus")["enforcement"]["state"] == "attached"
    assert api.call("getProgress")["phase"] == "idle"

    office = {"change": "create-policy", "name": "office", "block": {"items": ["10.0.0.1/31"]}}
    tried = api.call("applyChange", body=create(office), dry_run=True)
    assert tried["dry_run"] and tried["plan"]
    made = api.call("applyChange", body=create(office))
    assert made["revision"] == 1 and made["warnings"], made
    taken = api.call("applyChange", 409, body=create(office))
    assert (taken["code"], taken["status"], taken["title"]) == ("conflict", 409, "Conflict"), taken
    stale = api.call("applyChange", 412, body=create(office), if_match='"0"')
    assert (stale["code"], stale["revision"]) == ("revision-mismatch", 1), stale
    bad = {**office, "name": "bad", "block": {"items": ["10.0.0.0/33"]}}
    assert "10.0.0.0/33" in api.call("applyChange", 400, body=create(bad))["errors"][0]
    api.call("applyChange", 404, body=drop({"change": "drop-policy", "name": "nowhere"}))

    assert [p["name"] for p in api.call("listPolicies")] == ["office"]
    assert len(api.call("getPolicy", name="office")["block"]) == 1
    assert api.call("getPolicy", 404, name="nowhere")["hint"]
    rules = api.call("listRules", name="office", covers="10.0.0.1", limit=1)
    assert rules["total"] == 1 and rules["items"][0]["list"] == "block", rules
    api.call("listRules", 400, name="office", limit=0)
    api.call("listRules", 404, name="nowhere")
    assert api.call("getHost")["policies"] == ["office"]
    api.call("lintPolicies")
    api.call("lintPolicies", 404, revision=99)
    assert any(one["name"] == "postgresql" for one in api.call("listKnownServices"))

    script = "CREATE NETWORK POLICY branch BLOCKED_IP_LIST = ('10.0.0.9'); SHOW NETWORK POLICIES;"
    ran = api.call("runSql", body=sql({"text": script, "dialect": "snowflake"}))
    assert ran["results"][1]["rows"], ran
    assert api.call("runSql", 400, body=sql({"text": "CREATE NETWORK"}))["error"]["line"] == 1
    again = sql({"text": script, "dialect": "snowflake"})
    assert api.call("runSql", 409, body=again)["error"]["errors"]
    service = {"change": "add-service", "name": "postgres", "ports": ["5432", "6432-6440"]}
    api.call("applyChange", body=api.model("AddService").from_dict(service))
    assert api.call("listServices")[0]["ports"] == "5432,6432-6440"

    line = api.first_line("streamEvents")
    assert line["event"] == "denied" and line["source"] == "10.0.0.1", line
    assert any(row["reason"] == "blocked" for row in api.call("getCounters")["rows"])
    explained = api.call("explainVerdict", source="10.0.0.1", port=22222)
    assert explained["verdict"] == "drop" and explained["matched"]["policy"] == "office"
    api.call("explainVerdict", source="192.0.2.1")
    api.call("explainVerdict", 400, source="10.0.0.1", port=0)
    api.call("explainVerdict", 404, source="10.0.0.1", revision=99)
    assert api.call("explainVerdict", source="10.0.0.1", revision=1)["revision"] == 1
    network = api.call("explainNetwork", network="10.0.0.0/30", port=22222)
    assert [part["verdict"] for part in network["parts"]] == ["drop", "pass"], network
    api.call("explainNetwork", 400, network="office")
    api.call("explainNetwork", 404, network="10.0.0.0/30", revision=99)
    found = api.call("findNetwork", network="10.0.0.1")
    assert found["items"][0]["name"] == "office" and found["total"] == 1, found
    api.call("findNetwork", 400, network="office")
    assert api.call("listClients")["watched_since"]
    api.call("listClients", 400, limit=0)
    api.call("listClients", 404, service="missing")
    api.call("streamEvents", 400, source="office")
    api.call("streamEvents", 404, policy="missing")
    assert not api.call("verifyEnforcement")["differences"]
    test = {"change": "set-test", "source": "10.0.0.1", "port": 22222, "expect": "drop"}
    api.call("applyChange", body=api.model("SetTest").from_dict(test))
    [judged] = api.call("listTests")
    assert judged["holds"] and judged["port"] == 22222, judged
    test = {"change": "remove-test", "source": "10.0.0.1", "port": 22222}
    api.call("applyChange", body=api.model("RemoveTest").from_dict(test))

    exempt = {"source": "10.0.0.1", "minutes": 5}
    granted = api.call("grantBypass", body=bypass(exempt))
    assert api.call("listBypasses") == [granted]
    api.call("grantBypass", 400, body=bypass({**exempt, "minutes": 0}))
    api.call("grantBypass", 404, body=bypass({**exempt, "service": "nowhere"}))
    assert api.call("revokeBypass", source="10.0.0.1")["source"] == "10.0.0.1/32"
    api.call("revokeBypass", 404, source="10.0.0.1")

    read = api.model("Privilege").READ
    to = "user:daemon"
    privilege = api.call("grantPrivilege", body=grant({"privilege": "read", "to": to}))
    assert api.call("listGrants") == [privilege]
    api.call("grantPrivilege", 400, body=grant({"privilege": "read", "to": "daemon"}))
    api.call("revokePrivilege", privilege=read, to=to)
    api.call("revokePrivilege", 404, privilege=read, to=to)
    caller = api.call("getCaller")
    assert (caller["user"], caller["privileges"][0]) == ("root", "admin")

    api.call("confirmChange", 404)
    rolled = api.call("rollBack", revision=1, confirm_within=600)
    assert rolled["pending"], rolled
    api.call("applyChange", 409, body=drop({"change": "drop-policy", "name": "office"}))
    api.call("confirmChange")
    api.call("rollBack", 404, revision=99)
    api.call("rollBack", 400, revision=1, confirm_within=0)
    page = api.call("listRevisions", limit=3)
    assert len(page["items"]) == 3 and page["next"] == page["items"][-1]["revision"], page
    assert api.call("listRevisions", after=page["next"], text="office")["items"]
    [first] = api.call("listRevisions", policy="office", user="root", changes=True)["items"][-1:]
    assert first["revision"] == 1 and "+ policy office" in first["changes"], first
    assert "10.0.0.1/31" in api.call("exportPolicyFile")
    assert "office" not in api.call("exportPolicyFile", revision=0)
    api.call("exportPolicyFile", 404, revision=99)
    compared = api.call("diffRevisions", from_=0, to=1)
    assert compared["differs"] and "+block = [" in compared["diff"], compared
    assert not api.call("diffRevisions", from_=0, to=0)["differs"]
    api.call("diffRevisions", 404, from_=99)
    file = {"name": "x.toml", "text": '[[policy]]\nname = "office"\nblock = ["10.0.0.1/31"]\n'}
    apply = api.model("Apply").from_dict
    change = {"change": "apply", "file": file}
    planned = api.call("diffChange", body=apply(change))
    assert "introduced" in api.call("lintChange", body=apply(change))
    judged = api.call("evaluateChange", body=apply(change), since="1h")
    assert judged["denied"] + judged["allowed"] >= len(judged["sources"]), judged
    assert "judged" in api.call("evaluatePolicy", policy="office")
    api.call("evaluatePolicy", 404, policy="missing")
    assert "entries" in api.call("recommendPolicy", stayed="0s")
    api.call("recommendPolicy", 404, service="missing")
    api.call("evaluateChange", 400, body=apply(change), since="yesterday")
    assert planned["plan"]["dry_run"], planned
    wrong = apply({**change, "file": {**file, "text": "[[policy"}})
    api.call("diffChange", 400, body=wrong)
    assert len(api.call("listAuditEntries", limit=5)["items"]) == 5

    assert api.file("getBackup").startswith(b"SQLite format 3\0")
    api.call("rescueStore", 409)
    api.call("acknowledgeStore", 409)

    opens = api.call("detachInterfaces", 409)["opens"]
    assert api.call("detachInterfaces", opens=opens["key"])
    assert api.call("getStatus")["enforcement"]["state"] == "detached"
    assert api.call("attachInterfaces")


if __name__ == "__main__":
    main(*sys.argv[1:])
